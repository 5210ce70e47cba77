"""The readable part of a snapshot: what may be ranked, and the only thing that statistics are taken of."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from retrieval.index.segment import Segment

# Sets of readable rows that are remembered per snapshot, at about 20 bytes for every chunk of the index.
_REMEMBERED = 32


@dataclass(frozen=True)
class Selection:
    """`n` readable chunks, numbered 0 to n-1 in the order of their catalog rows: their *slots*.

    Nothing here depends on a chunk that is not readable, nor on how chunks lie in segments: rankings computed over
    slots are the same whatever else the index holds.
    """

    segments: tuple[Segment, ...]
    rows: NDArray[np.int64]  # (n,) ascending
    slots: tuple[NDArray[np.int32], ...]  # for each segment, the slot of each of its chunks, -1 if not readable
    owners: NDArray[np.int32]  # (n,) the segment of each slot
    positions: NDArray[np.int64]  # (n,) where in its segment

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """(n,) words of each chunk."""
        return self._collect("lengths").astype(np.float32)

    @cached_property
    def languages(self) -> NDArray[np.uint16]:
        """(n,) language codes."""
        return self._collect("languages")

    @cached_property
    def bitmaps(self) -> tuple[NDArray[np.uint8], ...]:
        """For each segment, one bit for each of its chunks, lowest first: set where readable."""
        return tuple(np.packbits(slots >= 0, bitorder="little") for slots in self.slots)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many chunks of each segment are readable."""
        return tuple(np.bincount(self.owners, minlength=len(self.segments)).tolist())

    def vectors(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """(len(slots), dimension): the exact vectors of some slots."""
        if len(self.segments) == 1:
            return np.asarray(self.segments[0].arrays.vectors[self.positions[slots]])
        gathered = np.empty((len(slots), self.segments[0].arrays.vectors.shape[1]), np.float32)
        owners = self.owners[slots]
        for number, segment in enumerate(self.segments):
            here = np.flatnonzero(owners == number)
            gathered[here] = segment.arrays.vectors[self.positions[slots[here]]]
        return gathered

    def _collect(self, name: str) -> NDArray[Any]:
        collected = np.empty(len(self), getattr(self.segments[0].arrays, name).dtype if self.segments else np.uint32)
        for segment, slots in zip(self.segments, self.slots, strict=True):
            readable = slots >= 0
            collected[slots[readable]] = getattr(segment.arrays, name)[readable]
        return collected


def select(segments: Sequence[Segment], readable: BitMap | FrozenBitMap) -> Selection:
    """The chunks of `segments` that are live and among `readable`."""
    found = [np.array((segment.live & readable).to_array(), np.int64) for segment in segments]
    rows = np.sort(np.concatenate([np.zeros(0, np.int64), *found]))
    owners = np.empty(len(rows), np.int32)
    positions = np.empty(len(rows), np.int64)
    slots = []
    for number, (segment, own) in enumerate(zip(segments, found, strict=True)):
        ascending, order = segment.sorted_rows
        places = order[np.searchsorted(ascending, own)]
        own_slots = np.searchsorted(rows, own)
        owners[own_slots], positions[own_slots] = number, places
        mapping = np.full(len(segment.arrays.rows), -1, np.int32)
        mapping[places] = own_slots
        slots.append(mapping)
    return Selection(tuple(segments), rows, tuple(slots), owners, positions)


class SelectionCache:
    """The selections of the last few readable sets over the same segments; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[FrozenBitMap, Selection] = OrderedDict()

    def select(self, segments: Sequence[Segment], readable: BitMap | FrozenBitMap) -> Selection:
        key = FrozenBitMap(readable)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        selection = select(segments, readable)
        with self._lock:
            self._known[key] = selection
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return selection
