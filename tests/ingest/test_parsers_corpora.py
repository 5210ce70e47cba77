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
READ = ("md", "html", "txt", "csv", "tsv", "pdf", "docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "webp")
MARKUP = ("asciidoc", "vtt", "org", "rst", "rtf", "msg", "ipynb", "p7s", "zip", "py")
OURS = (*READ, *MARKUP, "xlsm", "eml", "json", "xml", "png", "jpg", "tif")
# What each expectation of the set allows; a file that may end in any way must still end.
ALLOWED = {
    "text": {"text"},
    "encrypted": {"encrypted"},
    "text_or_encrypted": {"text", "encrypted"},
    "empty": {"empty"},
    "unsupported": {"unsupported", "text"},
    "fail_clean": {"malformed", "unsupported"},
}
# Pictures, which take long: `test_scanned_pages_are_recognized`.
SCAN = "files/nemotron_multipage.pdf"
SCANNED_REPORT = "files/mk_MEDRPT-2024-PAT-3847_medical_report_scan.pdf"
# One of two references holds the attributes of a table, which are marks and not text.
LEAST_RECALL = {"asciidoc": 0.95}
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


@pytest.mark.parametrize("format_name", (*READ, "asciidoc", "vtt"))
def test_the_words_of_the_reference_come_out(parser: SandboxedParser, format_name: str) -> None:
    recalls = []
    for row in manifest("doc_formats"):
        if row["format"] == format_name and row.get("truth_md") and row["file"] != SCAN:
            outcome = read(parser, SETS / "doc_formats" / row["file"])
            assert isinstance(outcome, Parsed), row["file"]
            truth = (SETS / "doc_formats" / row["truth_md"]).read_text("utf-8")
            truth = re.sub(r"<!--.*?-->|\]\([^)]*\)", " ", truth, flags=re.S)
            wanted, found = (Counter(WORD.findall(text.lower())) for text in (truth, outcome.text))
            recalls.append((wanted & found).total() / max(1, wanted.total()))
    if not recalls:
        pytest.skip(f"the set has no reference text for {format_name}")
    assert statistics.median(recalls) >= LEAST_RECALL.get(format_name, 0.97)


def test_every_document_of_a_format_we_read_is_read(parser: SandboxedParser) -> None:
    pictures = ("png", "jpg", "tif")
    rows = [row for row in manifest("doc_formats") if row["format"] in OURS and row["format"] not in ("pdf", *pictures)]
    outcomes = {row["file"]: (row, read(parser, SETS / "doc_formats" / row["file"])) for row in rows}
    refused = {
        file: outcome.reason for file, (_, outcome) in outcomes.items() if isinstance(outcome, UnreadableDocument)
    }
    lost = {
        file: phrase
        for file, (row, outcome) in outcomes.items()
        for phrase in row.get("must_contain") or ()
        if isinstance(outcome, Parsed) and phrase not in outcome.text
    }
    assert not refused
    assert not lost


def test_arabic_words_of_a_pdf_are_spelled_as_they_are_read(parser: SandboxedParser) -> None:
    """In print, lam and alef are one letter, which PDFium takes apart the wrong way round."""
    manifest("doc_formats")
    read_so = read(parser, SETS / "doc_formats/files/right_to_left_01.pdf")
    assert isinstance(read_so, Parsed)
    assert read_so.text.count("الإنتاجية") == 3
    assert "للمشكلات" in read_so.text
    assert " Python من" in read_so.text


@pytest.mark.deep
def test_pictures_of_text_are_read(parser: SandboxedParser) -> None:
    rows = [row for row in manifest("doc_formats") if row["format"] in ("png", "jpg", "tif", "webp")]
    outcomes = {row["file"]: read(parser, SETS / "doc_formats" / row["file"]) for row in rows}
    texts = {file: outcome.text for file, outcome in outcomes.items() if isinstance(outcome, Parsed)}
    assert texts.keys() == outcomes.keys()
    assert "Document-Layout Analysis" in texts["files/2206.01062.tif"]
    assert "9400 Rorschach" in texts["files/qr_bill_example.jpg"]


@pytest.mark.deep
def test_scanned_pages_are_recognized(parser: SandboxedParser) -> None:
    scans = [row for row in manifest("doc_formats") if row["expect"] == "needs_ocr" and row["format"] == "pdf"]
    texts = {row["file"]: read(parser, SETS / "doc_formats" / row["file"]) for row in scans}
    words = {"files/nemotron_multipage.pdf": "self contained", SCANNED_REPORT: "COMPREHENSIVE MEDICAL REPORT"}
    assert texts.keys() == words.keys()
    for file, phrase in words.items():
        outcome = texts[file]
        assert isinstance(outcome, Parsed), outcome
        assert phrase in outcome.text


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
