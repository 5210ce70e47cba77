"""Texts in, vectors and tokens out."""

import sys

# Importing OpenVINO tells Google Analytics so wherever it finds this package. After installation nothing of ours
# touches the network; a None here makes the import fail, and OpenVINO then goes on in silence.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
