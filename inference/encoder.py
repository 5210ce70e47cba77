"""What every encoder of texts offers, whatever runs behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Encoder(Protocol):
    """Texts in, unit vectors out; a dot product of two is their cosine similarity."""

    @property
    def fingerprint(self) -> str:
        """Names the weights and how they are read; vectors of different fingerprints never meet in one index."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def window_tokens(self) -> int:
        """How many tokens of a text the model sees, its own special tokens included."""
        ...

    @property
    def languages(self) -> frozenset[str]:
        """The languages (ISO 639-1) whose meaning the model places well; empty when it makes no difference."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The length of each text in the model's tokens, special tokens included, never truncated."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape `(len(texts), dimension)`, in the order given, rows of length 1."""
        ...

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """Shape `(dimension,)`: the vector of a question, by the quickest path."""
        ...
