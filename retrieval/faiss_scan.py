"""A scan by FAISS alone, for where the compiled one was not built: slower, with the same results."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.index.segment import Segment
from retrieval.index.signs import Signs
from retrieval.scan import DEVIATIONS, ROUNDING, Part, Query, highest, search_faiss

# Up to this many readable chunks of a segment, reading their vectors costs less than scanning for the best.
FEW = 1_024
# How much deeper a scan looks at first than is asked for.
_OVERSAMPLING = 4
# A scan by signs that would have to look deeper is left to the 8-bit codes: sorting would cost more than they do.
_DEEPEST = 1 << 14

_QUARTER = 4  # FAISS looks up a quarter of 16 bits at a time
_TABLE_STEPS = 255  # and rounds what it finds there to a byte


@dataclass(frozen=True)
class FaissScan:
    """Signs by `IndexIVFPQFastScan` with one list, which is made of a segment when it is first scanned; 8-bit codes
    where fewer have to be read, where signs do not settle it, or a segment of an earlier version has none."""

    signs_above: int = 320_000
    """Up to so many the codes settle it within 15 milliseconds. A scan by signs costs half as much, whatever is
    readable, and comes before them in vain where a question is about what its asker may not read."""
    shallowest: int = 4_096
    """Looked at first at least: looking a second time costs more."""
    _made: weakref.WeakKeyDictionary[Signs, _SignIndex] = field(default_factory=weakref.WeakKeyDictionary)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def contenders(self, part: Part, query: Query, k: int, threshold: float) -> NDArray[np.int64]:
        if part.segment.codes is None or part.count <= max(FEW, k):
            return part.positions()
        found = None
        if part.segment.signs is not None and _touched(part) > self.signs_above:
            found = self._by_signs(part, query, k, threshold)
        return by_codes(part, query, k, self.shallowest) if found is None else found

    def _by_signs(self, part: Part, query: Query, k: int, threshold: float) -> NDArray[np.int64] | None:
        """None where too many could be among the best."""
        signs, index = part.segment.signs, self._index(part.segment)
        assert signs is not None
        rotated = np.pad(query.rotated, (0, index.faiss.d - len(query.vector)))
        # What FAISS loses by rounding each of its tables to bytes, by the widest of them.
        quarters = np.abs(rotated).reshape(-1, _QUARTER).sum(axis=1)
        lost = len(quarters) * 2 * float(quarters.max()) / _TABLE_STEPS
        depth = max(self.shallowest, _OVERSAMPLING * k)
        while depth <= min(_DEEPEST, part.count // 2):
            products, positions = search_faiss(index.faiss, rotated, depth, part, nprobe=1)
            factors = signs.factors[0, positions]
            estimates = products * factors
            probed = np.argsort(-estimates, kind="stable")[: _OVERSAMPLING * k]
            lowest = max(threshold, highest(part.similarity(query.vector, positions[probed]), k)) - ROUNDING
            if len(positions) < depth or _unseen(float(products[-1]) + lost, signs, len(query.vector), lowest):
                kept = estimates >= lowest - margin(factors, len(query.vector), lowest) - lost * factors
                return np.sort(positions[kept])
            depth *= _OVERSAMPLING
        return None

    def _index(self, segment: Segment) -> _SignIndex:
        assert segment.signs is not None
        with self._making:
            made = self._made.get(segment.signs)
            if made is None:
                made = self._made[segment.signs] = _SignIndex(segment.signs, *segment.arrays.vectors.shape)
            return made


def _touched(part: Part) -> int:
    """How many chunks are read, for what lies between readable ones comes along with them."""
    return int(np.count_nonzero(part.bitmap.view(np.uint64))) * 64


def margin(factors: NDArray[np.float32], dimension: int, threshold: float) -> NDArray[np.float64]:
    """How far below `threshold` the estimate of a vector may be whose similarity is `threshold` or more.

    As in `native/scan.c`, for a query that has not been rounded.
    """
    across = 1 - max(threshold, 0.0) ** 2
    tangents = np.maximum(dimension * factors.astype(np.float64) ** 2 - 1, 0)
    bounds: NDArray[np.float64] = DEVIATIONS * np.sqrt(tangents * max(across, 0.0) / max(dimension - 1, 1))
    return bounds


def _unseen(product: float, signs: Signs, dimension: int, threshold: float) -> bool:
    """Whether nothing whose product is at most `product` can reach `threshold`."""
    factor = np.array([signs.largest_factor], np.float32)
    return bool(product * factor < threshold - margin(factor, dimension, threshold)) if product > 0 else False


class _SignIndex:
    """FAISS's own copy of the signs: each four of them an index into a table of 16 products."""

    def __init__(self, signs: Signs, count: int, dimension: int) -> None:
        api: Any = faiss
        width = signs.words.shape[2] * 64
        self._origin = api.IndexFlatIP(width)
        self._origin.add(np.zeros((1, width), np.float32))
        plain = api.IndexIVFPQ(self._origin, width, 1, width // _QUARTER, _QUARTER, api.METRIC_INNER_PRODUCT)
        plain.by_residual = False
        plain.is_trained = True
        corners = np.array([[2 * (number >> bit & 1) - 1 for bit in range(_QUARTER)] for number in range(16)])
        api.copy_array_to_vector(
            np.tile(corners, (width // _QUARTER, 1)).astype(np.float32).ravel(), plain.pq.centroids
        )
        numbers, codes = np.arange(count, dtype=np.int64), np.ascontiguousarray(signs.words[0]).view(np.uint8)
        plain.invlists.add_entries(0, count, api.swig_ptr(numbers), api.swig_ptr(codes))
        plain.ntotal = count
        self.faiss = api.IndexIVFPQFastScan(plain)


def by_codes(part: Part, query: Query, k: int, shallowest: int = FaissScan.shallowest) -> NDArray[np.int64]:
    """By the 8-bit codes, deeper than `shallowest` until nothing that was left out can be among the best."""
    record, error = part.segment.record, query.code_error(part.segment)
    depth = max(_OVERSAMPLING * k, shallowest)
    while depth < part.count:
        products, positions = search_faiss(part.segment.codes, query.code.numbers, depth, part)
        scores = products * np.float32(query.code.step / record.scale)
        kth = float(scores[k - 1])
        if float(scores[-1]) < kth - 2 * error:
            return np.sort(positions[scores >= kth - 2 * error])
        depth *= _OVERSAMPLING
    return part.positions()
