"""The compiled scan: `native/scan.c` from Python. It is there where the package was installed with a C compiler."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.compiled import compiled
from retrieval.faiss_scan import by_codes
from retrieval.scan import DEVIATIONS, ROUNDING, Part, Query

_LAYOUT = 2  # see `scan_layout` in native/scan.c

# Up to this many readable chunks of a segment, reading their vectors costs less than rotating the query and looking at
# signs.
FEW = 1_024
# So many times k of the best estimates, and at least some, are looked at first for a threshold to all others.
_OVERSAMPLING = 4
_FEWEST_PROBED = 64

_Pointer: Any = ctypes.c_void_p

_ARRAYS = ("signs", "factors", "fine_signs", "fine_factors", "fine_spreads", "codes", "vectors")


class _Segment(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in _ARRAYS),
        ("count", ctypes.c_int64),
        ("dimension", ctypes.c_int32),
        ("words", ctypes.c_int32),
        ("largest_factor", ctypes.c_float),
    )


class _Query(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("planes", "bytes", "vector")),
        *((name, ctypes.c_int32) for name in ("stride", "plane_sum", "byte_sum")),
        *((name, ctypes.c_float) for name in ("step", "lost", "deviations", "code_scale", "code_error", "rounding")),
    )


class _Work(ctypes.Structure):
    _fields_ = tuple((name, _Pointer) for name in ("estimates", "scores", "sorting", "listed", "positions"))


class _Room:
    """What one scan of up to `count` vectors works in; the system gives memory only to what is touched."""

    def __init__(self, count: int) -> None:
        self.count = count
        numbers = [np.empty(count, np.float32) for _ in range(3)]
        listed, self.positions = (np.empty(count, np.int32) for _ in range(2))
        self._worked_in = [*numbers, listed, self.positions]
        self.work = _Work(*(array.ctypes.data for array in self._worked_in))


@dataclass(frozen=True)
class NativeScan:
    """Signs, then, of many that are left, second bits, then 8-bit codes, then vectors in single precision.

    `way` says by which instructions.
    """

    way: int
    _free: list[_Room] = field(default_factory=list)

    def contenders(self, part: Part, query: Query, k: int, threshold: float) -> NDArray[np.int64]:
        library = _library()
        assert library is not None, "ways() was not asked"
        segment = part.segment
        if segment.signs is None and segment.codes is not None and part.count > FEW:
            return by_codes(part, query, k)
        bitmap = None if part.whole else part.bitmap.ctypes.data
        probed = max(_OVERSAMPLING * k, _FEWEST_PROBED)
        with self._room(len(segment.arrays.rows)) as room:
            if segment.signs is None or part.count <= max(FEW, probed):
                found = library.scan_directly(
                    *map(ctypes.byref, (_vectors_of(part), _vector_of(query))),
                    *(bitmap, k, threshold, self.way, ctypes.byref(room.work)),
                )
            else:
                planes, code = query.planes, query.code.numbers.astype(np.int8)  # they live as long as the call
                found = library.scan_signs(
                    *map(ctypes.byref, (_signs_of(part), _rounded(query, part, planes, code))),
                    *(bitmap, k, probed, threshold, self.way, ctypes.byref(room.work)),
                )
            return np.sort(room.positions[:found]).astype(np.int64)

    @contextmanager
    def _room(self, count: int) -> Iterator[_Room]:
        try:
            room = self._free.pop()
        except IndexError:
            room = _Room(count)
        if room.count < count:
            room = _Room(count)
        try:
            yield room
        finally:
            self._free.append(room)


def ways() -> tuple[int, ...]:
    """The ways in which this processor can scan, the fastest first; none where nothing was compiled."""
    library = _library()
    return tuple(range(library.scan_way(), -1, -1)) if library is not None else ()


def _vectors_of(part: Part) -> _Segment:
    vectors = part.segment.arrays.vectors
    return _Segment(vectors=vectors.ctypes.data, count=len(vectors), dimension=vectors.shape[1])


def _signs_of(part: Part) -> _Segment:
    signs, described = part.segment.signs, _vectors_of(part)
    assert signs is not None
    described.signs, described.fine_signs = (words.ctypes.data for words in signs.words)
    described.factors, described.fine_factors, described.fine_spreads = (row.ctypes.data for row in signs.factors)
    described.codes = part.segment.code_bytes.ctypes.data
    described.words, described.largest_factor = signs.words.shape[2], signs.largest_factor
    return described


def _vector_of(query: Query) -> _Query:
    return _Query(vector=query.vector.ctypes.data, rounding=ROUNDING)


def _rounded(query: Query, part: Part, planes: NDArray[np.uint64], code: NDArray[np.int8]) -> _Query:
    coarse, described = query.coarse, _vector_of(query)
    described.planes, described.stride, described.bytes = planes.ctypes.data, planes.shape[1], code.ctypes.data
    described.plane_sum, described.byte_sum = int(coarse.numbers.sum()), int(code.sum(dtype=np.int64))
    described.step, described.lost, described.deviations = coarse.step, coarse.lost, DEVIATIONS
    described.code_scale = query.code.step / part.segment.record.scale
    described.code_error = query.code_error(part.segment)
    return described


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled scan; None where it was not built."""
    library = compiled("retrieval._scan", _LAYOUT)
    if library is None:
        return None
    library.scan_way.argtypes = ()
    library.scan_directly.restype = library.scan_signs.restype = ctypes.c_int64
    first = [_Pointer, _Pointer, _Pointer, ctypes.c_int64]
    library.scan_directly.argtypes = [*first, ctypes.c_float, ctypes.c_int, _Pointer]
    library.scan_signs.argtypes = [*first, ctypes.c_int64, ctypes.c_float, ctypes.c_int, _Pointer]
    return library
