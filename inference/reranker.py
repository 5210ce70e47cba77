"""What every reranker offers: it reads a question and a text together, which no index can have done beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Reranker(Protocol):
    """A cross-encoder, Nogueira and Cho 2019 (arXiv:1901.04085)."""

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """How well each text answers the question, from 0 to 1: shape `(len(texts),)`, in the order given.

        Of a text longer than the model's window its beginning counts. Raises `ModelFailed`.
        """
        ...
