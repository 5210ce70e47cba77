"""A bench's report: the JSON that programs rely on, and claims that only rest on what ran."""

from __future__ import annotations

import io
import json
from statistics import mean

from rich.console import Console

from evaluation.bench.embed import CHUNK_TOKENS, chunks_of_prose
from evaluation.bench.report import BenchReport, Claim, Row, this_machine
from inference.minilm import load_default_encoder

REPORT = BenchReport(
    "embed",
    this_machine(),
    (Row("footnote", {"chunks_per_second": 120.5}), Row("peer", error="not installed")),
    (Claim.at_least("times the default", 4.2, 4.0), Claim.at_most("milliseconds a question", 5.1, 5.0)),
)


def test_the_json_of_a_report_has_the_promised_shape() -> None:
    document = json.loads(json.dumps(REPORT.to_json()))

    assert list(document) == ["bench", "machine", "rows", "claims"]
    assert set(document["machine"]) == {"cpu", "cores", "flags", "ram_gib", "python"}
    assert document["rows"] == [
        {"system": "footnote", "chunks_per_second": 120.5},
        {"system": "peer", "error": "not installed"},
    ]
    assert document["claims"][0] == {"claim": "times the default", "value": 4.2, "target": 4.0, "holds": True}


def test_one_broken_claim_breaks_the_report() -> None:
    kept, broken = REPORT.claims

    assert (kept.holds, broken.holds, REPORT.holds) == (True, False, False)
    assert BenchReport("embed", REPORT.machine, REPORT.rows, (kept,)).holds


def test_a_claim_met_exactly_holds() -> None:
    assert Claim.at_least("floor", 4.0, 4.0).holds
    assert Claim.at_most("ceiling", 5.0, 5.0).holds


def test_figures_that_fit_no_line_are_told_one_after_the_other() -> None:
    page = io.StringIO()
    wide = Row("footnote", {f"a_figure_of_number_{number}": number for number in range(20)})

    BenchReport("wide", REPORT.machine, (wide,), ()).print_to(Console(file=page, width=80))

    told = " ".join(page.getvalue().split())
    assert all(f"a_figure_of_number_{number} {number}" in told for number in range(20))


def test_the_table_shows_every_figure_and_why_a_peer_is_missing() -> None:
    page = io.StringIO()

    REPORT.print_to(Console(file=page, width=120))

    for expected in ("120.5", "not installed", "broken", "times the default"):
        assert expected in page.getvalue()


def test_the_chunks_measured_are_as_long_as_the_bench_says_and_all_different() -> None:
    encoder = load_default_encoder(threads=1)
    chunks = chunks_of_prose(50, encoder)

    assert len(set(chunks)) == 50
    assert abs(mean(encoder.count_tokens(chunks)) - CHUNK_TOKENS) < 5
