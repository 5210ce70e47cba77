"""Embedded ahead of being written: what is written in between may bring and drop the very vectors that count."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from organization import bring_in, found, write_files

from core.documents import Parsed
from ingest import pipeline
from ingest.ahead import Ahead
from ingest.items import Item
from ingest.ledger import Prepared
from ingest.parsing.sandbox import SandboxedParser
from ingest.report import EmbedderTimes, IngestReport
from wiring.home import Home

TIDE = "# Tide\n\nThe tide turns at Roche's Point twice a day.\n"


def test_a_vector_that_leaves_while_another_document_waits_for_it_is_made_again(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`a` gives up the passage that `b` brings in: embedded together with `a`, `b` still finds its vector there."""
    folder = tmp_path / "org"
    write_files(folder, {"access.yaml": "default: {allow: [everyone]}\n", "a.md": TIDE})
    bring_in(home, folder)
    write_files(folder, {"a.md": "# Wind\n\nThe wind veers in the evening.\n", "b.md": TIDE})
    monkeypatch.setattr(pipeline, "BATCH_CHUNKS", 1)
    monkeypatch.setattr(Ahead, "at_hand", True)

    report = bring_in(home, folder)

    assert (report.added, report.updated, report.failed) == (1, 1, 0)
    assert found(home, "the tide at Roche's Point", 1) == ["b.md"]


def test_the_parser_reads_the_next_document_while_one_is_cut(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, both = tmp_path / "org", threading.Semaphore(0)
    write_files(folder, {"access.yaml": "default: {allow: [everyone]}\n", "a.md": TIDE, "b.md": f"{TIDE}\nAnd back."})
    parse, prepare = SandboxedParser.parse, pipeline.Ingestion.prepare

    def parsed(self: SandboxedParser, data: bytes, name: str) -> Parsed:
        result = parse(self, data, name)
        both.release()
        return result

    def prepared(self: pipeline.Ingestion, item: Item, of: Parsed, data: bytes) -> Prepared:
        if item.external_id == "a.md":
            assert all(both.acquire(timeout=60) for _ in range(2))
        return prepare(self, item, of, data)

    monkeypatch.setattr(SandboxedParser, "parse", parsed)
    monkeypatch.setattr(pipeline.Ingestion, "prepare", prepared)

    assert bring_in(home, folder).added == 2


def test_waiting_counts_between_two_pieces_of_work_and_neither_before_nor_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter((10.0, 12.0, 13.0, 17.0))
    monkeypatch.setattr("ingest.report.time.monotonic", lambda: next(clock))
    times = EmbedderTimes()
    for _ in range(2):
        with times.measured():
            pass

    report = IngestReport("one", embedder=times)
    report.add(IngestReport("two", embedder=EmbedderTimes(busy_s=1.0, waited_s=0.5)))

    assert report.to_json()["embedder"] == {"busy_s": 7.0, "waited_s": 1.5}
