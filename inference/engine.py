"""What runs a sentence encoder's network, below its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ids = list[int]
"""A text as the tokenizer's numbers, special tokens included; never empty, never over the network's window."""


class Engine(Protocol):
    """Token ids in, unit vectors out; safe to share between threads."""

    def encode(self, texts: Sequence[Ids]) -> NDArray[np.float32]:
        """Shape `(len(texts), dimension)`, in the order given, on all the threads there are for it."""
        ...

    def encode_one(self, text: Ids) -> NDArray[np.float32]:
        """Shape `(dimension,)`, at once: it never waits behind `encode`."""
        ...
