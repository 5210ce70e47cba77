"""Nearest chunks under access filters: speed and recall beside vector stores and libraries, with the same filters."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import Transient
from evaluation.bench.filtered_corpus import Filter, K, exact, filtered_corpus, write_corpus
from evaluation.bench.filtered_footnote import FLAT, FOOTNOTE
from evaluation.bench.processes import Finished, run_alone
from evaluation.bench.report import BenchReport, Claim, Figure, Row, this_machine
from evaluation.peers.ingesters import OFFLINE
from evaluation.peers.stores import STORES, store

CHUNKS = 100_000
RECALL_TARGET = 0.99
PEER_RECALL = 0.95
"""A peer that finds less is no measure of speed: what is not looked for costs nothing."""
_SEED = 5
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class FilteredBench:
    """`chunks` vectors, searched with `questions` under each filter for at most `seconds` by each system."""

    chunks: int = CHUNKS
    questions: int = 200
    seconds: float = 15.0
    peers: Sequence[str] = STORES


def run_filtered(bench: FilteredBench | None = None) -> BenchReport:
    """One row for each filter and system; a system that could not run has one, with the reason."""
    bench = bench or FilteredBench()
    found: dict[str, list[Row]] = {}
    missing: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as place:
        folder = Path(place) / "corpus"
        folder.mkdir()
        filters, truth = _prepared(bench, folder)
        for system in (FOOTNOTE, FLAT, *bench.peers):
            try:
                found[system] = _rows(system, filters, truth, *_run(system, bench, folder, Path(place) / "store"))
            except Transient as error:
                missing.append(Row(system, error=str(error)))
    rows = [rows[number] for number in range(len(filters)) for rows in found.values()]
    return BenchReport("filtered", this_machine(), (*rows, *missing), tuple(_claims(found)))


def _prepared(bench: FilteredBench, folder: Path) -> tuple[Sequence[Filter], Sequence[NDArray[np.int64]]]:
    """The filters, and what is right under each; the vectors themselves are in files now and no longer in memory."""
    corpus = filtered_corpus(bench.chunks, bench.questions, _SEED)
    write_corpus(corpus, folder)
    return corpus.filters, [exact(corpus, number) for number in range(len(corpus.filters))]


def _run(system: str, bench: FilteredBench, corpus: Path, place: Path) -> tuple[Mapping[str, Any], Finished]:
    """What the system's own process tells; its store is removed. Raises `Transient` where it could not run."""
    ours = [sys.executable, "-m", "evaluation.bench.filtered_footnote", system]
    command = ours if system in (FOOTNOTE, FLAT) else store(system)
    place.mkdir()
    result = place.with_name("result.json")
    threads = _ONE_THREAD if system in (FOOTNOTE, FLAT) else {}
    try:
        finished = run_alone(
            [*command, str(corpus), str(place), str(result), str(bench.seconds)], {**OFFLINE, **threads}
        )
        told: Mapping[str, Any] = json.loads(result.read_text("utf-8"))
        return told, finished
    finally:
        shutil.rmtree(place)
        result.unlink(missing_ok=True)


def _rows(
    system: str,
    filters: Sequence[Filter],
    truth: Sequence[NDArray[np.int64]],
    told: Mapping[str, Any],
    finished: Finished,
) -> list[Row]:
    rows = []
    for one, right, answered in zip(filters, truth, told["filters"], strict=True):
        name = f"{system}, {one.name}"
        if "error" in answered:
            rows.append(Row(name, error=answered["error"]))
            continue
        figures: dict[str, Figure] = {
            "filter": one.name,
            "p50_ms": round(statistics.median(answered["ms"]), 3),
            "p99_ms": round(float(np.percentile(answered["ms"], 99)), 3),
            f"recall@{K}": round(recall(answered["ids"], right), 4),
            f"searches_with_{K}": round(
                sum(len(ids) == right.shape[1] for ids in answered["ids"]) / len(answered["ids"]), 3
            ),
            "fastest_ms": round(min(answered["ms"]), 3),
            "processor_ms": round(statistics.median(answered["processor_ms"]), 3),
            "first_ms": round(answered["first_ms"], 1),
            "searches": len(answered["ids"]),
            "build_s": round(told["build_s"], 1),
            "peak_mib": round(finished.peak_bytes / 2**20),
        }
        rows.append(Row(name, figures))
    return rows


def recall(found: Sequence[Sequence[int]], right: NDArray[np.int64]) -> float:
    """The mean share of the exact answers that each search found; `right` may have more searches."""
    shares = [len(set(ids) & set(answers)) / len(answers) for ids, answers in zip(found, right.tolist(), strict=False)]
    return statistics.fmean(shares)


def _claims(found: Mapping[str, list[Row]]) -> list[Claim]:
    ours = [row.figures for row in found.get(FOOTNOTE, []) if row.error is None]
    if not ours:
        return []
    lowest = min(float(figures[f"recall@{K}"]) for figures in ours)
    claims = [Claim.at_least(f"recall@{K} of Footnote under every filter", lowest, RECALL_TARGET)]
    peers = [
        row.figures
        for system, rows in found.items()
        if system not in (FOOTNOTE, FLAT)
        for row in rows
        if row.error is None and float(row.figures[f"recall@{K}"]) >= PEER_RECALL
    ]
    for figures in ours:
        rivals = [float(peer["p50_ms"]) for peer in peers if peer["filter"] == figures["filter"]]
        if rivals:
            times = round(min(rivals) / float(figures["p50_ms"]), 2)
            words = f"times as fast as the fastest peer that finds {PEER_RECALL:.0%}, {figures['filter']}"
            claims.append(Claim.at_least(words, times, 1.0))
    return claims
