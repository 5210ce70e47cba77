"""Publishing into a large index: how long opening and a publish take, and whether anybody waits for a merge."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from evaluation.bench.corpus import synthetic_queries, synthetic_rows
from evaluation.bench.report import BenchReport, Claim, Row, this_machine
from retrieval.analysis import ANALYZER_VERSION, query_terms
from retrieval.dense import nearest
from retrieval.index import IndexReader, IndexWriter
from retrieval.index.manifest import SEGMENTS, Manifest, SegmentRecord, write_manifest
from retrieval.index.segment import SegmentArrays, write_segment
from retrieval.index.storage import Storage
from retrieval.lexical import bm25

CHUNKS = 1_000_000
_DIMENSION = 384
_PUBLISHED = 1_000
_TERMS_PER_CHUNK = 160  # of 195 word pieces: forms and stems, each once
_VOCABULARY = 300_000
_AT_ONCE = 50_000
_PUBLISHES = 5
_WARMING_UP = 20
_ALONE = 200
_TARGET_S = 1.0
_TARGET_PAUSE_MS = 50.0


def run_publish(chunks: int = CHUNKS) -> BenchReport:
    """Seconds of opening an index of `chunks` and of publishing a thousand more, and how much longer than otherwise a
    question takes while a third of it is merged.

    Seconds are those of the thread's processor time too, which other work on the machine does not move.
    """
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as name:
        folder = Path(name)
        writer = IndexWriter(folder, "synthetic", _DIMENSION, merged_in_publish=4_096)
        _lay_out(folder, [chunks - 3 * (chunks // 10), *[chunks // 10] * 3])
        rows = [_opening(folder), _merging(folder, writer), _publishing(writer, chunks)]
        shutil.rmtree(folder / SEGMENTS)
    opening, merging, publishing = (row.figures for row in rows)
    return BenchReport(
        "publish",
        this_machine(),
        tuple(rows),
        (
            Claim.at_most(f"an index of {chunks:,} chunks opens in a second", float(opening["fastest_s"]), _TARGET_S),
            Claim.at_most("publishing 1,000 chunks into it takes a second", float(publishing["fastest_s"]), _TARGET_S),
            Claim.at_most(
                "merging adds at most 50 ms to the longest question",
                float(merging["pause_ms"]),
                _TARGET_PAUSE_MS,
            ),
        ),
    )


def _opening(folder: Path) -> Row:
    IndexReader(folder).snapshot()  # what is large is read whole by the first process of the machine alone
    figures = _timed(lambda: IndexReader(folder).snapshot(), 5)
    return Row("opening", figures)


def _publishing(writer: IndexWriter, chunks: int) -> Row:
    batches = iter(
        [
            list(synthetic_rows(_PUBLISHED, seed=number, first_row=chunks + number * _PUBLISHED))
            for number in range(_PUBLISHES)
        ]
    )
    return Row("publishing 1,000", _timed(lambda: writer.publish(next(batches), [5]), _PUBLISHES))


def _merging(folder: Path, writer: IndexWriter) -> Row:
    """Questions of one reader, one after another: first alone, then while what can be merged is."""
    reader = IndexReader(folder)
    readable = reader.snapshot().rows()
    _asked(reader, readable, _WARMING_UP)
    alone = _asked(reader, readable, _ALONE)
    merged, ended = _in_background(writer)
    during = [*_asked(reader, readable, ended), *_asked(reader, readable, _ALONE)]
    return Row(
        "merging",
        {
            "merged_s": round(merged[0], 1) if merged else 0.0,
            "questions": len(during),
            "alone_ms_p50": round(float(np.median(alone)), 2),
            "alone_ms_max": round(max(alone), 2),
            "during_ms_p50": round(float(np.median(during)), 2),
            "during_ms_p99": round(float(np.percentile(during, 99)), 2),
            "during_ms_max": round(max(during), 2),
            "pause_ms": round(max(0.0, max(during) - max(alone)), 2),
        },
    )


def _in_background(writer: IndexWriter) -> tuple[list[float], Callable[[], bool]]:
    spent: list[float] = []

    def merge() -> None:
        began = time.perf_counter()
        writer.merge()
        spent.append(time.perf_counter() - began)

    thread = threading.Thread(target=merge)
    thread.start()
    return spent, lambda: not thread.is_alive()


def _asked(reader: IndexReader, readable: BitMap, enough: int | Callable[[], bool]) -> list[float]:
    """Milliseconds of so many questions, or until it is enough: snapshot, selection, dense and lexical ranking."""
    random = np.random.default_rng(3)
    queries = synthetic_queries(100, seed=4)
    spent: list[float] = []
    while len(spent) < enough if isinstance(enough, int) else not enough():
        vector = random.normal(size=_DIMENSION).astype(np.float32)
        vector /= np.linalg.norm(vector)
        terms = query_terms(queries[len(spent) % len(queries)], "en")
        began = time.perf_counter()
        selection = reader.snapshot().select(readable)
        nearest(selection, vector, 10)
        bm25(selection, terms)
        spent.append((time.perf_counter() - began) * 1e3)
    return spent


def _timed(work: Callable[[], object], times: int) -> dict[str, float]:
    wall, processor = [], []
    for _ in range(times):
        began, began_cpu = time.perf_counter(), time.thread_time()
        work()
        wall.append(time.perf_counter() - began)
        processor.append(time.thread_time() - began_cpu)
    return {"fastest_s": round(min(wall), 3), "slowest_s": round(max(wall), 3), "processor_s": round(min(processor), 3)}


def _lay_out(folder: Path, sizes: list[int]) -> None:
    """An index of segments of these sizes, without the hours that analysing a million texts would take."""
    storage = Storage()
    (folder / SEGMENTS).mkdir()
    records: list[SegmentRecord] = []
    first = 1
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as scratch:
        for number, size in enumerate(sizes):
            arrays = _arrays(size, first, np.random.default_rng(number), Path(scratch))
            records.append(write_segment(folder / SEGMENTS, f"segment-{number}", arrays, storage))
            first += size
    write_manifest(folder, Manifest(1, "synthetic", _DIMENSION, ANALYZER_VERSION, tuple(records)), storage)


def _arrays(size: int, first: int, random: np.random.Generator, scratch: Path) -> SegmentArrays:
    """Chunks with random vectors, and with terms whose frequencies follow Zipf's law."""
    vectors = np.memmap(scratch / f"{first}.vectors", np.float32, "w+", shape=(size, _DIMENSION))
    for start in range(0, size, _AT_ONCE):
        some = random.standard_normal((min(_AT_ONCE, size - start), _DIMENSION), np.float32)
        vectors[start : start + _AT_ONCE] = some / np.linalg.norm(some, axis=1, keepdims=True)
    shares = 1 / np.arange(1, _VOCABULARY + 1)
    counts = np.minimum(random.poisson(shares / shares.sum() * size * _TERMS_PER_CHUNK), size // 2)
    counts = counts[counts > 0]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return SegmentArrays(
        vectors=vectors.view(np.ndarray),
        rows=np.arange(first, first + size, dtype=np.int64),
        locality=np.sort(random.integers(0, 500, size)),
        languages=np.full(size, ord("e") << 8 | ord("n"), np.uint16),
        lengths=random.integers(80, 200, size).astype(np.uint32),
        terms=np.unique(random.integers(0, 2**63, 2 * len(counts), np.int64))[: len(counts)].astype(np.uint64),
        offsets=offsets,
        chunks=_postings(counts, size, random),
        frequencies=np.ones(int(offsets[-1]), np.uint16),
    )


def _postings(counts: NDArray[np.int64], size: int, random: np.random.Generator) -> NDArray[np.uint32]:
    """For each term as many different chunks, ascending: evenly spread from a random beginning."""
    chunks = np.empty(int(counts.sum()), np.uint32)
    at = 0
    for count in counts.tolist():
        step = size / count
        chunks[at : at + count] = (np.arange(count) * step + random.random() * (step - 1)).astype(np.uint32)
        at += count
    return chunks
