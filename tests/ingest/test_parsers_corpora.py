"""Public documents of every format we read, and hostile ones, through the sandbox as ingestion uses it."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.documents import Parsed
from core.errors import UnreadableDocument
from ingest.parsing.sandbox import SandboxedParser

SETS = Path(__file__).parents[3] / "shared" / "eval"
OURS = ("md", "html", "txt", "csv", "tsv", "pdf", "docx")
# What each expectation of the set allows; a file that may end in any way must still end.
ALLOWED = {
    "text": {"text"},
    "encrypted": {"encrypted"},
    "text_or_encrypted": {"text", "encrypted"},
    "empty": {"empty"},
    "unsupported": {"unsupported"},
}
WORD = re.compile(r"\w+")


@pytest.fixture(scope="module")
def parser() -> Iterator[SandboxedParser]:
    with SandboxedParser() as sandboxed:
        yield sandboxed


def manifest(name: str) -> list[dict[str, Any]]:
    path = SETS / name / "manifest.jsonl"
    if not path.exists():
        pytest.skip(f"the public set {name} is not on this machine")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [row for row in rows if (SETS / name / row["file"]).exists()]


def read(parser: SandboxedParser, path: Path) -> Parsed | UnreadableDocument:
    try:
        return parser.parse(path.read_bytes(), path.name)
    except UnreadableDocument as failure:
        return failure


def test_every_hostile_file_ends_soon_with_the_verdict_it_deserves(parser: SandboxedParser) -> None:
    wrong = []
    for row in manifest("doc_hostile"):
        began = time.monotonic()
        outcome = read(parser, SETS / "doc_hostile" / row["file"])
        seconds = time.monotonic() - began
        verdict = outcome.verdict if isinstance(outcome, UnreadableDocument) else "text"
        allowed = ALLOWED.get(row["expect"], {verdict})
        if seconds > 30 or (verdict not in allowed and not (row["format"] not in OURS and verdict == "unsupported")):
            wrong.append((row["file"], row["expect"], verdict, seconds))
    assert not wrong


@pytest.mark.parametrize("format_name", OURS)
def test_the_words_of_the_reference_come_out(parser: SandboxedParser, format_name: str) -> None:
    recalls = []
    for row in manifest("doc_formats"):
        if row["format"] == format_name and row.get("truth_md") and row["expect"] == "text":
            outcome = read(parser, SETS / "doc_formats" / row["file"])
            assert isinstance(outcome, Parsed), row["file"]
            truth = (SETS / "doc_formats" / row["truth_md"]).read_text("utf-8")
            truth = re.sub(r"<!--.*?-->|\]\([^)]*\)", " ", truth, flags=re.S)
            wanted, found = (Counter(WORD.findall(text.lower())) for text in (truth, outcome.text))
            recalls.append((wanted & found).total() / max(1, wanted.total()))
    if not recalls:
        pytest.skip(f"the set has no reference text for {format_name}")
    assert statistics.median(recalls) >= 0.95


def test_files_that_need_ocr_say_so(parser: SandboxedParser) -> None:
    scans = [row for row in manifest("doc_formats") if row["expect"] == "needs_ocr" and row["format"] == "pdf"]
    outcomes = [read(parser, SETS / "doc_formats" / row["file"]) for row in scans]
    assert outcomes
    assert all(isinstance(outcome, UnreadableDocument) and "OCR" in outcome.reason for outcome in outcomes)


def test_an_organizations_documents_are_all_read(parser: SandboxedParser) -> None:
    rows = manifest("org_docs")[::10]
    outcomes = {row["file"]: read(parser, SETS / "org_docs" / row["file"]) for row in rows}
    assert not {file: outcome.reason for file, outcome in outcomes.items() if isinstance(outcome, UnreadableDocument)}


def test_a_filing_keeps_the_pages_that_its_footers_name(parser: SandboxedParser) -> None:
    manifest("sec_10q_kgrag")
    filing = read(parser, SETS / "sec_10q_kgrag" / "docs" / "2023 Q1 AAPL.pdf")
    assert isinstance(filing, Parsed)
    texts = [(block.page, filing.text[block.start : block.end]) for block in filing.blocks]
    pages = {page: text for page, text in texts if text.startswith("Note 2 ")}
    assert pages == {10: "Note 2 – Revenue"}
    assert "Q1 2023 Form 10-Q |" not in filing.text
