"""Fusion: two rankings of the same candidates in, one out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def convex_combination(
    dense: NDArray[np.float32], lexical: NDArray[np.float32], dense_weight: float
) -> NDArray[np.float64]:
    """`dense_weight` times the dense scores and the rest of the lexical ones, each scaled to [0, 1].

    Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (2023): scaled scores keep what
    reciprocal ranks throw away, how much better the best is. Lexical scores have a natural zero, where no term occurs.
    """
    return dense_weight * _scaled(dense, float(dense.min(initial=np.inf))) + (1 - dense_weight) * _scaled(lexical, 0.0)


def _scaled(scores: NDArray[np.float32], lowest: float) -> NDArray[np.float64]:
    span = float(scores.max(initial=lowest)) - lowest
    if not span > 0:
        return np.zeros(len(scores))
    return (scores.astype(np.float64) - lowest) / span
