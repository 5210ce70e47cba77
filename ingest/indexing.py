"""Keeping the index equal to the catalog: what a run added goes in, what a crash left behind is found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap
from sqlalchemy import delete, select

from catalog.database import Catalog
from catalog.models import ChunkRow, Vector
from core.errors import Conflict
from governance.doors import EmbeddedChunk, maintenance
from inference.encoder import Encoder
from retrieval.index import IndexReader, IndexRow, IndexWriter

_SLICE = 500


@dataclass(frozen=True)
class IndexPublisher:
    """Brings index generations out of the catalog. Only one may work on a home at a time (see `catalog.lock`)."""

    catalog: Catalog
    encoder: Encoder
    writer: IndexWriter
    reader: IndexReader

    def publish(self, added: Iterable[int], dropped: Iterable[int]) -> None:
        """Publish one generation with these catalog rows added and those dropped; nothing if there are none."""
        added, dropped = list(added), BitMap(dropped)
        if added or dropped:
            self.writer.publish(self._index_rows(added), dropped)

    def repair(self) -> int:
        """Make the index hold exactly the catalog's rows; returns how many rows differed.

        It finds what an interrupted run left undone, and rebuilds an index whose files were deleted.
        """
        with self.catalog.read() as session:
            wanted = BitMap(session.scalars(select(ChunkRow.id)).all())
        have = self.reader.snapshot().rows()
        self.publish(wanted - have, have - wanted)
        return len(wanted ^ have)

    def rebuild(self) -> int:
        """Write the whole index anew from the catalog, beside the old one; returns the rows it holds."""
        with self.catalog.read() as session:
            rows = list(session.scalars(select(ChunkRow.id).order_by(ChunkRow.id)))
        self.writer.rebuild(self._index_rows(rows))
        return len(rows)

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

    def _index_rows(self, rows: list[int]) -> Iterator[IndexRow]:
        door = maintenance(self.catalog, "index building")
        for at in range(0, len(rows), _SLICE):
            chunks = list(door.chunks(rows[at : at + _SLICE]))
            vectors = self._vectors(chunks)
            for chunk in chunks:
                yield IndexRow(
                    row=chunk.row,
                    vector=vectors[chunk.vector_hash],
                    text=chunk.text,
                    language=chunk.language,
                    # Chunks that share an access set stand together, which makes filtered scans local. A hint only.
                    locality=chunk.access_set_id,
                )

    def _vectors(self, chunks: list[EmbeddedChunk]) -> dict[str, NDArray[np.float32]]:
        query = select(Vector.hash, Vector.data).where(
            Vector.fingerprint == self.encoder.fingerprint, Vector.hash.in_({chunk.vector_hash for chunk in chunks})
        )
        with self.catalog.read() as session:
            found = {hash_: np.frombuffer(data, "<f2").astype(np.float32) for hash_, data in session.execute(query)}
        if any(chunk.vector_hash not in found for chunk in chunks):
            raise Conflict(
                f"Some chunks have no vector of the model {self.encoder.fingerprint}. Run `footnote upgrade` to embed "
                "them with the model in use."
            )
        return found
