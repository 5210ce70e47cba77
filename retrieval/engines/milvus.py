"""An index with its vectors in Milvus; everything else stands in segments beside, whose manifest says what counts.

Milvus has no transactions. A publish writes vectors that no reader asks for yet, and becomes visible with one rename,
the manifest's; what a publish that was killed left in Milvus is removed by the next.
"""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from core.errors import Conflict, IndexDamaged
from retrieval.engines.milvus_collections import (
    DEEPEST,
    NEVER,
    Collection,
    connected,
    generation_of,
    new_collection,
    our_errors,
)
from retrieval.engines.refilling import Found, RefillingVectors, lost_vector
from retrieval.engines.vectors import vector_batches, vector_digests
from retrieval.index.manifest import REBUILD, Manifest, read_manifest
from retrieval.index.reader import IndexReader, Snapshot
from retrieval.index.segment import IndexRow
from retrieval.index.storage import Storage
from retrieval.index.writer import IndexWriter

if TYPE_CHECKING:
    from pymilvus import MilvusClient

# For so many generations dropped vectors stay, for questions that are being answered.
_GENERATIONS_KEPT = 3

# A publish of so many chunks has Milvus index them at once. Of smaller ones it makes segments in its own time, and a
# server allows a flush every ten seconds.
_FLUSHED_FROM = 5_000

_NOTHING = Snapshot(0, "", 0, ())


@dataclass(frozen=True)
class Milvus:
    """A server, or a file of Milvus Lite; `name` begins the names of this index's collections."""

    url: str
    token: str
    name: str
    index_type: str = "FLAT"

    @cached_property
    def client(self) -> MilvusClient:
        return connected(self.url, self.token)

    def collection(self, name: str) -> Collection:
        return Collection(self.client, name, self.index_type)

    def collections(self) -> list[str]:
        """All that this index has, also what is left of former ones."""
        with our_errors(self.name):
            return [name for name in self.client.list_collections() if name.startswith(f"{self.name}_g")]

    def drop(self, collection: str) -> None:
        with our_errors(self.name):
            self.client.drop_collection(collection)

    def remove(self) -> None:
        """Drop all that this index has."""
        for name in self.collections():
            self.drop(name)


@dataclass(frozen=True)
class _Kept:
    """What the manifest of the segments says of vectors that it does not have: it stands there for the model."""

    fingerprint: str
    dimension: int
    collection: str

    @classmethod
    def of(cls, fingerprint: str) -> _Kept:
        try:
            return cls(**json.loads(fingerprint))
        except (ValueError, TypeError) as error:
            raise IndexDamaged(f"The index is not one with vectors in Milvus: {REBUILD}.") from error

    def encoded(self) -> str:
        return json.dumps(asdict(self))


class MilvusReader:
    """Follows an index whose segments are in `folder`; safe to share between threads."""

    def __init__(self, milvus: Milvus, folder: Path) -> None:
        self._milvus = milvus
        self._segments = IndexReader(folder)
        self._lock = threading.Lock()
        self._opened: tuple[Snapshot, Snapshot] = _NOTHING, _NOTHING  # of the segments, and with their vectors

    def snapshot(self) -> Snapshot:
        words = self._segments.snapshot()
        with self._lock:
            if words is not self._opened[0]:
                self._opened = words, self._with_vectors(words)
            snapshot = self._opened[1]
        if isinstance(snapshot.elsewhere, RefillingVectors) and snapshot.elsewhere.damage is not None:
            raise snapshot.elsewhere.damage
        return snapshot

    def sound(self) -> Snapshot:
        """The present generation, or nothing where it is damaged."""
        try:
            return self.snapshot()
        except IndexDamaged:
            return _NOTHING

    def check_remembered(self) -> None:
        self._segments.check_remembered()

    def verify(self) -> None:
        """Read every file and every vector; raises `IndexDamaged` naming the first that is not what was written."""
        self._segments.verify()
        words = self._segments.snapshot()
        if words.generation == 0:
            return
        collection = self._milvus.collection(_Kept.of(words.fingerprint).collection)
        found = BitMap()
        for part in collection.everything(words.generation):
            wrong = np.flatnonzero(part.digests != vector_digests(part.rows, part.vectors))
            if wrong.size:
                raise lost_vector(int(part.rows[wrong[0]]), "not what was written")
            if twice := found & BitMap(part.rows):
                raise lost_vector(twice[0], "there twice")
            found |= BitMap(part.rows)
        if lost := words.rows() - found:
            raise lost_vector(lost[0], "missing")
        if foreign := found - words.rows():
            raise lost_vector(foreign[0], "there, and its words are not")

    def _with_vectors(self, words: Snapshot) -> Snapshot:
        if words.generation == 0:
            return _NOTHING
        kept = _Kept.of(words.fingerprint)
        collection = self._milvus.collection(kept.collection)
        store = MilvusStore(collection, words.generation, lambda: self._segments.snapshot().generation)
        vectors = RefillingVectors(store, kept.dimension)
        return Snapshot(words.generation, kept.fingerprint, kept.dimension, words.segments, vectors)


class MilvusStore:
    """The vectors of one generation; `present` tells which generation is the newest."""

    deepest = DEEPEST

    def __init__(self, collection: Collection, generation: int, present: Callable[[], int]) -> None:
        self._collection = collection
        self._generation = generation
        self._present = present

    def closest(
        self, query: NDArray[np.float32], localities: NDArray[np.int64] | None, limit: int, among: int
    ) -> Found:
        """Exact with an index of the type FLAT; else as near as Milvus comes."""
        found = self._collection.closest(query, localities, limit, self._generation)
        everything = self._collection.exact and len(found.rows) < limit
        unseen = float(found.vectors[-1] @ query) if len(found.rows) and not everything else -np.inf
        return Found(found.rows, found.vectors, unseen, everything)

    def fetch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        found = self._collection.fetch(rows, self._generation)
        return found.rows, found.vectors

    def is_present(self) -> bool:
        return self._present() == self._generation


class MilvusWriter:
    """Writes an index whose segments are in `folder`, which every writer has to share."""

    def __init__(
        self, milvus: Milvus, folder: Path, fingerprint: str, dimension: int, storage: Storage | None = None
    ) -> None:
        self._milvus = milvus
        self._folder = folder
        self._fingerprint = fingerprint
        self._dimension = dimension
        self._storage = storage

    def publish(self, added: Iterable[IndexRow], dropped: Iterable[int] = ()) -> int:
        with self._exclusive():
            present = read_manifest(self._folder)
            if present is None:
                return self._fill(new_collection(self._milvus.name, 1), 1, added, BitMap(dropped), rebuilding=False)
            kept = _Kept.of(present.fingerprint)
            if (kept.fingerprint, kept.dimension) != (self._fingerprint, self._dimension):
                raise Conflict(
                    f"The index in {self._folder} holds vectors of the model {kept.fingerprint}, "
                    f"these are of {self._fingerprint}: {REBUILD}."
                )
            self._tidy(present, kept)
            generation = present.generation + 1
            return self._fill(kept.collection, generation, added, BitMap(dropped), rebuilding=False)

    def rebuild(self, rows: Iterable[IndexRow]) -> int:
        """A new collection beside the old one, which goes when no recent generation uses it."""
        with self._exclusive():
            generation = self._generation() + 1
            collection = new_collection(self._milvus.name, generation)
            return self._fill(collection, generation, rows, BitMap(), rebuilding=True)

    def merge(self, if_more_than: int = 0) -> bool:
        """Nothing: its publishes merge their segments, which hold no vectors."""
        return False

    def compact(self) -> None:
        """Rewrite segments without what was dropped, and delete it from Milvus.

        Milvus removes the bytes of what was deleted when it compacts its own segments.
        """
        with self._exclusive():
            present = read_manifest(self._folder)
            if present is None:
                return
            kept = _Kept.of(present.fingerprint)
            self._tidy(present, kept)
            IndexWriter(self._folder, present.fingerprint, 1, self._storage).compact()
            self._milvus.collection(kept.collection).delete(f"died <= {self._generation()}")
            for name in self._milvus.collections():
                if name != kept.collection:
                    self._milvus.drop(name)

    def _fill(self, name: str, generation: int, rows: Iterable[IndexRow], dropped: BitMap, *, rebuilding: bool) -> int:
        """Write vectors that count from `generation` on, then the segments and the manifest that make it present."""
        collection = self._milvus.collection(name)
        begun = name in self._milvus.collections()
        if not begun:
            collection.create(self._dimension)
        kept = _Kept(self._fingerprint, self._dimension, name)
        words = IndexWriter(self._folder, kept.encoded(), 1, self._storage)
        passing = self._passing(collection, rows, generation, dropped if begun else None)
        published = words.rebuild(passing) if rebuilding else words.publish(passing, dropped)
        if published != generation:
            raise IndexDamaged(f"The index in {self._folder} went on while it was being written: {REBUILD}.")
        return published

    def _passing(
        self, collection: Collection, rows: Iterable[IndexRow], generation: int, dropped: BitMap | None
    ) -> Iterator[IndexRow]:
        """The rows on their way into segments; their vectors leave for Milvus.

        When the last one has passed, and before the manifest is written, what is replaced or dropped ends with this
        generation; None says that nothing was there before.
        """
        passed = BitMap()
        for batch, words in vector_batches(rows, self._fingerprint, self._dimension):
            if len(BitMap(batch.rows)) < len(batch.rows) or not passed.isdisjoint(BitMap(batch.rows)):
                raise Conflict("A chunk was given twice in one publish; give each row once.")
            passed |= BitMap(batch.rows)
            collection.insert(batch, generation)
            yield from words
        if len(passed) >= _FLUSHED_FROM:
            collection.flush()
        if dropped is not None:
            collection.bury(list(passed | dropped), generation)

    def _tidy(self, present: Manifest, kept: _Kept) -> None:
        """Remove what a killed publish left, and what no recent generation uses."""
        collection = self._milvus.collection(kept.collection)
        collection.delete(f"born > {present.generation}")
        collection.set_died(f"died > {present.generation} and died < {NEVER}", NEVER)
        collection.delete(f"died <= {present.generation - _GENERATIONS_KEPT}")
        made = generation_of(kept.collection)
        for name in self._milvus.collections():
            left_over = generation_of(name) > made or present.generation >= made + _GENERATIONS_KEPT
            if name != kept.collection and left_over:
                self._milvus.drop(name)

    def _generation(self) -> int:
        try:
            present = read_manifest(self._folder)
        except Conflict:  # what is damaged is replaced
            return 0
        return present.generation if present else 0

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the lock of those who write to Milvus; the system releases it when a process dies."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "milvus.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
