"""Harmful requests, by a linear probe on the sentence embeddings that search computes anyway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from governance.safety.normalization import normalize
from inference.encoder import Encoder

_WEIGHTS = Path(__file__).with_name("harm_probe.json")


@dataclass(frozen=True)
class HarmProbe:
    """A logistic regression over embeddings; `evaluation.fit_harm_probe` fits it and tells on what.

    `fingerprint` names the encoder whose vectors it reads; above `threshold` a request is refused.
    """

    fingerprint: str
    weights: NDArray[np.float32]
    bias: float
    threshold: float

    def reads(self, encoder: Encoder) -> bool:
        return encoder.fingerprint == self.fingerprint

    def score(self, text: str, encoder: Encoder) -> float:
        """How likely a request is harmful, in [0, 1], not calibrated; of a long one, its worst piece."""
        pieces = within_window(normalize(text).text, encoder)
        vectors = np.stack([encoder.encode_query(piece) for piece in pieces])
        return float(1 / (1 + np.exp(-((vectors @ self.weights).max() + self.bias))))


def within_window(text: str, encoder: Encoder) -> list[str]:
    """`text` in pieces that the encoder sees whole: what is asked at the end of a long text counts too."""
    if len(text) < 2 or encoder.count_tokens([text])[0] <= encoder.window_tokens:
        return [text]
    half = len(text) // 2
    return within_window(text[:half], encoder) + within_window(text[half:], encoder)


@cache
def load_harm_probe() -> HarmProbe:
    """The probe that is shipped."""
    data = json.loads(_WEIGHTS.read_text())
    weights = np.asarray(data["weights"], np.float32)
    return HarmProbe(data["encoder"], weights, float(data["bias"]), float(data["threshold"]))
