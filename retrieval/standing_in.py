"""Standing in: while the index is damaged, questions are answered from the catalog, slower and as exactly."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from pyroaring import BitMap, FrozenBitMap

from core.errors import IndexDamaged
from retrieval.engines.protocol import IndexReading
from retrieval.index.building import build_arrays
from retrieval.index.manifest import SegmentRecord
from retrieval.index.reader import Snapshot
from retrieval.index.segment import IndexRow, Segment
from retrieval.index.selection import Selection, select

# The words of a chunk are analysed in 0.3 ms: of more chunks than this nobody waits for them. Those are ranked by
# meaning alone, over the vectors that the catalog keeps.
READ_WITH_WORDS = 10_000

# Sets of rows whose chunks are kept for the next question, at about 2 kB a chunk.
_REMEMBERED = 2

# While an index stays damaged, it is told of so often.
_TOLD_AGAIN_S = 60.0


class CatalogChunks(Protocol):
    """The chunks of the catalog, of which the index is a copy."""

    def any(self) -> bool:
        """Whether there is one."""

    def rows(self) -> BitMap:
        """The rows of all chunks."""

    def index_rows(self, rows: Iterable[int], *, words: bool = True) -> Iterable[IndexRow]:
        """What the index is told of these chunks, those that are gone left out; no texts unless with `words`."""


class SteadyReader:
    """Follows the index as `reader` does; where that is damaged or gone, has what stands in for it.

    Implements `IndexReading`. `tell` is called with the damage when it is met, and every minute while it lasts. Safe to
    share between threads.
    """

    def __init__(
        self,
        reader: IndexReading,
        chunks: CatalogChunks,
        fingerprint: str,
        dimension: int,
        tell: Callable[[IndexDamaged], None],
    ) -> None:
        self._reader = reader
        self._chunks = chunks
        self._nothing = Snapshot(0, fingerprint, dimension, ())
        self._tell = tell
        self._lock = threading.Lock()
        self._told_at = -_TOLD_AGAIN_S
        self._standing_in: StandingIn | None = None

    def snapshot(self) -> Snapshot:
        """The present generation; while it is damaged, one that holds the same chunks.

        Raises `Conflict` if the index was made by a later version.
        """
        try:
            snapshot = self._reader.snapshot()
            if snapshot.generation or not self._chunks.any():
                self._standing_in = None
                return snapshot
            damage = IndexDamaged("The index is gone, and the catalog has chunks. It is built anew from these.")
        except IndexDamaged as error:
            damage = error
        self._tell_of(damage)
        sound = self._reader.sound()
        if not sound.generation or sound.elsewhere is not None:
            sound = self._nothing
        standing_in = self._standing_in
        if standing_in is None or standing_in.sound is not sound:
            standing_in = self._standing_in = StandingIn(
                sound.generation, sound.fingerprint, sound.dimension, sound.segments, sound=sound, chunks=self._chunks
            )
        return standing_in

    def sound(self) -> Snapshot:
        """As `IndexReader.sound`."""
        return self._reader.sound()

    def verify(self) -> None:
        """As `IndexReading.verify`."""
        self._reader.verify()

    def check_remembered(self) -> None:
        """As `IndexReader.check_remembered`."""
        self._reader.check_remembered()

    def _tell_of(self, damage: IndexDamaged) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._told_at < _TOLD_AGAIN_S:
                return
            self._told_at = now
        self._tell(damage)


@dataclass(frozen=True)
class StandingIn(Snapshot):
    """The sound segments of a damaged generation, and in memory, as they are asked for, the chunks it lacks.

    Rankings are those of a whole index to the last bit, for neither scores nor order depend on how chunks lie in
    segments. Of more than `READ_WITH_WORDS` missing chunks only the vectors are read; then no chunk is ranked by its
    words, so that those of sound segments are not preferred.
    """

    sound: Snapshot = field(kw_only=True)
    chunks: CatalogChunks = field(kw_only=True)
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    _known: OrderedDict[FrozenBitMap, Segment] = field(default_factory=OrderedDict, compare=False, repr=False)

    def rows(self) -> BitMap:
        """The rows of all chunks in the catalog."""
        return self.chunks.rows()

    def select(self, readable: BitMap | FrozenBitMap) -> Selection:
        """The chunks of the catalog among `readable`."""
        missing = FrozenBitMap(readable - self.sound.rows())
        segments = self.sound.segments
        if missing:
            read = self._read(missing)
            wordless = len(missing) > READ_WITH_WORDS
            segments = (*(map(_without_words, segments) if wordless else segments), read)
        return select(segments, readable)

    def _read(self, missing: FrozenBitMap) -> Segment:
        with self._lock:
            known = self._known.get(missing)
            if known is not None:
                self._known.move_to_end(missing)
                return known
        rows = list(self.chunks.index_rows(missing, words=len(missing) <= READ_WITH_WORDS))
        arrays = build_arrays(rows, self.dimension, self.fingerprint)
        segment = Segment(SegmentRecord("in memory", len(rows), len(rows), 0.0, 0.0, {}), arrays, None, BitMap())
        with self._lock:
            self._known[missing] = segment
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return segment


def _without_words(segment: Segment) -> Segment:
    arrays = segment.arrays
    nothing = replace(
        arrays,
        terms=arrays.terms[:0],
        offsets=arrays.offsets[:1],
        chunks=arrays.chunks[:0],
        frequencies=arrays.frequencies[:0],
    )
    return replace(segment, arrays=nothing)
