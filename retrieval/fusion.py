"""Fusion: the dense and the lexical scores of the same candidates in, one score out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def convex_combination(
    cosine: NDArray[np.float32], lexical: NDArray[np.float32], dense_weight: float
) -> NDArray[np.float64]:
    """`dense_weight` times the cosines and the rest of the lexical scores, both brought to [0, 1].

    A cosine is brought there from its bounds, -1 and 1; a lexical score, which has a natural zero and no bound, by the
    best of this query. Scores keep what ranks throw away, how much better the best is than the next, and fuse better
    than reciprocal ranks do: Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (2023).
    """
    best = float(lexical.max(initial=0.0)) or 1.0
    nearness = (1 + cosine.astype(np.float64)) / 2
    return dense_weight * nearness + (1 - dense_weight) * (lexical.astype(np.float64) / best)
