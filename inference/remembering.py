"""An encoder that remembers the newest questions: one is encoded by the guard, the search and the answerer alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference.encoder import Encoder

_REMEMBERED = 64
"""Questions; more than are asked at one moment."""


class RememberingEncoder:
    """`encoder`, whose vectors of questions are kept for a while and cannot be written to."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.fingerprint = encoder.fingerprint
        self.dimension = encoder.dimension
        self.window_tokens = encoder.window_tokens
        self.languages = encoder.languages
        self._question = lru_cache(_REMEMBERED)(self._encode_query)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._encoder.count_tokens(texts)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the encoder's own."""
        return self._encoder.encode(texts)

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """As the encoder's own, read-only."""
        return self._question(text)

    def _encode_query(self, text: str) -> NDArray[np.float32]:
        vector = self._encoder.encode_query(text)
        vector.setflags(write=False)
        return vector
