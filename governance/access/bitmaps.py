"""Flags, bits and compressed bitmaps of numbers, each from another: where one by one takes milliseconds."""

from __future__ import annotations

import ctypes
from array import array
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from core.compiled import compiled

# The Roaring bitmap's interchange format (RoaringFormatSpec; Lemire et al., "Roaring Bitmaps: Implementation of an
# Optimized Software Library", 2018): containers of 2^16 numbers, as an array of 16 bits each up to 4,096 of them, and
# above that as a bit for each, or else as runs.
_COOKIE, _COOKIE_WITH_RUNS = 12_346, 12_347
_CONTAINER = 1 << 16
_LARGEST_ARRAY = 4_096
_FEWEST_WITH_OFFSETS = 4

_WORD = 64
_LAYOUT = 1  # see `flags_layout` in native/flags.c


def bits_at(flags: NDArray[np.bool_], numbers: NDArray[np.uint32]) -> tuple[NDArray[np.uint64], int]:
    """Bit i, the lowest of the first word first, is the flag at `numbers[i]`; zeros up to a whole word.

    And how many are set. Whoever calls sees to it that there is a flag for each number.
    """
    bits = np.zeros(-(-len(numbers) // _WORD), np.uint64)
    library = _library()
    if library is None:
        packed = np.packbits(flags[numbers.astype(np.intp)], bitorder="little")
        bits.view(np.uint8)[: len(packed)] = packed
        return bits, int(np.bitwise_count(bits).sum())
    whole = np.ascontiguousarray(numbers, np.uint32)
    return bits, library.flags_at(flags.ctypes.data, whole.ctypes.data, len(whole), bits.ctypes.data)


@cache
def _library() -> ctypes.CDLL | None:
    """What was compiled; None where it was not."""
    library = compiled("governance._flags", _LAYOUT)
    if library is not None:
        library.flags_at.restype = ctypes.c_int64
        library.flags_at.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
    return library


def bitmap_of_numbers(numbers: NDArray[np.integer[Any]]) -> BitMap:
    """These numbers, below 2^32 and in any order.

    Roaring takes them one by one from an array of NumPy's, for which no other thread runs Python meanwhile: 50 ms of a
    million.
    """
    return BitMap(array("I", np.sort(numbers.astype(np.uint32)).tobytes()))


def bitmap_of(bits: NDArray[np.uint64]) -> FrozenBitMap:
    """The numbers of the bits that are set, the lowest of the first word being 0."""
    words = _CONTAINER // _WORD
    containers = [bits[at : at + words] for at in range(0, len(bits), words)]
    counts = [int(np.bitwise_count(container).sum(dtype=np.int64)) for container in containers]
    used = [key for key, count in enumerate(counts) if count]
    parts = [_serialized(containers[key], counts[key]) for key in used]
    header = np.array([[key, counts[key] - 1] for key in used], "<u2")
    first = 8 + 8 * len(used)
    offsets = np.cumsum([first, *map(len, parts)], dtype="<u4")[:-1]
    start = np.array([_COOKIE, len(used)], "<u4")
    return FrozenBitMap.deserialize(b"".join([start.tobytes(), header.tobytes(), offsets.tobytes(), *parts]))


def flags_of(bitmap: BitMap | FrozenBitMap, size: int) -> NDArray[np.bool_]:
    """One flag for each number below `size`, set for those in the bitmap."""
    flags = np.zeros(size, np.bool_)
    data = bitmap.serialize()
    cookie = int.from_bytes(data[:4], "little")
    if cookie == _COOKIE:
        count, at = int.from_bytes(data[4:8], "little"), 8
        with_runs = np.zeros(count, np.bool_)
    else:
        assert cookie & 0xFFFF == _COOKIE_WITH_RUNS
        count = (cookie >> 16) + 1
        at = 4 + -(-count // 8)
        with_runs = np.unpackbits(np.frombuffer(data, np.uint8, at - 4, 4), bitorder="little").view(np.bool_)
    header = np.frombuffer(data, "<u2", 2 * count, at).reshape(-1, 2).tolist()
    at += 4 * count
    if cookie == _COOKIE or count >= _FEWEST_WITH_OFFSETS:
        at += 4 * count
    for (key, last), runs in zip(header, with_runs.tolist(), strict=False):
        here = flags[key * _CONTAINER : (key + 1) * _CONTAINER]
        if runs:
            pairs = np.frombuffer(data, "<u2", 2 * int.from_bytes(data[at : at + 2], "little"), at + 2).reshape(-1, 2)
            here[:] = _runs(pairs.astype(np.int64))[: len(here)]
            at += 2 + pairs.nbytes
        elif last < _LARGEST_ARRAY:
            numbers = np.frombuffer(data, "<u2", last + 1, at)
            here[numbers[numbers < len(here)]] = True
            at += numbers.nbytes
        else:
            bits = np.frombuffer(data, np.uint8, _CONTAINER // 8, at)
            here[:] = np.unpackbits(bits, count=len(here), bitorder="little").view(np.bool_)
            at += _CONTAINER // 8
    return flags


def _runs(pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A container of runs: the first number of each, and how many follow it."""
    edges = np.concatenate([[0], np.stack([pairs[:, 0], pairs[:, 0] + pairs[:, 1] + 1], axis=1).ravel(), [_CONTAINER]])
    return np.repeat(np.arange(len(edges) - 1) % 2 == 1, np.diff(edges))


def _serialized(container: NDArray[np.uint64], count: int) -> bytes:
    if count <= _LARGEST_ARRAY:
        return np.flatnonzero(np.unpackbits(container.view(np.uint8), bitorder="little")).astype("<u2").tobytes()
    return container.tobytes().ljust(_CONTAINER // 8, b"\0")
