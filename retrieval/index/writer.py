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

from core.errors import Conflict, LimitExceeded
from retrieval.analysis import ANALYZER_VERSION
from retrieval.index.manifest import (
    REBUILD,
    SEGMENTS,
    Manifest,
    Retired,
    SegmentRecord,
    read_manifest,
    write_manifest,
)
from retrieval.index.merging import merge_segments, segments_to_merge
from retrieval.index.postings import build_postings
from retrieval.index.segment import (
    IndexRow,
    SegmentArrays,
    language_code,
    open_segment,
    write_dropped,
    write_segment,
)
from retrieval.index.storage import Storage

# A segment is built in memory, so a long stream of chunks becomes several.
_CHUNKS_IN_MEMORY = 32_768

# For so many generations the files of an old one stay, for readers that have read its manifest and not yet its files.
_GENERATIONS_KEPT = 3


class IndexWriter:
    """Writes the index in `folder`, for vectors of one model.

    Several may exist; publishing, they wait for each other. Whoever is killed at any point leaves the present
    generation as it was, and what they left behind is removed by the next publish.
    """

    def __init__(self, folder: Path, fingerprint: str, dimension: int, storage: Storage | None = None) -> None:
        self._folder = folder
        self._segments = folder / SEGMENTS
        self._fingerprint = fingerprint
        self._dimension = dimension
        self._storage = storage or Storage()

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
            except Conflict:
                present = None
            generation = present.generation if present else 0
            retired = tuple(Retired(record.id, generation + 1) for record in present.segments) if present else ()
            base = Manifest(generation, self._fingerprint, self._dimension, ANALYZER_VERSION, retired=retired)
            return self._publish(base, (), rows, BitMap())

    def _publish(
        self, present: Manifest, kept: tuple[SegmentRecord, ...], added: Iterable[IndexRow], dropped: BitMap
    ) -> int:
        generation = present.generation + 1
        self._remove_orphans(present)
        new, rows = self._write_new(added)
        records = [self._drop(record, dropped | rows, generation) for record in kept] + new
        records = self._merge(records)
        still = [item for item in present.retired if item.generation > generation - _GENERATIONS_KEPT]
        retired = (*still, *_retired(kept, records, generation))
        manifest = replace(present, generation=generation, segments=tuple(records), retired=retired)
        write_manifest(self._folder, manifest, self._storage)
        return generation

    def _write_new(self, added: Iterable[IndexRow]) -> tuple[list[SegmentRecord], BitMap]:
        records: list[SegmentRecord] = []
        seen = BitMap()
        stream = iter(added)
        while batch := list(islice(stream, _CHUNKS_IN_MEMORY)):
            arrays = self._arrays(batch)
            rows = BitMap(arrays.rows)
            if len(rows) < len(batch) or not rows.isdisjoint(seen):
                raise Conflict("A chunk was given twice in one publish; give each row once.")
            seen |= rows
            records.append(write_segment(self._segments, uuid.uuid4().hex, arrays, self._storage))
        return records, seen

    def _arrays(self, batch: list[IndexRow]) -> SegmentArrays:
        batch = sorted(batch, key=lambda row: (row.locality, row.row))
        postings, lengths = build_postings((row.text, row.language) for row in batch)
        return SegmentArrays(
            vectors=self._unit_vectors(batch),
            rows=np.array([row.row for row in batch], np.int64),
            locality=np.array([row.locality for row in batch], np.int64),
            languages=np.array([language_code(row.language) for row in batch], np.uint16),
            lengths=lengths,
            terms=postings.terms,
            offsets=postings.offsets,
            chunks=postings.chunks,
            frequencies=postings.frequencies,
        )

    def _unit_vectors(self, batch: list[IndexRow]) -> NDArray[np.float32]:
        for row in batch:
            if row.vector.shape != (self._dimension,):
                raise Conflict(
                    f"The vector of row {row.row} has shape {row.vector.shape}, the index holds vectors of "
                    f"{self._dimension}: embed the chunk again with the model {self._fingerprint}."
                )
        vectors = np.stack([row.vector for row in batch]).astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        sound = np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)
        if not sound.all():
            unsound = batch[int(np.argmin(sound))].row
            raise Conflict(f"The vector of row {unsound} is zero, NaN or infinite: embed the chunk again.")
        unit: NDArray[np.float32] = vectors / lengths
        return unit

    def _drop(self, record: SegmentRecord, dropped: BitMap, generation: int) -> SegmentRecord:
        segment = open_segment(self._segments, record)
        gone = segment.live & dropped
        if not gone:
            return record
        return write_dropped(
            self._segments, record, segment.dropped | gone, f"dropped-{generation}.roaring", self._storage
        )

    def _merge(self, records: list[SegmentRecord]) -> list[SegmentRecord]:
        """Replace the segments that the policy names by one, and those of which nothing is left by none."""
        chosen = segments_to_merge(records)
        if not chosen:
            return records
        merged = merge_segments([open_segment(self._segments, record) for record in chosen])
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
            raise Conflict(
                f"The index in {self._folder} was made by version {present.analyzer} of the text analysis, "
                f"this is version {ANALYZER_VERSION}: {REBUILD}."
            )

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the writers' lock; the system releases it when a process dies. A full disk becomes `LimitExceeded`."""
        try:
            self._segments.mkdir(parents=True, exist_ok=True)
            with (self._folder / "writer.lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
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
