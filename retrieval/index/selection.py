"""The readable part of a snapshot: what may be ranked, and the only thing that statistics are taken of."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from governance.access.bitmaps import bits_at, flags_of
from retrieval.index.segment import Segment

# Sets of readable rows that are remembered per snapshot, at about a bit for every chunk of the index.
_REMEMBERED = 32

# A byte for every number up to the highest row costs less than looking rows up one by one, unless most numbers are of
# rows that are long gone.
_SPARSEST = 64


class VectorsElsewhere(Protocol):
    """Vectors that an engine of its own holds, while everything else of the chunks stands in segments."""

    def nearest(
        self, selection: Selection, query: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `retrieval.dense.nearest`: the slots most similar to `query`, and their similarities."""

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(len(rows), dimension): the exact vectors of some catalog rows."""


@dataclass(frozen=True, eq=False)
class Selection:
    """The readable chunks of some segments, each known by its *slot*: where it stands when the segments follow one
    another, each in the order in which it is stored.

    Where a chunk stands depends on what else the index holds. So slots only say which chunk is meant: what orders
    chunks of equal scores are their rows, and what is computed of them are whole numbers or never summed. Rankings are
    the same to the last bit whatever is hidden and however chunks lie in segments.
    """

    segments: tuple[Segment, ...]
    bitmaps: tuple[NDArray[np.uint8], ...]
    """For each segment, one bit for each of its chunks, lowest first, set where readable; zeros up to a whole word."""
    counts: tuple[int, ...]
    """How many chunks of each segment are readable."""
    elsewhere: VectorsElsewhere | None = None
    """Who holds the vectors, where the segments do not."""
    _speaking: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(self.counts)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The slot of each segment's first chunk, and at the end the number of all chunks."""
        return np.cumsum([0, *(len(segment.arrays.rows) for segment in self.segments)], dtype=np.int64)

    @cached_property
    def bits(self) -> tuple[NDArray[np.uint64] | None, ...]:
        """The same bitmaps in words of 64 bits, None for segments of which everything is readable."""
        return tuple(
            None if count == len(segment.arrays.rows) else bitmap.view(np.uint64)
            for segment, bitmap, count in zip(self.segments, self.bitmaps, self.counts, strict=True)
        )

    @cached_property
    def words(self) -> int:
        """The length of all readable chunks together: a whole number, which no order of summation changes."""
        return sum(
            int((segment.arrays.lengths * self._readable(number)).sum(dtype=np.int64))
            for number, segment in enumerate(self.segments)
        )

    def speaking(self, language: int) -> int:
        """How many chunks are in a language, given by its code."""
        if language not in self._speaking:
            self._speaking[language] = sum(
                int(np.count_nonzero((segment.arrays.languages == language) & self._readable(number)))
                for number, segment in enumerate(self.segments)
            )
        return self._speaking[language]

    def slots(self) -> NDArray[np.int64]:
        """The slots of all readable chunks, ascending."""
        return np.concatenate([np.zeros(0, np.int64), *map(self.slots_of, range(len(self.segments)))])

    def slots_of(self, number: int) -> NDArray[np.int64]:
        """The slots of a segment's readable chunks, ascending."""
        return self.slots_at(number, np.flatnonzero(self._readable(number)))

    def slots_at(self, number: int, positions: NDArray[Any]) -> NDArray[np.int64]:
        """The slots of what stands at some positions of a segment."""
        slots: NDArray[np.int64] = positions.astype(np.int64) + self.starts[number]
        return slots

    def rows_of(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The catalog rows of some slots."""
        return self._gather("rows", slots)

    def languages_of(self, slots: NDArray[np.int64]) -> NDArray[np.uint16]:
        """The language codes of some slots."""
        return self._gather("languages", slots)

    def lengths_of(self, slots: NDArray[np.int64]) -> NDArray[np.uint32]:
        """The words of some slots."""
        return self._gather("lengths", slots)

    def vectors(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """(len(slots), dimension): the exact vectors of some slots."""
        if self.elsewhere is not None:
            return self.elsewhere.vectors(self.rows_of(slots))
        return self._gather("vectors", slots)

    def slots_for(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The slots of those of some catalog rows that are readable here, in the order given."""
        slots = np.full(len(rows), -1, np.int64)
        for number, segment in enumerate(self.segments):
            ascending, order = segment.sorted_rows
            if len(ascending) == 0:
                continue
            places = order[np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)]
            here = (segment.arrays.rows[places] == rows) & _is_set(self.bitmaps[number], places)
            slots[here] = places[here] + self.starts[number]
        return slots[slots >= 0]

    def within(self, slots: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """For each segment that some slots are of: its number, which of `slots` they are, and where in it."""
        owners = np.searchsorted(self.starts, slots, side="right") - 1
        found = []
        for number in range(len(self.segments)):
            here = np.flatnonzero(owners == number)
            if len(here):
                found.append((number, here, slots[here] - self.starts[number]))
        return found

    def are_readable(self, number: int, positions: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of some positions of a segment are readable."""
        return _is_set(self.bitmaps[number], positions)

    def _gather(self, name: str, slots: NDArray[np.int64]) -> NDArray[Any]:
        if len(self.segments) == 1:
            return np.asarray(getattr(self.segments[0].arrays, name)[slots])
        arrays = [getattr(segment.arrays, name) for segment in self.segments]
        gathered = np.empty((len(slots), *arrays[0].shape[1:]), arrays[0].dtype) if arrays else np.zeros(0, np.int64)
        for number, here, positions in self.within(slots):
            gathered[here] = arrays[number][positions]
        return gathered

    def _readable(self, number: int) -> NDArray[np.bool_]:
        count = len(self.segments[number].arrays.rows)
        return np.unpackbits(self.bitmaps[number], count=count, bitorder="little").view(np.bool_)


def select(
    segments: Sequence[Segment], readable: BitMap | FrozenBitMap, elsewhere: VectorsElsewhere | None = None
) -> Selection:
    """The chunks of `segments` that are live and among `readable`."""
    size = 1 + max((_highest(segment) for segment in segments), default=0)
    chunks = sum(len(segment.arrays.rows) for segment in segments)
    flags = flags_of(readable, size) if size < _SPARSEST * chunks else None
    chosen = [_chosen(segment, readable, flags) for segment in segments]
    bitmaps, counts = tuple(bits.view(np.uint8) for bits, _ in chosen), tuple(count for _, count in chosen)
    return Selection(tuple(segments), bitmaps, counts, elsewhere)


def _highest(segment: Segment) -> int:
    return max((rows.max() for rows in (segment.live, segment.dropped) if rows), default=0)


def _chosen(
    segment: Segment, readable: BitMap | FrozenBitMap, flags: NDArray[np.bool_] | None
) -> tuple[NDArray[np.uint64], int]:
    """A bit for each chunk of a segment, set where it is live and readable, and how many are.

    `flags` say which rows are readable, if given.
    """
    if flags is None:
        mask = np.isin(segment.arrays.rows, np.asarray((segment.live & readable).to_array()))
        return bits_at(mask, np.arange(len(mask), dtype=np.uint32))
    if segment.dropped:
        flags = flags.copy()
        flags[np.asarray(segment.dropped.to_array())] = False
    return bits_at(flags, segment.row_numbers)


def _is_set(bitmap: NDArray[np.uint8], positions: NDArray[Any]) -> NDArray[np.bool_]:
    bits = bitmap[positions >> 3] >> (positions & 7).astype(np.uint8) & 1
    return np.asarray(bits, np.bool_)


class SelectionCache:
    """The selections of the last few readable sets over the same segments; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: list[tuple[FrozenBitMap, Selection]] = []  # the newest last

    def select(
        self,
        segments: Sequence[Segment],
        readable: BitMap | FrozenBitMap,
        elsewhere: VectorsElsewhere | None = None,
    ) -> Selection:
        with self._lock:
            # Comparing with all of them takes microseconds; hashing a set of a million rows most of a millisecond.
            for at, (rows, selection) in enumerate(self._known):
                if rows == readable:
                    self._known.append(self._known.pop(at))
                    return selection
        key = readable if isinstance(readable, FrozenBitMap) else FrozenBitMap(readable)
        selection = select(segments, key, elsewhere)
        with self._lock:
            self._known.append((key, selection))
            del self._known[:-_REMEMBERED]
        return selection
