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


def raised_by(scores: NDArray[np.float64], shares: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Scores in [0, 1] raised by `weight` times how much further evidence speaks for each, in [0, 1]."""
    raised: NDArray[np.float64] = (scores + weight * shares) / (1 + weight)
    return raised


def named_first(
    slots: NDArray[np.int64],
    scores: NDArray[np.float64],
    named: NDArray[np.int64],
    shares: NDArray[np.float32],
    rows: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A ranking with what a query names exactly before everything else, scores brought to [0, 1] again.

    `shares` say how much of what is named each of `named` holds; more of it comes first. `rows` are those of `slots`:
    equal scores are ordered by row. Someone who writes a ticket's number wants that ticket, however well another one's
    text reads.
    """
    share = dict(zip(named.tolist(), shares.tolist(), strict=True))
    lift = np.array([1 + share[slot] if slot in share else 0.0 for slot in slots.tolist()])
    lifted = (scores + lift) / 3
    order = np.lexsort((rows, -lifted))
    return slots[order], lifted[order]
