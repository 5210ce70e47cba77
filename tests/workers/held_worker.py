"""The command `footnote`, except that embedding a text with the word `held` waits while a file is there.

    held_worker.py GATE ARGUMENT...

It is told that somebody waits by the process id in GATE.reached. A text with the word `deadly` ends the process.
FOOTNOTE_TEST_CLOCK_S moves the process's clock.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from apps.cli.main import run
from inference.hashing import HashingEncoder

SHIFT_S = int(os.environ.pop("FOOTNOTE_TEST_CLOCK_S", "0"))
if SHIFT_S:
    real_time = time.time
    time.time = lambda: real_time() + SHIFT_S  # type: ignore[assignment]

GATE = Path(sys.argv.pop(1))
encode = HashingEncoder.encode


def held_encode(self: HashingEncoder, texts: Sequence[str]) -> Any:
    if any("deadly" in text for text in texts):
        os.kill(os.getpid(), signal.SIGKILL)
    if any("held" in text for text in texts) and GATE.exists():
        Path(f"{GATE}.reached").write_text(str(os.getpid()))
        while GATE.exists():
            time.sleep(0.02)
    return encode(self, texts)


HashingEncoder.encode = held_encode  # type: ignore[method-assign]
run()
