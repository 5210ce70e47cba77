"""Publishing: chunks in, the next generation of the index out."""

from __future__ import annotations

import errno
import fcntl
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from core.errors import Conflict, IndexDamaged, LimitExceeded
from retrieval.analysis import ANALYZER_VERSION
from retrieval.index.building import build_arrays
from retrieval.index.checking import Checks, check_segment, check_whole
from retrieval.index.manifest import (
    MERGING,
    REBUILD,
    SEGMENTS,
    Manifest,
    Retired,
    SegmentRecord,
    dropped_file,
    read_manifest,
    write_manifest,
)
from retrieval.index.merging import LARGEST_MERGED, merge_segments, segments_to_merge
from retrieval.index.segment import (
    IndexRow,
    open_segment,
    write_dropped,
    write_segment,
)
from retrieval.index.storage import Storage

# A segment is built in memory, so a long stream of chunks becomes several.
_CHUNKS_IN_MEMORY = 32_768

# A file of the index may not grow: the disk is full, or what one user or one process may write is used up.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# For so many generations the files of an old one stay, for readers that have read its manifest and not yet its files.
_GENERATIONS_KEPT = 3


class IndexWriter:
    """Writes the index in `folder`, for vectors of one model.

    Several may exist; publishing, they wait for each other. Whoever is killed at any point leaves the present
    generation as it was, and what they left behind is removed by the next publish.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        dimension: int,
        storage: Storage | None = None,
        merged_in_publish: int = LARGEST_MERGED,
    ) -> None:
        """A publish merges segments of so many chunks together, and leaves larger ones to `merge`."""
        self._folder = folder
        self._segments = folder / SEGMENTS
        self._merging = folder / MERGING
        self._fingerprint = fingerprint
        self._dimension = dimension
        self._storage = storage or Storage()
        self._checks = Checks(folder)
        self._merged_in_publish = merged_in_publish

    def publish(self, added: Iterable[IndexRow], dropped: Iterable[int] = ()) -> int:
        """Add and drop chunks in one step, and return the number of the generation that shows it.

        A row that is added again replaces the former. Raises `Conflict`, and changes nothing, if the index holds
        vectors of another model or another analysis of text, or a vector is not of this model's dimension or not
        finite. Raises `LimitExceeded` if the disk is full.
        """
        with self._exclusive():
            present = read_manifest(self._folder)
            if present is None:
                present = Manifest(0, self._fingerprint, self._dimension, ANALYZER_VERSION)
            self._check(present)
            return self._publish(present, present.segments, added, BitMap(dropped))

    def rebuild(self, rows: Iterable[IndexRow]) -> int:
        """Replace all that the index holds, whatever model or version it was made with, or how damaged it is."""
        with self._exclusive():
            try:
                present = read_manifest(self._folder)
            except IndexDamaged:
                present = None
            generation = present.generation if present else 0
            retired = tuple(Retired(record.id, generation + 1) for record in present.segments) if present else ()
            base = Manifest(generation, self._fingerprint, self._dimension, ANALYZER_VERSION, retired=retired)
            return self._publish(base, (), rows, BitMap())

    def compact(self) -> None:
        """Write every segment of which chunks were dropped anew without them, and remove what only earlier generations
        use: nothing of a dropped chunk is in a file any more.

        A reader that has read the manifest and finds a file gone reads the manifest again; one that has files open
        keeps what it has until its next question.
        """
        with self._one_merge(), self._exclusive():
            present = read_manifest(self._folder)
            if present is None:
                return
            if present.retired or any(record.dropped for record in present.segments):
                records = [kept for record in present.segments for kept in self._without_dropped(record)]
                present = replace(present, generation=present.generation + 1, segments=tuple(records), retired=())
                write_manifest(self._folder, present, self._storage)
            self._remove_orphans(present)

    def merge(self, if_more_than: int = 0) -> bool:
        """Merge the segments that publishes have left to this, while others publish; whether there were any.

        Nothing where there are not more than `if_more_than` segments.

        What is merged is written aside, and becomes part of the index in one short step, in which what was dropped
        meanwhile is dropped of it too. Where the segments have been replaced meanwhile, nothing changes. Raises
        `IndexDamaged` if one of them is not what was written, and `LimitExceeded` if the disk is full.
        """
        with self._one_merge():
            present = read_manifest(self._folder)
            chosen = segments_to_merge(present.segments) if present else []
            if present is None or len(present.segments) <= if_more_than or not chosen:
                return False
            merged = self._write_merged(chosen)
            with self._exclusive():
                self._swap(chosen, merged)
            return True

    def _write_merged(self, chosen: Sequence[SegmentRecord]) -> SegmentRecord | None:
        """Write the segment of what is live in others, None if nothing is, and read it back as readers will."""
        sources = [open_segment(self._segments, record, check_whole) for record in chosen]
        scratch = self._merging / "scratch"
        self._storage.make_folder(scratch)
        arrays = merge_segments(sources, scratch)
        if len(arrays.rows) == 0:
            return None
        record = write_segment(self._merging, uuid.uuid4().hex, arrays, self._storage)
        check_segment(self._merging, record, self._checks)
        return replace(record, merged=tuple((source.id, source.dropped) for source in chosen))

    def _swap(self, chosen: Sequence[SegmentRecord], merged: SegmentRecord | None) -> None:
        present = read_manifest(self._folder)
        there = {record.id: record for record in present.segments} if present else {}
        if present is None or any(record.id not in there for record in chosen):
            return
        generation = present.generation + 1
        self._remove_orphans(present)
        rest = [record for record in present.segments if record.id not in {one.id for one in chosen}]
        if merged is not None:
            self._storage.rename(self._merging / merged.id, self._segments / merged.id)
            gone = BitMap.union(BitMap(), *(self._dropped(there[record.id]) for record in chosen))
            rest.append(self._drop(merged, gone, generation))
        self._write(present, rest, generation)

    def _without_dropped(self, record: SegmentRecord) -> list[SegmentRecord]:
        if not record.dropped:
            return [record]
        left = merge_segments([open_segment(self._segments, record, check_whole)])
        return [write_segment(self._segments, uuid.uuid4().hex, left, self._storage)] if len(left.rows) else []

    def _publish(
        self, present: Manifest, kept: tuple[SegmentRecord, ...], added: Iterable[IndexRow], dropped: BitMap
    ) -> int:
        generation = present.generation + 1
        self._remove_orphans(present)
        new, rows = self._write_new(added)
        records = [self._drop(record, dropped | rows, generation) for record in kept] + new
        self._write(present, self._merge(records), generation, kept)
        return generation

    def _write(
        self,
        present: Manifest,
        records: Sequence[SegmentRecord],
        generation: int,
        before: Sequence[SegmentRecord] | None = None,
    ) -> None:
        """Make these segments the next generation."""
        still = [item for item in present.retired if item.generation > generation - _GENERATIONS_KEPT]
        retired = (*still, *_retired(present.segments if before is None else before, records, generation))
        write_manifest(
            self._folder,
            replace(present, generation=generation, segments=tuple(records), retired=retired),
            self._storage,
        )

    def _write_new(self, added: Iterable[IndexRow]) -> tuple[list[SegmentRecord], BitMap]:
        records: list[SegmentRecord] = []
        seen = BitMap()
        stream = iter(added)
        while batch := list(islice(stream, _CHUNKS_IN_MEMORY)):
            arrays = build_arrays(batch, self._dimension, self._fingerprint)
            rows = BitMap(arrays.rows)
            if len(rows) < len(batch) or not rows.isdisjoint(seen):
                raise Conflict("A chunk was given twice in one publish; give each row once.")
            seen |= rows
            records.append(write_segment(self._segments, uuid.uuid4().hex, arrays, self._storage))
        return records, seen

    def _drop(self, record: SegmentRecord, dropped: BitMap, generation: int) -> SegmentRecord:
        rows = self._rows(record)
        # Much faster than a bitmap of all of a large segment's rows.
        found = rows[np.isin(rows, np.array(dropped.to_array(), np.int64))]
        before = self._dropped(record)
        gone = BitMap(found) - before
        if not gone:
            return record
        return write_dropped(self._segments, record, before | gone, dropped_file(generation), self._storage)

    def _rows(self, record: SegmentRecord) -> NDArray[np.int64]:
        """The rows of a segment, dropped ones too. Nothing else of it is read: most publishes drop nothing of most."""
        path = self._segments / record.id / "rows.npy"
        self._checks(path, record.files[path.name])
        rows: NDArray[np.int64] = np.load(path)
        return rows

    def _dropped(self, record: SegmentRecord) -> BitMap:
        if not record.dropped:
            return BitMap()
        path = self._segments / record.id / record.dropped
        self._checks(path, record.files[record.dropped])
        return BitMap.deserialize(path.read_bytes())

    def _merge(self, records: list[SegmentRecord]) -> list[SegmentRecord]:
        """Replace the segments that the policy names by one, and those of which nothing is left by none."""
        chosen = segments_to_merge(records, self._merged_in_publish)
        if not chosen:
            return records
        # Under a new checksum nobody would find the damage again.
        merged = merge_segments([open_segment(self._segments, record, check_whole) for record in chosen])
        rest = [record for record in records if record not in chosen]
        if len(merged.rows) == 0:
            return rest
        return [*rest, write_segment(self._segments, uuid.uuid4().hex, merged, self._storage)]

    def _remove_orphans(self, present: Manifest) -> None:
        """Remove what no recent generation uses: leavings of a killed writer, and old generations' files."""
        keep = {item.path for item in present.retired if item.generation > present.generation - _GENERATIONS_KEPT}
        live = {record.id: record for record in present.segments}
        for path in self._segments.iterdir():
            if path.name not in live and path.name not in keep:
                self._storage.remove(path)
        for record in live.values():
            for path in (self._segments / record.id).iterdir():
                if path.name not in record.files and f"{record.id}/{path.name}" not in keep:
                    self._storage.remove(path)

    def _check(self, present: Manifest) -> None:
        if (present.fingerprint, present.dimension) != (self._fingerprint, self._dimension):
            raise Conflict(
                f"The index in {self._folder} holds vectors of the model {present.fingerprint}, "
                f"these are of {self._fingerprint}: {REBUILD}."
            )
        if present.analyzer != ANALYZER_VERSION:
            raise (IndexDamaged if present.analyzer < ANALYZER_VERSION else Conflict)(
                f"The index in {self._folder} was made by version {present.analyzer} of the text analysis, "
                f"this is version {ANALYZER_VERSION}: {REBUILD}."
            )

    @contextmanager
    def _one_merge(self) -> Iterator[None]:
        """Let nobody else merge in the background; what a killed one left goes."""
        with self._told_if_full():
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "merge.lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._remove_merging()
                try:
                    yield
                finally:
                    self._remove_merging()

    def _remove_merging(self) -> None:
        if self._merging.is_dir():
            self._storage.remove(self._merging)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the writers' lock; the system releases it when a process dies. A full disk becomes `LimitExceeded`."""
        with self._told_if_full():
            if not self._segments.is_dir():
                self._storage.make_folder(self._segments)
                self._storage.sync_folder(self._folder)
            with (self._folder / "writer.lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    @contextmanager
    def _told_if_full(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise LimitExceeded(
                f"The disk under {self._folder} is full. The index stays as it was; free space and run this again."
            ) from error


def _retired(before: Sequence[SegmentRecord], after: Sequence[SegmentRecord], generation: int) -> list[Retired]:
    """What `before` uses and `after` no longer does: whole segments, and files of dropped rows."""
    kept = {record.id: record for record in after}
    segments = [Retired(record.id, generation) for record in before if record.id not in kept]
    files = [
        Retired(f"{record.id}/{record.dropped}", generation)
        for record in before
        if record.id in kept and record.dropped and record.dropped != kept[record.id].dropped
    ]
    return segments + files
