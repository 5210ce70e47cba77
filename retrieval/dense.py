"""Dense retrieval: the exact cosine similarity of a query to the readable chunks."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from retrieval.faiss_scan import FaissScan
from retrieval.index.selection import Selection
from retrieval.native_scan import NativeScan, ways
from retrieval.scan import ROUNDING, Part, Query, Scan, exact_similarity, highest


def similarity(selection: Selection, query: NDArray[np.float32], slots: NDArray[np.int64]) -> NDArray[np.float32]:
    """The cosine similarity of `query`, a unit vector, to some slots: shape (len(slots),).

    Each is the same bits whatever is computed with it.
    """
    return exact_similarity(selection.vectors(slots), query)


def nearest(selection: Selection, query: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The min(k, n) slots most similar to `query`, best first, equal ones by row; and their similarities.

    The result is that of comparing the query with every slot. Of each segment a scan names all chunks that can be
    among the best, and those are compared: see `fastest_scan` and docs/decisions/dense-scan.md.
    """
    k = min(k, len(selection))
    if k == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    if selection.elsewhere is not None:
        return selection.elsewhere.nearest(selection, query, k)
    slots, scores = _contenders(selection, np.ascontiguousarray(query, np.float32), k)
    best = np.lexsort((selection.rows_of(slots), -scores))[:k]
    return slots[best], scores[best]


@cache
def fastest_scan() -> Scan:
    """The compiled scan, or FAISS's where it was not built."""
    compiled = ways()
    return NativeScan(compiled[0]) if compiled else FaissScan()


def _contenders(
    selection: Selection, query: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Slots that can be among the best k, the k best among them, and their similarities.

    The largest part comes first: what it holds leaves the others little to name.
    """
    scan, asked = fastest_scan(), Query(query)
    slots, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for number in sorted(range(len(selection.segments)), key=lambda number: -selection.counts[number]):
        if selection.counts[number] == 0:
            continue
        part = Part(selection.segments[number], selection.bitmaps[number], selection.counts[number])
        positions = scan.contenders(part, asked, k, highest(scores, k) - ROUNDING)
        slots = np.concatenate([slots, selection.slots_at(number, positions)])
        scores = np.concatenate([scores, part.similarity(query, positions)])
    return slots, scores
