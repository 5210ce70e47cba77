"""A table of any format: each chunk of it says what its columns mean, and what a cell says is quoted from its place."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import docx
import openpyxl
import pytest
from organization import ANA, bring_in
from reportlab.pdfgen.canvas import Canvas

from core.documents import Parsed, embedding_text
from ingest.chunking import chunk
from ingest.parsing.delimited import parse_csv
from ingest.parsing.docx import parse_docx
from ingest.parsing.html import parse_html
from ingest.parsing.pdf import parse_pdf
from ingest.parsing.xlsx import parse_xlsx
from wiring.home import Home

HEADER = ["Berth", "Harbour", "Fee in euros"]


def table(town: str) -> list[list[str]]:
    rows = ([f"Berth {number}", f"{town} quay {number}", f"{1_000 + 7 * number:,}"] for number in range(1, 61))
    return [HEADER, *rows]


def as_csv(rows: list[list[str]]) -> bytes:
    return "\n".join(";".join(row) for row in rows).encode()


def as_html(rows: list[list[str]]) -> bytes:
    shown = "".join(f"<tr>{''.join(f'<td>{cell}' for cell in row)}" for row in rows)
    return f"<!doctype html><html><body><table>{shown}</table></body></html>".encode()


def as_xlsx(rows: list[list[str]]) -> bytes:
    workbook, out = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        workbook.worksheets[0].append(row)
    workbook.save(out)
    return out.getvalue()


def as_docx(rows: list[list[str]]) -> bytes:
    document, out = docx.Document(), io.BytesIO()
    made = document.add_table(rows=len(rows), cols=len(HEADER))
    for cells, row in zip(made.rows, rows, strict=True):
        for cell, text in zip(cells.cells, row, strict=True):
            cell.text = text
    document.save(out)
    return out.getvalue()


def as_pdf(rows: list[list[str]], *, ruled: bool = False) -> bytes:
    """All on the second page, with rules around every cell or with none at all."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(612, 1500))
    canvas.drawString(72, 1400, "A first page that tells of ships and of nothing that is in the table.")
    canvas.showPage()
    edges = (72, 172, 372, 500)
    for number, row in enumerate(rows):
        for left, cell in zip(edges, row, strict=False):
            canvas.drawString(left + 4, 1400 - 20 * number, cell)
    if ruled:
        canvas.grid(edges, [1414 - 20 * number for number in range(len(rows) + 1)])
    canvas.save()
    return out.getvalue()


FORMATS: dict[str, tuple[Callable[[list[list[str]]], bytes], Callable[[bytes], Parsed]]] = {
    "trieste.csv": (as_csv, parse_csv),
    "bergen.html": (as_html, parse_html),
    "genoa.xlsx": (as_xlsx, parse_xlsx),
    "malaga.docx": (as_docx, parse_docx),
    "ostend.pdf": (partial(as_pdf, ruled=True), parse_pdf),
    "piraeus.pdf": (as_pdf, parse_pdf),
}


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) + 2 for text in texts]


@pytest.mark.parametrize("name", FORMATS)
def test_every_chunk_of_a_table_says_what_its_columns_mean(name: str) -> None:
    make, parse = FORMATS[name]
    header, *rows = [" | ".join(row) for row in table("Trieste")]
    parsed = parse(make(table("Trieste")))

    chunks = [one for one in chunk(parsed, words, 120) if "Berth " in parsed.text[one.start : one.end]]

    assert len(chunks) > 3
    assert all(header in embedding_text("", one, parsed.text) for one in chunks)
    held = [line for one in chunks for line in parsed.text[one.start : one.end].split("\n") if "quay" in line]
    assert held == rows


def test_what_a_cell_says_is_quoted_from_its_place_and_its_page(home: Home, tmp_path: Path) -> None:
    (tmp_path / "org").mkdir()
    for name, (make, _) in FORMATS.items():
        (tmp_path / "org" / name).write_bytes(make(table(name.partition(".")[0].title())))
    bring_in(home, tmp_path / "org")

    for name in FORMATS:
        town = name.partition(".")[0].title()
        answer = home.ask.ask(f"What is the fee in euros at {town} quay 47?", ANA, "test")

        cited = [one for one in answer.citations if one.external_id == name and "1,329" in one.quote]
        assert cited, (name, answer.text)
        assert f"{town} quay 47" in cited[0].quote
        text = home.gate.text(ANA, cited[0].document_id)[1]
        assert text[cited[0].start : cited[0].end] == cited[0].quote
        assert cited[0].start <= text.index("1,329") < cited[0].end
        assert cited[0].page == (2 if name.endswith(".pdf") else None)
