"""Keeping the index equal to the catalog: what a run added goes in, what a crash left behind is found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap
from sqlalchemy import and_, delete, select

from catalog.database import Catalog
from catalog.models import ChunkRow, Vector
from core.errors import Conflict, IndexDamaged
from governance.doors import EmbeddedChunk, maintenance
from inference.encoder import Encoder
from retrieval.engines.protocol import IndexReading, IndexWriting
from retrieval.index import IndexRow
from retrieval.periods import months_of

_SLICE = 500

# More segments than this are merged by whoever publishes; fewer wait for the upkeep.
_SEGMENTS_LEFT = 24


@dataclass(frozen=True)
class IndexPublisher:
    """Brings index generations out of the catalog. Only one may work on a home at a time (see `catalog.lock`)."""

    catalog: Catalog
    encoder: Encoder
    writer: IndexWriting
    reader: IndexReading

    def publish(self, added: Iterable[int], dropped: Iterable[int]) -> None:
        """Publish one generation with these catalog rows added and those dropped; nothing if there are none.

        A damaged index is built anew instead, with all rows of the catalog but those dropped.
        """
        added, dropped = list(added), BitMap(dropped)
        if not added and not dropped:
            return
        try:
            self.writer.publish(self.index_rows(added), dropped)
        except IndexDamaged:
            self.writer.rebuild(self.index_rows(self.rows() - dropped))
        # The generation is there for everybody; merging now and then keeps a long run from leaving many segments.
        self.writer.merge(if_more_than=_SEGMENTS_LEFT)

    def repair(self) -> int:
        """Make the index hold exactly the catalog's rows; returns how many rows differed.

        It finds what an interrupted run left undone, and rebuilds an index whose files are damaged or were deleted.
        """
        wanted = self.rows()
        try:
            have = self.reader.snapshot().rows()
        except IndexDamaged:
            return self.rebuild()
        self.publish(wanted - have, have - wanted)
        return len(wanted ^ have)

    def rebuild(self) -> int:
        """Write the whole index anew from the catalog, beside the old one; returns the rows it holds."""
        rows = self.rows()
        self.writer.rebuild(self.index_rows(rows))
        return len(rows)

    def any(self) -> bool:
        """Whether the catalog has a chunk."""
        with self.catalog.read() as session:
            return session.scalar(select(ChunkRow.id).limit(1)) is not None

    def rows(self) -> BitMap:
        """The rows of all chunks in the catalog."""
        with self.catalog.read() as session:
            return BitMap(session.scalars(select(ChunkRow.id)).all())

    def embed_missing(self) -> int:
        """Embed every chunk that has no vector of the model in use, and forget other models' vectors."""
        door = maintenance(self.catalog, "index building")
        fingerprint = self.encoder.fingerprint
        have = select(Vector.hash).where(Vector.fingerprint == fingerprint)
        with self.catalog.read() as session:
            rows = list(session.scalars(select(ChunkRow.id).where(ChunkRow.vector_hash.not_in(have))))
        for at in range(0, len(rows), _SLICE):
            texts = {chunk.vector_hash: chunk.text for chunk in door.chunks(rows[at : at + _SLICE])}
            vectors = self.encoder.encode(list(texts.values())).astype("<f2")
            with self.catalog.write() as session:
                for hash_, vector in zip(texts, vectors, strict=True):
                    session.merge(Vector(hash=hash_, fingerprint=fingerprint, data=vector.tobytes()))
        with self.catalog.write() as session:
            session.execute(delete(Vector).where(Vector.fingerprint != fingerprint))
        return len(rows)

    def index_rows(self, rows: Iterable[int], *, words: bool = True) -> Iterator[IndexRow]:
        """What the index is told of these chunks, those that are gone left out; no texts unless with `words`.

        Raises `Conflict` for a chunk that has no vector of the model in use.
        """
        rows = list(rows)
        door = maintenance(self.catalog, "index building")
        for at in range(0, len(rows), _SLICE):
            some = rows[at : at + _SLICE]
            if not words:
                yield from self._wordless(some)
                continue
            chunks = list(door.chunks(some))
            vectors = self._vectors(chunks)
            for chunk in chunks:
                yield IndexRow(
                    row=chunk.row,
                    vector=vectors[chunk.vector_hash],
                    text=f"{chunk.text}\n{chunk.about}",
                    language=chunk.language,
                    # Chunks that share an access set stand together, which makes filtered scans local. A hint only.
                    locality=chunk.access_set_id,
                    months=months_of(*chunk.names),
                    links=chunk.links,
                )

    def _wordless(self, rows: list[int]) -> Iterator[IndexRow]:
        same = and_(Vector.hash == ChunkRow.vector_hash, Vector.fingerprint == self.encoder.fingerprint)
        query = select(ChunkRow.id, ChunkRow.language, Vector.data).outerjoin(Vector, same).where(ChunkRow.id.in_(rows))
        with self.catalog.read() as session:
            found = session.execute(query).all()
        for row, language, data in found:
            if data is None:
                raise self._not_embedded()
            yield IndexRow(row, np.frombuffer(data, "<f2").astype(np.float32), "", language, locality=0)

    def _vectors(self, chunks: list[EmbeddedChunk]) -> dict[str, NDArray[np.float32]]:
        query = select(Vector.hash, Vector.data).where(
            Vector.fingerprint == self.encoder.fingerprint, Vector.hash.in_({chunk.vector_hash for chunk in chunks})
        )
        with self.catalog.read() as session:
            found = {hash_: np.frombuffer(data, "<f2").astype(np.float32) for hash_, data in session.execute(query)}
        if any(chunk.vector_hash not in found for chunk in chunks):
            raise self._not_embedded()
        return found

    def _not_embedded(self) -> Conflict:
        return Conflict(
            f"Some chunks have no vector of the model {self.encoder.fingerprint}. Run `footnote upgrade` to embed "
            "them with the model in use."
        )
