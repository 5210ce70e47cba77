"""Many readers: processes that search side by side while documents are brought in, and what each core does for them."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from catalog.models import Document
from core.errors import Transient
from core.settings import Settings
from evaluation.bench.corpus import synthetic_rows
from evaluation.bench.lock_freedom import lock_freedom
from evaluation.bench.processes import run_alone
from evaluation.bench.report import BenchReport, Claim, Figure, Row, this_machine
from evaluation.bench.search import EVERYTHING, fill
from evaluation.peers.ingesters import OFFLINE
from wiring.environment import inherited
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

TAIL_TARGET = 5.0
"""The 99th percentile may be so many times the median."""
_COMMAND = str(Path(sys.executable).with_name("footnote"))
_DOCUMENTS = 20
_START_TIMEOUT_S = 300
_CALLS = 100


@dataclass(frozen=True)
class ReadersBench:
    """`processes` with `threads` each search `chunks` chunks for `seconds`, one search after the other in each."""

    chunks: int = 20_000
    processes: int = 8
    threads: int = 2
    seconds: float = 20.0


def run_readers(bench: ReadersBench | None = None) -> BenchReport:
    """One reader with nothing else running, then all of them beside `footnote ingest`; and who holds Python's lock."""
    bench = bench or ReadersBench()
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as place:
        folder = Path(place)
        settings = Settings(home=folder / "home")
        init_home(settings)
        with open_home(settings) as home:
            queries = fill(home, bench.chunks)
            free = _lock_freedom(home, queries)
        (folder / "queries.json").write_text(json.dumps(queries), "utf-8")
        alone = _searched(settings.home, folder, 1, 1, bench.seconds / 2)
        with _ingesting(settings.home, folder / "documents"):
            before = _documents(settings)
            together = _searched(settings.home, folder, bench.processes, bench.threads, bench.seconds)
            documents = _documents(settings) - before
    name = f"{bench.processes} processes of {bench.threads} threads, while ingesting"
    rows = (
        Row("one process of one thread, alone", _figures(alone)),
        Row(name, {**_figures(together), "documents_ingested": documents}),
        *(Row(f"without Python's lock: {part}", {"share": share}) for part, share in free.items()),
    )
    return BenchReport("readers", this_machine(), rows, tuple(_claims(together)))


@dataclass(frozen=True)
class _Searched:
    """What all readers of a run did together in `seconds`."""

    milliseconds: Sequence[float]
    errors: Sequence[str]
    processor_seconds: float
    seconds: float


def _searched(home: Path, folder: Path, processes: int, threads: int, seconds: float) -> _Searched:
    """The readers, all ready before any begins. Raises `Transient` where one does not start or end."""
    start = folder / f"start-{processes}"
    results = [folder / f"reader-{processes}-{number}.json" for number in range(processes)]
    with ExitStack() as stack:
        readers = [
            stack.enter_context(_reader(home, folder / "queries.json", start, result, threads, seconds, number))
            for number, result in enumerate(results)
        ]
        _await([result.with_suffix(".ready") for result in results], readers)
        start.touch()
        for reader in readers:
            if reader.wait(_START_TIMEOUT_S + seconds) != 0:
                raise Transient("a reader ended before its time")
    told = [json.loads(result.read_text("utf-8")) for result in results]
    return _Searched(
        [spent for one in told for spent in one["ms"]],
        [error for one in told for error in one["errors"]],
        sum(one["processor_s"] for one in told),
        seconds,
    )


@contextmanager
def _reader(
    home: Path, queries: Path, start: Path, result: Path, threads: int, seconds: float, number: int
) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [home, queries, start, result, threads, seconds, number]
    process = subprocess.Popen(
        [sys.executable, "-m", "evaluation.bench.reader_process", *map(str, arguments)],
        env=inherited({**OFFLINE, "FOOTNOTE_ENCODER_THREADS": "1"}),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await(files: Sequence[Path], readers: Sequence[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + _START_TIMEOUT_S
    while not all(file.exists() for file in files):
        if any(reader.poll() is not None for reader in readers) or time.monotonic() > until:
            raise Transient("a reader did not start")
        time.sleep(0.1)


def _documents(settings: Settings) -> int:
    with open_home(settings) as home, home.catalog.read() as session:
        return session.scalar(select(func.count()).select_from(Document).where(Document.state == "ready")) or 0


@contextmanager
def _ingesting(home: Path, folder: Path) -> Iterator[None]:
    """`footnote ingest` of new documents, time and again. Raises `Transient` where it fails."""
    failed: list[Transient] = []
    over = threading.Event()

    def work() -> None:
        texts = (row.text for row in synthetic_rows(1_000_000, seed=11))
        try:
            for batch in itertools.count():
                if over.is_set():
                    return
                _write(folder / str(batch), itertools.islice(texts, _DOCUMENTS))
                run_alone([_COMMAND, "--home", str(home), "ingest", str(folder), "--allow", "everyone"], OFFLINE)
        except Transient as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="footnote-ingest")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


def _write(folder: Path, texts: Iterable[str]) -> None:
    folder.mkdir(parents=True)
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text, "utf-8")


def _lock_freedom(home: Home, queries: Sequence[str]) -> dict[str, float]:
    """For each part of a search the share of its time in which other threads may run Python."""
    searcher = home.searcher
    home.warm()
    rows = searcher.readable.of(EVERYTHING).rows
    vectors = {query: searcher.ranker.embed(query) for query in queries[:_CALLS]}
    asked = list(vectors)
    found = [row for row, _ in searcher.ranker.rank(asked[0], vectors[asked[0]], rows, 10).hits]
    parts = {
        # Words that no other question has: the vectors of earlier ones are remembered.
        "embed": lambda number: searcher.ranker.embed(f"{asked[number % len(asked)]} {number}"),
        "rank": lambda number: searcher.ranker.rank(
            asked[number % len(asked)], vectors[asked[number % len(asked)]], rows, 10
        ),
        "gate": lambda _: searcher.gate.passages(EVERYTHING, found),
    }
    return {name: round(lock_freedom(call, _CALLS), 3) for name, call in parts.items()}


def _figures(found: _Searched) -> dict[str, Figure]:
    searches = len(found.milliseconds)
    return {
        "search_ms_p50": round(float(np.median(found.milliseconds)), 2),
        "search_ms_p99": round(float(np.percentile(found.milliseconds, 99)), 2),
        "searches": searches,
        "errors": len(found.errors),
        **({"first_error": found.errors[0]} if found.errors else {}),
        "searches_per_s": round(searches / found.seconds, 1),
        "processor_ms_per_search": round(1e3 * found.processor_seconds / max(1, searches), 2),
        "searches_per_core_s": round(searches / max(1e-9, found.processor_seconds), 1),
    }


def _claims(together: _Searched) -> Iterator[Claim]:
    yield Claim.at_most("searches that failed while documents were brought in", len(together.errors), 0)
    tail = float(np.percentile(together.milliseconds, 99)) / float(np.median(together.milliseconds))
    yield Claim.at_most("99th percentile of a search, times the median", round(tail, 2), TAIL_TARGET)
