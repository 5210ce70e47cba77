"""How fast one thread finds the nearest of a million vectors, whatever part of them is readable.

Beside it, in the same process and in turn: FAISS's flat index over single precision, which reads everything there is,
and a gather, which reads what is readable and nothing else.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import faiss
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from evaluation.bench.report import BenchReport, Claim, Figure, Row, this_machine
from retrieval import dense
from retrieval.faiss_scan import FaissScan
from retrieval.index.checking import check_whole
from retrieval.index.segment import CODES, FACTORS, SIGNS, Segment, SegmentArrays, open_segment, write_segment
from retrieval.index.selection import Selection, select
from retrieval.index.storage import Storage
from retrieval.native_scan import NativeScan, ways
from retrieval.scan import Scan

Vectors = NDArray[np.float32]
Found = TypeVar("Found")

FRACTIONS = (1.0, 0.3, 0.1, 0.01, 0.001, 0.0001)
DEPTHS = (10, 50)
DIMENSION = 384
TOPICS = 500
SPREAD = 0.8  # the length of what sets a vector apart from its topic's, as in the synthetic corpus
RUNS = 10  # a clustered readable set is so many runs of neighbours
REPEATS = 3

WHOLE_MS, TENTH_MS, PLAIN_MS = 5.0, 3.0, 15.0
TIMES_FLAT, TIMES_GATHER, BESIDE_GATHER_MS = 10.0, 1.2, 0.1
RECALL, RESIDENT_BYTES = 0.99, 900.0

_DRAWN_AT_ONCE = 50_000
_SAME = 1e-6  # scores that differ by less are equal but for rounding


@dataclass(frozen=True)
class ScanBench:
    """`chunks` vectors about `TOPICS` topics and questions about the same, or those of a folder: vectors.npy and
    queries.npy, unit vectors in single precision."""

    chunks: int = 100_000
    queries: int = 20
    vectors: Path | None = None


@dataclass(frozen=True)
class _Case:
    """One readable set."""

    fraction: float
    shape: str
    selection: Selection
    positions: NDArray[np.int64]


def run_scan(bench: ScanBench | None = None) -> BenchReport:
    """Every fraction and shape of readable set, each at two depths; milliseconds are processor time at the median.

    Processor time, for a scan is one thread's: what else the machine does then weighs less, and on all alike.
    """
    bench = bench or ScanBench()
    scans: dict[str, Scan] = {"ms": NativeScan(ways()[0])} if ways() else {}
    scans["ms_without_compiled_scan"] = FaissScan()
    rows = []
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as folder:
        segment = segment_of(Path(folder), _vectors(bench))
        queries = _queries(bench)
        exact = [segment.arrays.vectors @ query for query in queries]
        for case in _cases(segment):
            rows += [_measured(case, k, queries, exact, scans) for k in DEPTHS if k <= len(case.positions)]
        held = sum(segment.record.files[name].size for name in (CODES, SIGNS, FACTORS) if name in segment.record.files)
        per_chunk = held / segment.record.count
    return BenchReport("scan", this_machine(), tuple(rows), tuple(_claims(rows, per_chunk)))


def segment_of(folder: Path, vectors: Vectors, rows: NDArray[np.integer] | None = None, first_row: int = 0) -> Segment:
    """A segment of vectors and no words, written and opened as any other; its rows count from `first_row`."""
    count = len(vectors)
    arrays = SegmentArrays(
        vectors=vectors,
        rows=np.arange(first_row, first_row + count) if rows is None else rows.astype(np.int64),
        locality=np.zeros(count, np.int64),
        languages=np.zeros(count, np.uint16),
        lengths=np.zeros(count, np.uint32),
        terms=np.zeros(0, np.uint64),
        offsets=np.zeros(1, np.int64),
        chunks=np.zeros(0, np.uint32),
        frequencies=np.zeros(0, np.uint16),
    )
    return open_segment(folder, write_segment(folder, "vectors", arrays, Storage()), check_whole)


def _vectors(bench: ScanBench) -> Vectors:
    if bench.vectors is not None:
        given: Vectors = np.load(bench.vectors / "vectors.npy", mmap_mode="r")[: bench.chunks]
        return given
    random = np.random.default_rng(1)
    topics = np.sort(random.integers(0, TOPICS, bench.chunks))
    vectors = np.empty((bench.chunks, DIMENSION), np.float32)
    for start in range(0, bench.chunks, _DRAWN_AT_ONCE):
        some = topics[start : start + _DRAWN_AT_ONCE]
        vectors[start : start + len(some)] = _about(some, random)
    return vectors


def _queries(bench: ScanBench) -> Vectors:
    random = np.random.default_rng(2)
    if bench.vectors is not None:
        given: Vectors = np.load(bench.vectors / "queries.npy")
        return given[random.permutation(len(given))[: bench.queries]]
    return _about(random.integers(0, TOPICS, bench.queries), random)


def _about(topics: NDArray[np.int64], random: np.random.Generator) -> Vectors:
    """A unit vector about each topic."""
    centres = _unit(np.random.default_rng(0).normal(size=(TOPICS, DIMENSION)).astype(np.float32))
    spread = _unit(random.standard_normal((len(topics), DIMENSION), np.float32))
    return _unit(centres[topics] + np.float32(SPREAD) * spread)


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _cases(segment: Segment) -> Iterator[_Case]:
    count, random = segment.record.count, np.random.default_rng(3)
    for fraction in FRACTIONS:
        wanted = max(round(count * fraction), 1)
        shapes = {"random": random.permutation(count)[:wanted]}
        if fraction < 1:
            length = max(wanted // RUNS, 1)
            starts = random.permutation(count // length)[:RUNS] * length
            shapes["clustered"] = (starts[:, None] + np.arange(length)).ravel()
        for shape, positions in shapes.items():
            selection = select([segment], BitMap(np.sort(positions).tolist()))
            yield _Case(fraction, shape, selection, np.sort(positions))


def _measured(case: _Case, k: int, queries: Vectors, exact: Sequence[Vectors], scans: dict[str, Scan]) -> Row:
    """Every way answers a query before the next one is asked."""
    vectors = case.selection.segments[0].arrays.vectors
    spent: dict[str, list[float]] = {}
    recalls = []
    for query, scores in zip(queries, exact, strict=True):
        readable = scores[case.positions]
        kth = np.partition(readable, len(readable) - k)[len(readable) - k]
        for name, scan in scans.items():
            with patch.object(dense, "fastest_scan", lambda scan=scan: scan):
                seconds, (slots, _) = _fastest(partial(dense.nearest, case.selection, query, k))
            spent.setdefault(name, []).append(seconds)
            recalls.append(float(np.mean(scores[slots] >= kth - _SAME)) * len(slots) / k)
        if case.fraction == 1:
            spent.setdefault("flat_ms", []).append(_fastest(partial(_flat, vectors, query, k), 1)[0])
        if case.fraction <= 0.1:
            repeats = 1 if case.fraction > 0.01 else REPEATS
            spent.setdefault("gather_ms", []).append(_fastest(partial(_gathered, vectors, case, query, k), repeats)[0])
    figures: dict[str, Figure] = {name: round(1e3 * statistics.median(times), 3) for name, times in spent.items()}
    figures["recall"] = round(min(1.0, statistics.fmean(recalls)), 4)
    return Row(f"{case.fraction:.2%} readable, {case.shape}, k {k}", figures)


def _fastest(action: Callable[[], Found], repeats: int = REPEATS) -> tuple[float, Found]:
    """Processor seconds of this thread: the least of some, for whoever interrupts leaves cold caches behind."""
    found = action()
    spent = []
    for _ in range(repeats):
        start = time.thread_time()
        action()
        spent.append(time.thread_time() - start)
    return min(spent), found


def _flat(vectors: Vectors, query: Vectors, k: int) -> None:
    api: Any = faiss
    api.omp_set_num_threads(1)
    api.knn(query[None, :], vectors, k, metric=api.METRIC_INNER_PRODUCT)


def _gathered(vectors: Vectors, case: _Case, query: Vectors, k: int) -> NDArray[np.int64]:
    scores = np.einsum("ij,j->i", vectors[case.positions], query)
    best = np.argpartition(-scores, k - 1)[:k]
    return case.positions[best[np.argsort(-scores[best])]]


def _claims(rows: Sequence[Row], bytes_per_chunk: float) -> Iterator[Claim]:
    def of(*fractions: float) -> list[dict[str, float]]:
        prefixes = tuple(f"{fraction:.2%}" for fraction in fractions)
        return [
            {name: float(figure) for name, figure in row.figures.items()}
            for row in rows
            if row.system.startswith(prefixes)
        ]

    ours = "ms" if any("ms" in row.figures for row in rows) else "ms_without_compiled_scan"
    whole, everywhere = of(1.0), of(*FRACTIONS)
    yield Claim.at_least("recall at k, the lowest", min(row["recall"] for row in everywhere), RECALL)
    yield Claim.at_most("ms with everything readable", max(row[ours] for row in whole), WHOLE_MS)
    yield Claim.at_least(
        "times as fast as flat single precision", min(row["flat_ms"] / row[ours] for row in whole), TIMES_FLAT
    )
    yield Claim.at_most("ms with a tenth readable", max(row[ours] for row in of(0.1)), TENTH_MS)
    yield Claim.at_most(
        f"times a gather, beside {BESIDE_GATHER_MS} ms, below a tenth",
        max((row[ours] - BESIDE_GATHER_MS) / row["gather_ms"] for row in of(*(f for f in FRACTIONS if f < 0.1))),
        TIMES_GATHER,
    )
    yield Claim.at_most(
        "ms without the compiled scan, anywhere", max(row["ms_without_compiled_scan"] for row in everywhere), PLAIN_MS
    )
    yield Claim.at_most("bytes a chunk that scans keep in memory", round(bytes_per_chunk, 1), RESIDENT_BYTES)
