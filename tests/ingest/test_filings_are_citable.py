"""Quarterly reports as PDF: an amount that an answer needs stands on its page, in a row that says what it is."""

from __future__ import annotations

import io
import json
import re
from contextlib import closing
from functools import cache
from pathlib import Path

import pypdfium2 as pdfium
import pytest
from reportlab.pdfgen.canvas import Canvas

from core.documents import Chunk, Parsed, embedding_text
from ingest.chunking import chunk
from ingest.parsing.pdf import parse_pdf

SET = Path(__file__).parents[3] / "shared" / "eval" / "sec_10q_kgrag"
_AMOUNT = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,]|\.\d)")
_LABEL = re.compile(r"[A-Za-z]{3}")
_PERIOD = re.compile(r"Ended|20\d\d|Change")

_UNTOLD = 0.3


@cache
def accepted_amounts() -> frozenset[str]:
    """Every amount in thousands that an accepted answer names."""
    questions = (json.loads(line) for line in (SET / "queries.jsonl").read_text("utf-8").splitlines())
    return frozenset(one for question in questions for text in question["answers"] for one in _AMOUNT.findall(text))


def filing(name: str) -> tuple[Parsed, list[Chunk], list[str]]:
    """A report, its chunks, and each page's text as PDFium writes it: a second reading, in no order of ours."""
    if not SET.exists():
        pytest.skip("the public set sec_10q_kgrag is not on this machine")
    data = (SET / "docs" / name).read_bytes()
    parsed = parse_pdf(data)
    with closing(pdfium.PdfDocument(data)) as document:
        printed = [page.get_textpage().get_text_range() for page in document]
    return parsed, list(chunk(parsed, lambda texts: [len(text.split()) + 2 for text in texts], 200)), printed


REPORTS = [
    f"{quarter} {company}.pdf"
    for company in ("AAPL", "INTC")
    for quarter in ("2022 Q3", "2023 Q1", "2023 Q2", "2023 Q3")
]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name.startswith("2023 Q3") else pytest.mark.deep) for name in REPORTS]
)
def test_an_amount_stands_on_its_page_in_a_row_under_its_period(name: str) -> None:
    parsed, chunks, printed = filing(name)
    texts = [(one, parsed.text[one.start : one.end]) for one in chunks]
    pages: dict[str, tuple[set[int], set[int | None]]] = {}
    rows, unlabelled = 0, []
    for amount in accepted_amounts():
        there = {number for number, text in enumerate(printed, 1) if amount in _AMOUNT.findall(text)}
        if there:
            pages[amount] = there, {one.page for one, text in texts if amount in _AMOUNT.findall(text)}
        for one, text in texts:
            for row in (line for line in text.split("\n") if " | " in line and amount in _AMOUNT.findall(line)):
                rows += 1
                if not _LABEL.match(row) or not _PERIOD.search(embedding_text("", one, parsed.text)):
                    unlabelled.append((one.page, row))

    assert {amount: both for amount, both in pages.items() if both[0] != both[1]} == {}
    # Of one table of Intel's the periods stand apart from the other heads of its columns.
    assert len(unlabelled) <= rows * _UNTOLD, unlabelled
    assert len(pages) >= 3
    assert rows >= 3


def test_a_cell_is_quoted_with_its_row_and_read_with_its_column() -> None:
    """Apple's sales of the first quarter of 2023, which its report prints on the twentieth page of the file."""
    parsed, chunks, _ = filing("2023 Q1 AAPL.pdf")
    held = [(one, parsed.text[one.start : one.end]) for one in chunks]
    cited = [(one, row) for one, text in held for row in text.split("\n") if "65,775" in row]

    assert [(one.page, row) for one, row in cited] == [
        (10, "iPhone® (1) | $ 65,775 | $ 71,628"),
        (20, "iPhone (1) | $ 65,775 | $ 71,628 | (8)%"),
    ]
    header = next(
        line for line in embedding_text("", cited[0][0], parsed.text).split("\n") if "December 31, 2022 |" in line
    )
    assert header == "| Three Months Ended December 31, 2022 | Three Months Ended December 25, 2021"


def test_raised_marks_stand_behind_what_they_are_set_at_and_part_no_table() -> None:
    """As in a report's table: the marks come last in the file, each a little above the row that it belongs to."""
    out = io.BytesIO()
    canvas = Canvas(out)
    rows = [("Phones", "1,200", "1,100"), ("Computers", "2,200", "2,100"), ("Watches", "3,200", "3,100")]
    for number, row in enumerate(rows):
        canvas.setFont("Helvetica", 10)
        for left, cell in zip((72, 300, 400), row, strict=True):
            canvas.drawString(left, 700 - 14 * number, cell)
    canvas.drawString(72, 500, "The phones are sold in most countries, and their name is protected in all.")
    canvas.setFont("Helvetica", 6)
    canvas.drawString(110, 704, "\xae (1)")
    canvas.drawString(125, 690, "(2)")
    canvas.drawString(122, 504, "\xae")
    canvas.save()

    parsed = parse_pdf(out.getvalue())

    assert parsed.text.split("\n\n") == [
        "Phones® (1) | 1,200 | 1,100\nComputers (2) | 2,200 | 2,100\nWatches | 3,200 | 3,100",
        "The phones are sold in most countries, and their name is protected in all.",
    ]
