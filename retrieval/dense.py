"""Dense retrieval: the exact cosine similarity of a query to the readable chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.index.segment import Segment
from retrieval.index.selection import Selection

# Up to this many readable chunks of a segment, reading their vectors costs less than scanning its codes.
_FEW = 1_024

# How much deeper the codes are scanned at first than is asked for.
_OVERSAMPLING = 4

# The largest number a code holds.
_LARGEST_CODE = 127

# Bounds the rounding of a product of unit vectors in 32 bits.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Candidates:
    """Slots of one segment with approximate scores: no score is off by more than `error`.

    Readable chunks of the segment that are missing here score at most `unseen` exactly.
    """

    slots: NDArray[np.int64]
    scores: NDArray[np.float32]
    error: float
    unseen: float


def similarity(selection: Selection, query: NDArray[np.float32], slots: NDArray[np.int64]) -> NDArray[np.float32]:
    """The cosine similarity of `query`, a unit vector, to some slots: shape (len(slots),).

    Each is summed in the same order wherever it stands, so it is the same bits whatever is computed with it. A
    matrix product would not promise that, and would start threads for which a question has no work.
    """
    products: NDArray[np.float32] = np.einsum("ij,j->i", selection.vectors(slots), query)
    return products


def nearest(selection: Selection, query: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The min(k, n) slots most similar to `query`, best first, equal ones by row; and their similarities.

    The result is that of comparing the query with every slot. Many slots are first scanned by 8-bit codes (FAISS),
    whose error is bounded; the scan goes deeper until nothing that it left out can be among the best k.
    """
    k = min(k, len(selection))
    if k == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    depth = k * _OVERSAMPLING
    while True:
        found = [_candidates(selection, number, query, depth) for number in range(len(selection.segments))]
        slots = _contenders(found, k)
        scores = similarity(selection, query, slots)
        best = np.lexsort((slots, -scores))[:k]
        if len(best) == k and max(part.unseen for part in found) < scores[best[-1]]:
            return slots[best], scores[best]
        depth *= _OVERSAMPLING


def _contenders(found: list[Candidates], k: int) -> NDArray[np.int64]:
    """The candidates that can be among the best k, given how far each score may be off."""
    slots = np.concatenate([part.slots for part in found])
    scores = np.concatenate([part.scores for part in found])
    error = max(part.error for part in found)
    if len(slots) <= k:
        return slots
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    contenders: NDArray[np.int64] = slots[scores >= threshold - 2 * error]
    return contenders


def _candidates(selection: Selection, number: int, query: NDArray[np.float32], depth: int) -> Candidates:
    segment, count = selection.segments[number], selection.counts[number]
    if segment.codes is None or count <= max(_FEW, depth):
        slots = np.flatnonzero(selection.owners == number)
        return Candidates(slots, similarity(selection, query, slots), 0.0, -np.inf)
    return _scan(selection, number, query, depth)


def _scan(selection: Selection, number: int, query: NDArray[np.float32], depth: int) -> Candidates:
    """The best `depth` readable chunks of a segment by its codes."""
    segment = selection.segments[number]
    scale = _LARGEST_CODE / max(float(np.abs(query).max()), float(np.finfo(np.float32).tiny))
    scaled = np.rint(query * np.float32(scale))
    everything = selection.counts[number] == len(segment.arrays.rows)
    readable = None if everything else selection.bitmaps[number]
    products, positions = _search_codes(segment, scaled, depth, readable)
    scores = products * np.float32(1 / (segment.record.scale * scale))
    error = _bound(query, scaled / np.float32(scale), segment.record.residual)
    slots = selection.slots[number][positions].astype(np.int64)
    return Candidates(slots, scores, error, float(scores[-1]) + error)


def _search_codes(
    segment: Segment, query: NDArray[np.float32], depth: int, readable: NDArray[np.uint8] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """FAISS's best products, best first, among the chunks whose bits are set (or all), and where they stand."""
    faiss_api: Any = faiss  # its own annotations know neither numpy arrays nor keyword arguments
    parameters = None
    if readable is not None:
        parameters = faiss_api.SearchParameters(sel=faiss_api.IDSelectorBitmap(readable))
    faiss_api.omp_set_num_threads(1)  # one query is one thread's work; a second would only be waited for
    products, positions = segment.codes.search(query[None, :], depth, params=parameters)
    return products[0], positions[0]


def _bound(query: NDArray[np.float32], rounded: NDArray[np.float32], residual: float) -> float:
    """How far a product of codes can be from the exact score.

    FAISS multiplies whole numbers, so the query is rounded as the vectors are. With x' = x + a and y' = y + b,
    |x·y - x'·y'| is at most |a| (1 + |b|) + |b| for unit vectors.
    """
    lost = float(np.linalg.norm(query - rounded))
    return lost * (1 + residual) + residual + _ROUNDING
