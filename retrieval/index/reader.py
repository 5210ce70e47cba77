"""Reading: the present generation of the index, as an immutable snapshot."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from pyroaring import BitMap, FrozenBitMap

from core.errors import Conflict, IndexDamaged
from retrieval.analysis import ANALYZER_VERSION
from retrieval.index.checking import Checks, check_segment, check_whole, damaged
from retrieval.index.manifest import MANIFEST, REBUILD, SEGMENTS, Manifest, SegmentRecord, dropped_at, read_manifest
from retrieval.index.segment import Segment, open_segment
from retrieval.index.selection import Selection, SelectionCache, VectorsElsewhere

# A publish may replace the manifest while we open the files it names; then we open the newer one's.
_ATTEMPTS = 5

# To open a merged segment of fewer chunks takes at most 10 ms; nobody minds.
_PREPARED_FROM = 50_000


@dataclass(frozen=True)
class Snapshot:
    """One generation: open segments that stay readable whatever is published afterwards.

    `fingerprint` names the model of the vectors, empty where nothing was ever published.
    """

    generation: int
    fingerprint: str
    dimension: int
    segments: tuple[Segment, ...]
    elsewhere: VectorsElsewhere | None = None
    _selections: SelectionCache = field(default_factory=SelectionCache, compare=False, repr=False)

    @cached_property
    def _live(self) -> BitMap:
        return BitMap.union(BitMap(), *(segment.live for segment in self.segments))

    def rows(self) -> BitMap:
        """The rows of all chunks in this generation."""
        return BitMap(self._live)

    def select(self, readable: BitMap | FrozenBitMap) -> Selection:
        """The chunks of this generation among `readable`, ready to be ranked; remembered for the next question."""
        return self._selections.select(self.segments, readable, self.elsewhere)


_NOTHING = Snapshot(0, "", 0, ())


@dataclass(frozen=True)
class _Opened:
    """What a version of the manifest led to: the segments that are sound, and the damage if there is any."""

    version: tuple[int, ...] | None
    sound: Snapshot
    damage: IndexDamaged | None


class IndexReader:
    """Follows the index in `folder`, which other processes may be writing; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checks = Checks(folder)
        self._lock = threading.Lock()
        self._opened = _Opened(None, _NOTHING, None)
        # Segments that were merged in the background: being opened, open, and found to be damaged.
        self._preparing: set[str] = set()
        self._prepared: dict[str, Segment] = {}
        self._unsound: set[str] = set()

    def snapshot(self) -> Snapshot:
        """The present generation; one that another process has just published is seen at once.

        Costs one `stat` when nothing has changed. Raises `IndexDamaged` if a file is not what was written or an
        earlier version wrote it, and `Conflict` if a later one did.
        """
        opened = self._present()
        if opened.damage is not None:
            raise IndexDamaged(*opened.damage.args)
        return opened.sound

    def sound(self) -> Snapshot:
        """Of the present generation the segments that are not damaged; raises `Conflict` as `snapshot`."""
        return self._present().sound

    def verify(self) -> None:
        """Read every byte of the index; raises `IndexDamaged` naming the first file that is not what was written."""
        manifest = read_manifest(self._folder)
        for record in manifest.segments if manifest else ():
            check_segment(self._folder / SEGMENTS, record, check_whole)

    def check_remembered(self) -> None:
        """Read what opening took on trust; if any of it is damaged, the next `snapshot` says so."""
        try:
            self._checks.check_remembered([segment.record for segment in self.sound().segments])
        except IndexDamaged:
            with self._lock:
                self._opened, self._prepared = _Opened(None, _NOTHING, None), {}

    def _present(self) -> _Opened:
        if self._stat() != self._opened.version:
            with self._lock:
                version = self._stat()
                if version != self._opened.version:
                    self._opened = _Opened(version, *self._open())
        return self._opened

    def _stat(self) -> tuple[int, ...]:
        try:
            status = (self._folder / MANIFEST).stat()
        except FileNotFoundError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _open(self) -> tuple[Snapshot, IndexDamaged | None]:
        """What is sound of the present generation, and what is damaged."""
        missing = ""
        for _ in range(_ATTEMPTS):
            try:
                manifest = read_manifest(self._folder)
                return self._segments_of(manifest) if manifest else (_NOTHING, None)
            except FileNotFoundError as error:
                missing = error.filename
            except IndexDamaged as error:
                return _NOTHING, error
        return _NOTHING, damaged(Path(missing))

    def _segments_of(self, manifest: Manifest) -> tuple[Snapshot, IndexDamaged | None]:
        if manifest.analyzer != ANALYZER_VERSION:
            # Of two versions at work on one home only the later may take the other's index for outdated.
            raise (IndexDamaged if manifest.analyzer < ANALYZER_VERSION else Conflict)(
                f"The index in {self._folder} was made by version {manifest.analyzer} of the text analysis, "
                f"this is version {ANALYZER_VERSION}: {REBUILD}."
            )
        known = {segment.record.id: segment for segment in self._opened.sound.segments} | self._prepared
        segments: list[Segment] = []
        damage = None
        for record in manifest.segments:
            try:
                segments += self._known(record, known) or [open_segment(self._folder / SEGMENTS, record, self._checks)]
            except IndexDamaged as error:
                damage = error
        self._prepared = {
            record.id: self._prepared[record.id] for record in manifest.segments if record.id in self._prepared
        }
        return Snapshot(manifest.generation, manifest.fingerprint, manifest.dimension, tuple(segments)), damage

    def _known(self, record: SegmentRecord, known: Mapping[str, Segment]) -> list[Segment]:
        """The open segment of a record without what was dropped since, or those it was merged from while it is opened
        in the background; empty if these are not open."""
        if record.id in known:
            return [self._without(known[record.id], record)]
        pieces = [known.get(id_) for id_, _ in record.merged]
        if not pieces or record.count < _PREPARED_FROM or record.id in self._unsound:
            return []
        dropped = [name for _, name in record.merged]
        whole = [piece for piece, name in zip(pieces, dropped, strict=True) if piece and _at_least(piece, name)]
        if len(whole) < len(pieces):
            return []
        self._prepare(record)
        return [self._without(piece, record) for piece in whole]

    def _without(self, segment: Segment, record: SegmentRecord) -> Segment:
        """An open segment without the rows that are dropped of `record`: it, or one that was merged from it."""
        if segment.record == record or not record.dropped:
            return segment
        path = self._folder / SEGMENTS / record.id / record.dropped
        self._checks(path, record.files[record.dropped])
        dropped = BitMap.deserialize(path.read_bytes())
        own = record if segment.record.id == record.id else segment.record
        left = replace(segment, record=own, dropped=segment.dropped | (segment.live & dropped))
        left.__dict__["live"] = segment.live - dropped  # what `Segment.live` would find, a hundred times slower
        return left

    def _prepare(self, record: SegmentRecord) -> None:
        """Open a segment in the background; once it is open, the next snapshot has it."""
        if record.id in self._preparing:
            return
        self._preparing.add(record.id)

        def opening() -> None:
            try:
                segment = open_segment(self._folder / SEGMENTS, record, self._checks)
                segment.prepare()
            except (IndexDamaged, OSError):
                with self._lock:
                    self._unsound.add(record.id)
            else:
                with self._lock:
                    self._prepared[record.id] = segment
            with self._lock:
                self._preparing.discard(record.id)
                self._opened = replace(self._opened, version=None)

        threading.Thread(target=opening, name="footnote-index-open", daemon=True).start()


def _at_least(piece: Segment, dropped: str) -> bool:
    """Whether all that `dropped` names was dropped of an open segment."""
    return dropped_at(piece.record.dropped) >= dropped_at(dropped)
