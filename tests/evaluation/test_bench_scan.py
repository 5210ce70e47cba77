"""The bench of the scan: every readable set at both depths, beside what it is compared with, and all promises told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.bench.scan import ScanBench, run_scan
from retrieval import faiss_scan, native_scan
from retrieval.native_scan import ways


def test_every_readable_set_is_measured_and_recall_is_counted() -> None:
    report = run_scan(ScanBench(chunks=5_000, queries=2))

    systems = [row.system for row in report.rows]
    assert systems[:4] == [
        "100.00% readable, random, k 10",
        "100.00% readable, random, k 50",
        "30.00% readable, random, k 10",
        "30.00% readable, random, k 50",
    ]
    assert "1.00% readable, clustered, k 50" in systems and "0.01% readable, random, k 10" not in systems
    for row in report.rows:
        assert row.figures["recall"] == 1
        assert ("ms" in row.figures) == bool(ways())
        assert float(row.figures["ms_without_compiled_scan"]) >= 0
        assert ("flat_ms" in row.figures) == row.system.startswith("100.00%")
    assert [claim.target for claim in report.claims] == [0.99, 5, 10, 3, 1.2, 15, 900]


def test_a_scan_that_leaves_out_too_much_loses_recall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bounds around the estimates, and vectors that have no others near them."""
    monkeypatch.setattr(native_scan, "DEVIATIONS", 0.0)
    monkeypatch.setattr(faiss_scan, "DEVIATIONS", 0.0)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(5_000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "vectors.npy", vectors)
    np.save(tmp_path / "queries.npy", vectors[:3])

    report = run_scan(ScanBench(chunks=5_000, queries=3, vectors=tmp_path))

    assert not report.claims[0].holds
