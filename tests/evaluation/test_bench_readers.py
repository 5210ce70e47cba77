"""The bench of many readers: what holds Python's lock is told from what does not, and every search counts."""

from __future__ import annotations

import time

import pytest

from evaluation.bench.lock_freedom import lock_freedom
from evaluation.bench.readers import ReadersBench, run_readers


def test_a_call_that_waits_leaves_the_lock_and_one_that_computes_in_python_holds_it() -> None:
    waiting = lock_freedom(lambda _: time.sleep(0.01), 8)
    computing = lock_freedom(lambda _: sum(range(5_000_000)), 8)  # long beside any turn another process gets

    assert waiting > 2 * computing
    assert computing < 0.4


@pytest.mark.deep
def test_readers_search_without_error_while_documents_are_brought_in() -> None:
    report = run_readers(ReadersBench(chunks=2_000, processes=2, threads=2, seconds=5))

    alone, together, *parts = report.rows
    for row in (alone, together):
        assert row.figures["errors"] == 0 and int(row.figures["searches"]) > 0
        assert float(row.figures["search_ms_p50"]) <= float(row.figures["search_ms_p99"])
    assert [part.system.rpartition(" ")[2] for part in parts] == ["embed", "rank", "gate"]
    assert all(0 <= float(part.figures["share"]) <= 1 for part in parts)
    failed, _ = report.claims
    assert failed.holds
