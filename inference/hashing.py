"""A deterministic encoder without a model: the hashed words of a text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.window import require_within_window

WORD = re.compile(r"\w+")


class HashingEncoder:
    """Signed feature hashing of lower-cased words, Weinberger et al. 2009 (arXiv:0902.2206).

    Texts that share words are near one another, in every process alike; synonyms are strangers. It stands in where
    the encoder is not what is being examined.
    """

    window_tokens = 1_000_000
    languages: frozenset[str] = frozenset()

    def __init__(self, dimension: int = 64) -> None:
        self.dimension = dimension
        self.fingerprint = f"hashing-words-{dimension}"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(WORD.findall(text)) for text in texts]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape `(len(texts), dimension)`, unit rows; raises `TextOverWindow`."""
        require_within_window(self.count_tokens(texts), self.window_tokens)
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[:] = self.encode_query(text)
        return vectors

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """Shape `(dimension,)`; a text without words, or whose words cancel out, is the first unit vector."""
        vector = np.zeros(self.dimension, np.float32)
        for word in WORD.findall(text.lower()):
            bits = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
            vector[(bits >> 1) % self.dimension] += 1 if bits & 1 else -1
        if not vector.any():
            vector[0] = 1
        return np.asarray(vector / np.linalg.norm(vector), np.float32)
