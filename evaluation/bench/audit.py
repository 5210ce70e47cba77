"""How long an answer waits for its audit records, alone and while documents are being brought in."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core.principals import EVERYONE, Principal
from core.settings import Settings
from evaluation.bench.report import BenchReport, Claim, Row, this_machine
from governance.audit import AuditLog, Entry, Kind, new_audit_id
from ingest.sync import FolderRequest, sync_folder
from wiring.home import init_home, open_home

ANSWERS = 300
TARGET_MS = 10.0
_DOCUMENTS = 400
_ASKER = Principal("local", "bench")
_EVIDENCE = {"chunks": [{"chunk_id": f"{number:032x}:1:0", "sha256": "0" * 64} for number in range(8)]}
_RECEIPT = {"answer": "The agreement runs for three years [1]. " * 4}


def run_audit() -> BenchReport:
    """The two commits that an answer waits for (intent; evidence and receipt), 50th and 95th percentile.

    The ingest runs in the same process, with the real encoder and the real parser, on the same disk.
    """
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as folder:
        settings = Settings(home=Path(folder) / "home")
        init_home(settings)
        with open_home(settings) as home:
            alone = _measured(home.audit, "footnote, nothing else running")
            with _ingesting(Path(folder), settings) as still:
                beside = _measured(home.audit, "footnote, beside an ingest", still)
    claim = f"an answer waits at most {TARGET_MS:g} ms for its audit records (95th percentile) while an ingest runs"
    value = float(beside.figures["audit_ms_p95"])
    return BenchReport("audit", this_machine(), (alone, beside), (Claim.at_most(claim, value, TARGET_MS),))


def _measured(log: AuditLog, system: str, still: threading.Event | None = None) -> Row:
    waits = []
    for _ in range(ANSWERS):
        if still is not None and still.is_set():
            break
        audit_id = new_audit_id()
        began = time.perf_counter()
        log.append(Kind.INTENT, _ASKER, {"action": "ask", "question": "How long does the agreement run?"}, audit_id)
        log.append_all(
            [Entry(Kind.EVIDENCE, _ASKER, _EVIDENCE, audit_id), Entry(Kind.RECEIPT, _ASKER, _RECEIPT, audit_id)]
        )
        waits.append((time.perf_counter() - began) * 1000)
        time.sleep(0.01)  # people do not ask back to back
    figures = {
        "answers": len(waits),
        "audit_ms_p50": round(float(np.percentile(waits, 50)), 2),
        "audit_ms_p95": round(float(np.percentile(waits, 95)), 2),
    }
    return Row(system, figures)


@contextmanager
def _ingesting(folder: Path, settings: Settings) -> Iterator[threading.Event]:
    """An ingest of some hundreds of documents in a home opened beside the caller's; the event says it has ended."""
    documents = folder / "documents"
    documents.mkdir()
    for number in range(_DOCUMENTS):
        words = " ".join(
            f"Paragraph {number} says that item {n} of list {number} is due on day {n}." for n in range(150)
        )
        (documents / f"{number}.txt").write_text(words)
    ended = threading.Event()

    def work() -> None:
        try:
            with open_home(settings) as home:
                request = FolderRequest(documents, "bench", (EVERYONE,), None, "no")
                sync_folder(home.ingestion, home.layout.folder, request, 10_000_000, lambda *_: None)
        finally:
            ended.set()

    thread = threading.Thread(target=work, name="bench-ingest")
    thread.start()
    try:
        time.sleep(1.0)  # until documents arrive
        yield ended
    finally:
        thread.join()
