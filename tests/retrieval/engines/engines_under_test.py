"""Every engine that keeps an index, made ready to be tested alike: chunks of a few words, hashed into 16 numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from pyroaring import BitMap

from core.documents import content_hash
from inference.hashing import HashingEncoder
from retrieval.engines.milvus import Milvus, MilvusReader, MilvusWriter
from retrieval.engines.pgvector import PgvectorReader
from retrieval.engines.pgvector_tables import Tables
from retrieval.engines.pgvector_writing import PgvectorWriter
from retrieval.engines.protocol import IndexReading, IndexWriting
from retrieval.index import IndexReader, IndexRow, IndexWriter
from retrieval.index.storage import Storage
from retrieval.ranking import Ranker, Ranking

ENCODER = HashingEncoder(16)
OTHER_MACHINE = "another-machine"
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "contract", "employee", "notice")


@dataclass(frozen=True)
class EngineUnderTest:
    """An index that stands nowhere yet; each reader and writer is as one in a process of its own."""

    name: str
    place: str
    folder: Path

    def reader(self) -> IndexReading:
        return READERS[self.name](self)

    def writer(self, fingerprint: str = ENCODER.fingerprint, storage: Storage | None = None) -> IndexWriting:
        return WRITERS[self.name](self, fingerprint, storage)

    def anew(self, name: str) -> EngineUnderTest:
        """Another one, beside this."""
        return EngineUnderTest(self.name, self.place, self.folder / name)

    @property
    def index(self) -> str:
        """What the index is called in an engine that has several."""
        shared = self.folder.parent if self.folder.name == OTHER_MACHINE else self.folder
        return f"contract_{content_hash(str(shared))[:12]}"

    def publish(self, rows: Iterable[int], dropped: Iterable[int] = ()) -> int:
        return self.writer().publish(map(row_of, rows), dropped)

    def ranker(self) -> Ranker:
        return Ranker(self.reader(), ENCODER)


def _pg(under: EngineUnderTest) -> Tables:
    return Tables(sa.create_engine(under.place, poolclass=sa.NullPool), under.index)


def _milvus(under: EngineUnderTest) -> Milvus:
    return Milvus(under.place, "", under.index)


READERS: dict[str, Callable[[EngineUnderTest], IndexReading]] = {
    "faiss": lambda under: IndexReader(under.folder),
    "milvus": lambda under: MilvusReader(_milvus(under), under.folder),
    "pgvector": lambda under: PgvectorReader(_pg(under), under.folder / "read"),
}
WRITERS: dict[str, Callable[[EngineUnderTest, str, Storage | None], IndexWriting]] = {
    "faiss": lambda under, fingerprint, storage: IndexWriter(under.folder, fingerprint, ENCODER.dimension, storage),
    "milvus": lambda under, fingerprint, storage: MilvusWriter(
        _milvus(under), under.folder, fingerprint, ENCODER.dimension, storage
    ),
    "pgvector": lambda under, fingerprint, storage: PgvectorWriter(
        _pg(under), under.folder / "written", fingerprint, ENCODER.dimension, storage
    ),
}


def _lose_from_milvus(under: EngineUnderTest, row: int) -> None:
    milvus = _milvus(under)
    for name in milvus.collections():
        milvus.collection(name).delete(f"row == {row}")


def _lose_from_pgvector(under: EngineUnderTest, row: int) -> None:
    tables = _pg(under)
    with tables.transaction("READ COMMITTED") as connection:
        connection.execute(tables.sql("DELETE FROM {table} WHERE row = %s", table="vectors_1"), [row])


LOSING: dict[str, Callable[[EngineUnderTest, int], None]] = {
    "milvus": _lose_from_milvus,
    "pgvector": _lose_from_pgvector,
}
"""How the vector of a row gets lost, in the first generation of engines that keep vectors by themselves."""


def text_of(row: int) -> str:
    """The text of a row, the same in every process; some rows share theirs."""
    random = np.random.default_rng(row % 60)
    return " ".join(random.choice(WORDS, int(random.integers(1, 12))))


def row_of(row: int, text: str | None = None) -> IndexRow:
    text = text_of(row) if text is None else text
    return IndexRow(row, ENCODER.encode_query(text), text, "en", locality=row % 5)


def rank(ranker: Ranker, query: str, readable: Iterable[int], k: int) -> Ranking:
    return ranker.rank(query, ranker.embed(query), BitMap(readable), k)
