"""A scan: one segment's readable chunks and a query in, the few that can be among the nearest out.

Which scan it is decides how long it takes and nothing else. The bounds are derived in docs/decisions/dense-scan.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.index.segment import LARGEST_CODE, Segment
from retrieval.index.signs import packed_bits, rotation

PLANES = 4
"""Bits that a component of a rotated query is rounded to: the compiled scan counts as many planes of bits."""
_LARGEST_IN_PLANES = 2 ** (PLANES - 1) - 1

# So many standard deviations lie between an estimate and what is left out: once in 3 million (a normal distribution's
# tail), for a chunk whose similarity is exactly the k-th.
DEVIATIONS = 5.0

ROUNDING = 1e-5
"""Bounds the rounding of a product of unit vectors in 32 bits."""

_EIGHT = 8
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Part:
    """The readable chunks of one segment: `count` of them, a bit for each set in `bitmap`."""

    segment: Segment
    bitmap: NDArray[np.uint8]
    count: int

    @property
    def whole(self) -> bool:
        """Whether everything in the segment is readable."""
        return self.count == len(self.segment.arrays.rows)

    def positions(self) -> NDArray[np.int64]:
        """Where in the segment they stand, ascending."""
        return np.flatnonzero(np.unpackbits(self.bitmap, count=len(self.segment.arrays.rows), bitorder="little"))

    def similarity(self, query: NDArray[np.float32], positions: NDArray[np.int64]) -> NDArray[np.float32]:
        return exact_similarity(self.segment.arrays.vectors[positions], query)


class Scan(Protocol):
    """One way to look through a segment."""

    def contenders(self, part: Part, query: Query, k: int, threshold: float) -> NDArray[np.int64]:
        """Positions in the segment, ascending: all readable chunks that can be among the `k` nearest of the segment.

        Those that are less similar than `threshold` may be missing; no position is that of a chunk that is not
        readable.
        """


@dataclass(frozen=True)
class Query:
    """A unit vector, and what scans make of it."""

    vector: NDArray[np.float32]

    @cached_property
    def rotated(self) -> NDArray[np.float32]:
        """Rotated as the vectors of `Signs` are."""
        turned: NDArray[np.float32] = np.einsum("ij,j->i", rotation(len(self.vector)), self.vector)
        return turned

    @cached_property
    def code(self) -> Rounded:
        """In whole numbers of 8 bits."""
        return _rounded(self.vector, LARGEST_CODE)

    @cached_property
    def coarse(self) -> Rounded:
        """Rotated, in whole numbers of `PLANES` bits.

        The step is chosen so that what rounding took away is at a right angle to the query: it is then noise, and
        pulls estimates in no direction.
        """
        rounded = _rounded(self.rotated, _LARGEST_IN_PLANES)
        restored = rounded.numbers * np.float32(rounded.step)
        along = max(float(restored @ self.rotated), _TINY)
        return Rounded(rounded.numbers, rounded.step / along, float(np.linalg.norm(restored / along - self.rotated)))

    @cached_property
    def planes(self) -> NDArray[np.uint64]:
        """(PLANES, words): the bits of `coarse` in two's complement, the lowest plane first.

        A vector's words again and again, until eight at a time come to an end.
        """
        numbers = self.coarse.numbers.astype(np.int8)
        bits = (numbers[None, :] >> np.arange(PLANES, dtype=np.int8)[:, None] & 1).astype(np.bool_)
        packed = packed_bits(bits)
        return np.tile(packed, _EIGHT // gcd(_EIGHT, packed.shape[1]))

    def code_error(self, segment: Segment) -> float:
        """How far a product of 8-bit codes can be from the similarity.

        Both vectors are rounded. With x' = x + a and y' = y + b, |x·y - x'·y'| is at most |a| (1 + |b|) + |b| for
        unit vectors.
        """
        lost, residual = self.code.lost, segment.record.residual
        return lost * (1 + residual) + residual + ROUNDING


@dataclass(frozen=True)
class Rounded:
    """A vector as whole numbers times `step`; `lost` is the length of what that took away."""

    numbers: NDArray[np.float32]
    step: float
    lost: float


def exact_similarity(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine similarity of unit vectors to another: shape (len(vectors),).

    Each is summed in the same order wherever it stands, so it is the same bits whatever is computed with it. A
    matrix product would not promise that, and would start threads for which a question has no work.
    """
    products: NDArray[np.float32] = np.einsum("ij,j->i", vectors, query)
    return products


def highest(numbers: NDArray[np.float32], k: int) -> float:
    """The k-th highest, -inf where there are fewer."""
    return float(np.partition(numbers, len(numbers) - k)[len(numbers) - k]) if len(numbers) >= k else -np.inf


def search_faiss(
    index: Any, query: NDArray[np.float32], depth: int, part: Part, **parameters: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """FAISS's best `depth` products with what is readable of a segment, best first, and their positions."""
    faiss_api: Any = faiss  # its own annotations know neither numpy arrays nor keyword arguments
    chosen = None
    if not part.whole:
        kind = faiss_api.SearchParametersIVF if parameters else faiss_api.SearchParameters
        chosen = kind(sel=faiss_api.IDSelectorBitmap(part.bitmap), **parameters)
    faiss_api.omp_set_num_threads(1)  # one query is one thread's work; a second would only be waited for
    products, positions = index.search(query[None, :], depth, params=chosen)
    found = positions[0] >= 0  # FAISS pads a short result with -1
    return products[0][found], positions[0][found]


def _rounded(vector: NDArray[np.float32], largest: int) -> Rounded:
    scale = np.float32(largest / max(float(np.abs(vector).max()), _TINY))
    numbers = np.rint(vector * scale)
    return Rounded(numbers, float(1 / scale), float(np.linalg.norm(vector - numbers / scale)))
