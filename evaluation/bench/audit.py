"""How long an answer waits for its audit records, alone and while documents are being brought in."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core.principals import EVERYONE, Principal
from core.settings import Settings
from evaluation.bench.report import BenchReport, Claim, Row, this_machine
from ingest.sync import FolderRequest, sync_folder
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

ANSWERS = 200
TARGET_MS = 10.0
_DOCUMENTS = 600
_ASKER = Principal("local", "bench")


def run_audit() -> BenchReport:
    """What real answers spend waiting for their records (intent; evidence and receipt), 50th and 95th percentile.

    The ingest is `footnote ingest` in a process of its own, on the same home and disk, with the real parser and
    encoder.
    """
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as folder:
        settings = Settings(home=Path(folder) / "home")
        init_home(settings)
        with open_home(settings) as home:
            first = _documents(Path(folder) / "first", 20)
            request = FolderRequest(first, "first", (EVERYONE,), None, "no")
            sync_folder(home.ingestion, home.layout.folder, request, 10_000_000, lambda *_: None)
            home.warm()
            alone = _measured(home, "footnote, nothing else running", None)
            with _ingesting(_documents(Path(folder) / "more", _DOCUMENTS), settings.home) as ingest:
                beside = _measured(home, "footnote, beside an ingest", ingest)
    claim = f"an answer waits at most {TARGET_MS:g} ms for its audit records (95th percentile) while an ingest runs"
    value = float(beside.figures["audit_ms_p95"])
    return BenchReport("audit", this_machine(), (alone, beside), (Claim.at_most(claim, value, TARGET_MS),))


def _measured(home: Home, system: str, ingest: subprocess.Popen[bytes] | None) -> Row:
    waits: list[float] = []
    for number in range(ANSWERS):
        answer = home.ask.ask(f"When is item {number % 90} of list {number % 20} due?", _ASKER, "bench")
        if ingest is not None and ingest.poll() is not None:
            break
        waits.append(answer.timings_ms["audit"])
    figures = {
        "answers": len(waits),
        "audit_ms_p50": round(float(np.percentile(waits, 50)), 2),
        "audit_ms_p95": round(float(np.percentile(waits, 95)), 2),
    }
    return Row(system, figures)


def _documents(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        sentences = (f"Item {n} of list {number} is due on day {n} of the quarter." for n in range(150))
        (folder / f"{number}.txt").write_text(" ".join(sentences))
    return folder


@contextmanager
def _ingesting(documents: Path, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`footnote ingest` at work, from the moment its first documents have arrived."""
    command = [str(Path(sys.executable).with_name("footnote")), "--home", str(home)]
    process = subprocess.Popen([*command, "ingest", str(documents), "--allow", "everyone"], stdout=subprocess.DEVNULL)
    try:
        blobs = home / "blobs"
        while process.poll() is None and sum(1 for _ in blobs.rglob("*")) < 80:
            time.sleep(0.05)
        yield process
    finally:
        process.wait()
