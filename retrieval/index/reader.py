"""Reading: the present generation of the index, as an immutable snapshot."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pyroaring import BitMap, FrozenBitMap

from core.errors import Conflict
from retrieval.analysis import ANALYZER_VERSION
from retrieval.index.manifest import MANIFEST, REBUILD, SEGMENTS, Manifest, read_manifest
from retrieval.index.segment import Segment, open_segment, verify_segment
from retrieval.index.selection import Selection, SelectionCache

# A publish may replace the manifest while we open the files it names; then we open the newer one's.
_ATTEMPTS = 5


@dataclass(frozen=True)
class Snapshot:
    """One generation: open segments that stay readable whatever is published afterwards.

    `fingerprint` names the model of the vectors, empty where nothing was ever published.
    """

    generation: int
    fingerprint: str
    dimension: int
    segments: tuple[Segment, ...]
    _selections: SelectionCache = field(default_factory=SelectionCache, compare=False, repr=False)

    @cached_property
    def _live(self) -> BitMap:
        return BitMap.union(BitMap(), *(segment.live for segment in self.segments))

    def rows(self) -> BitMap:
        """The rows of all chunks in this generation."""
        return BitMap(self._live)

    def select(self, readable: BitMap | FrozenBitMap) -> Selection:
        """The chunks of this generation among `readable`, ready to be ranked; remembered for the next question."""
        return self._selections.select(self.segments, readable)


class IndexReader:
    """Follows the index in `folder`, which other processes may be writing; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._version: tuple[int, ...] | None = None
        self._snapshot = Snapshot(0, "", 0, ())

    def snapshot(self) -> Snapshot:
        """The present generation; one that another process has just published is seen at once.

        Costs one `stat` when nothing has changed. Raises `Conflict` if the files are damaged or were made by another
        version.
        """
        version = self._stat()
        if version == self._version:
            return self._snapshot
        with self._lock:
            if version != self._version:
                self._snapshot = self._open()
                self._version = version
            return self._snapshot

    def verify(self) -> None:
        """Read every byte of the index; raises `Conflict` naming the first file that is not what was written."""
        manifest = read_manifest(self._folder)
        for record in manifest.segments if manifest else ():
            verify_segment(self._folder / SEGMENTS, record)

    def _stat(self) -> tuple[int, ...]:
        try:
            status = (self._folder / MANIFEST).stat()
        except FileNotFoundError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _open(self) -> Snapshot:
        for attempt in range(_ATTEMPTS):
            manifest = read_manifest(self._folder)
            if manifest is None:
                return Snapshot(0, "", 0, ())
            try:
                return self._opened(manifest)
            except FileNotFoundError as error:
                if attempt == _ATTEMPTS - 1:
                    raise Conflict(
                        f"The index is damaged: {error.filename} is missing. To repair it, {REBUILD}."
                    ) from error
        raise AssertionError("unreachable")

    def _opened(self, manifest: Manifest) -> Snapshot:
        if manifest.analyzer != ANALYZER_VERSION:
            raise Conflict(
                f"The index in {self._folder} was made by version {manifest.analyzer} of the text analysis, "
                f"this is version {ANALYZER_VERSION}: {REBUILD}."
            )
        known = {(segment.record.id, segment.record.dropped): segment for segment in self._snapshot.segments}
        segments = tuple(
            known.get((record.id, record.dropped)) or open_segment(self._folder / SEGMENTS, record)
            for record in manifest.segments
        )
        return Snapshot(manifest.generation, manifest.fingerprint, manifest.dimension, segments)
