"""The loops of BM25 over one segment's postings: compiled where a compiler was at installation, in NumPy elsewhere.

Both give the same scores to the last bit and the same chunks.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.compiled import compiled
from retrieval.index.segment import SegmentArrays

_LAYOUT = 1  # see `bm25_layout` in native/bm25.c


@dataclass(frozen=True)
class Terms:
    """The postings of some terms in one segment, and what decides their scores.

    Term t has the postings `first[t]` to `last[t]`. In a chunk of length l it has gains[t] f / (f + base + slope l)
    for the f times it occurs. `readable` is one bit for each chunk in words of 64, None for all of them.
    """

    arrays: SegmentArrays
    readable: NDArray[np.uint64] | None
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    gains: NDArray[np.float32]
    base: np.float32
    slope: np.float32


class Loops(Protocol):
    """What is done with every posting of a segment."""

    def counts(self, terms: Terms) -> NDArray[np.int64]:
        """How many readable chunks have each term; `gains`, `base` and `slope` are not read."""

    def best(self, terms: Terms, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The best k readable chunks that have a term, by score and then by row, in no order: positions and scores."""

    def of(self, terms: Terms, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of the chunks at some positions."""


def loops() -> Loops:
    """The fastest there are."""
    library = _library()
    return CompiledLoops(library) if library is not None else NumpyLoops()


class NumpyLoops:
    """An array operation for each step, over all postings of a term."""

    def counts(self, terms: Terms) -> NDArray[np.int64]:
        if terms.readable is None:
            return terms.last - terms.first
        readable = _flags(terms.readable)
        places = map(slice, terms.first, terms.last)
        return np.array([np.count_nonzero(readable[terms.arrays.chunks[place]]) for place in places], np.int64)

    def best(self, terms: Terms, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        scores = np.zeros(len(terms.arrays.rows), np.float32)
        readable = None if terms.readable is None else _flags(terms.readable)
        for place, gain in zip(map(slice, terms.first, terms.last), terms.gains, strict=True):
            chunks, frequencies = terms.arrays.chunks[place], terms.arrays.frequencies[place]
            if readable is not None:
                kept = readable[chunks]
                chunks, frequencies = chunks[kept], frequencies[kept]
            scores[chunks] += _gained(terms, gain, chunks, frequencies)
        matched = np.flatnonzero(scores > 0)
        if len(matched) > k:
            threshold = np.partition(scores[matched], len(matched) - k)[len(matched) - k]
            matched = matched[scores[matched] >= threshold]
            matched = matched[np.lexsort((terms.arrays.rows[matched], -scores[matched]))[:k]]
        return matched, scores[matched]

    def of(self, terms: Terms, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        scores = np.zeros(len(positions), np.float32)
        asked = positions.astype(np.uint32)
        for first, last, gain in zip(terms.first.tolist(), terms.last.tolist(), terms.gains, strict=True):
            if first < last:
                at = np.minimum(first + np.searchsorted(terms.arrays.chunks[first:last], asked), last - 1)
                here = np.flatnonzero(terms.arrays.chunks[at] == asked)
                scores[here] += _gained(terms, gain, asked[here], terms.arrays.frequencies[at[here]])
        return scores


def _flags(bits: NDArray[np.uint64]) -> NDArray[np.bool_]:
    return np.unpackbits(bits.view(np.uint8), bitorder="little").view(np.bool_)


def _gained(
    terms: Terms, gain: np.float32, chunks: NDArray[np.uint32], frequencies: NDArray[np.uint16]
) -> NDArray[np.float32]:
    lengths = terms.arrays.lengths[chunks].astype(np.float32)
    often = frequencies.astype(np.float32)
    return np.asarray(gain * often / (often + (terms.base + terms.slope * lengths)), np.float32)


class CompiledLoops:
    """`native/bm25.c`; while it runs, other threads run Python."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def counts(self, terms: Terms) -> NDArray[np.int64]:
        if terms.readable is None:
            return terms.last - terms.first
        counts = np.empty(len(terms.first), np.int64)
        self._library.bm25_count(
            _at(terms.arrays.chunks),
            _at(terms.readable),
            _at(terms.first),
            _at(terms.last),
            len(terms.first),
            _at(counts),
        )
        return counts

    def best(self, terms: Terms, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        k = min(k, len(terms.arrays.rows))
        following = np.empty(len(terms.first), np.int64)
        scores, rows, positions = np.empty(k, np.float32), np.empty(k, np.int64), np.empty(k, np.uint32)
        found = self._library.bm25_best(
            ctypes.byref(_native(terms)),
            _at(terms.arrays.rows),
            _at(following),
            k,
            _at(scores),
            _at(rows),
            _at(positions),
        )
        return positions[:found].astype(np.int64), scores[:found]

    def of(self, terms: Terms, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        scores = np.empty(len(positions), np.float32)
        asked = positions.astype(np.uint32)
        self._library.bm25_of(ctypes.byref(_native(terms)), _at(asked), len(asked), _at(scores))
        return scores


class _Native(ctypes.Structure):
    """`Terms` as `native/bm25.c` knows it."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("chunks", "frequencies", "lengths", "readable")),
        *((name, ctypes.c_void_p) for name in ("first", "last", "gains")),
        ("terms", ctypes.c_int64),
        ("base", ctypes.c_float),
        ("slope", ctypes.c_float),
    )


def _native(terms: Terms) -> _Native:
    arrays = terms.arrays
    return _Native(
        _at(arrays.chunks),
        _at(arrays.frequencies),
        _at(arrays.lengths),
        None if terms.readable is None else _at(terms.readable),
        _at(terms.first),
        _at(terms.last),
        _at(terms.gains),
        len(terms.first),
        terms.base,
        terms.slope,
    )


def _at(array: NDArray[Any]) -> int:
    return array.ctypes.data


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled loops; None where they were not built."""
    library = compiled("retrieval._bm25", _LAYOUT)
    if library is None:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.bm25_count.argtypes = [pointer, pointer, pointer, pointer, number, pointer]
    library.bm25_best.argtypes = [pointer, pointer, pointer, number, pointer, pointer, pointer]
    library.bm25_best.restype = number
    library.bm25_of.argtypes = [pointer, pointer, number, pointer]
    library.bm25_count.restype = library.bm25_of.restype = None
    return library
