"""Compressed bitmaps from and to one flag for each number: copied, where number by number takes milliseconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

# The Roaring bitmap's interchange format (RoaringFormatSpec; Lemire et al., "Roaring Bitmaps: Implementation of an
# Optimized Software Library", 2018): containers of 2^16 numbers, as an array of 16 bits each up to 4,096 of them, and
# above that as a bit for each, or else as runs.
_COOKIE, _COOKIE_WITH_RUNS = 12_346, 12_347
_CONTAINER = 1 << 16
_LARGEST_ARRAY = 4_096
_FEWEST_WITH_OFFSETS = 4


def bitmap_of(flags: NDArray[np.bool_]) -> FrozenBitMap:
    """The numbers of the flags that are set."""
    containers = [flags[at : at + _CONTAINER] for at in range(0, len(flags), _CONTAINER)]
    counts = [int(np.count_nonzero(container)) for container in containers]
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


def _serialized(container: NDArray[np.bool_], count: int) -> bytes:
    if count <= _LARGEST_ARRAY:
        return np.flatnonzero(container).astype("<u2").tobytes()
    return np.packbits(container, bitorder="little").tobytes().ljust(_CONTAINER // 8, b"\0")
