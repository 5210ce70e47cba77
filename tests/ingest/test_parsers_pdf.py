"""PDF: pages, headings, paragraphs and tables come out; running lines do not; what has no text says so."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import pytest

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.pdf import parse_pdf

Placed = tuple[float, float, float, bool, str]
"""x and y in points from the lower left corner, size, bold, text."""


def pdf(pages: Sequence[Sequence[Placed]], drawing: bytes = b"", title: str = "", trailer: bytes = b"") -> bytes:
    """A PDF (ISO 32000-1) of US-letter pages with text in Helvetica, and `drawing` on the first."""
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>"
        % (b" ".join(b"%d 0 R" % (6 + 2 * n) for n in range(len(pages))), len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        b"<< /Title (%s) >>" % title.encode("cp1252"),
    ]
    for number, page in enumerate(pages):
        shown = b"".join(
            b"BT /F%d %f Tf %f %f Td (%s) Tj ET\n"
            % (2 if bold else 1, size, x, y, text.encode("cp1252").replace(b"(", b"\\(").replace(b")", b"\\)"))
            for x, y, size, bold, text in page
        )
        content = zlib.compress(shown + (drawing if number == 0 else b""))
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>" % (7 + 2 * number),
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content),
        ]
    out = b"%PDF-1.7\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    root = b"<< /Size %d /Root 1 0 R /Info 5 0 R %s >>" % (len(objects) + 1, trailer)
    count = len(objects) + 1
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n%s\nstartxref\n%d\n%%%%EOF" % (
        count,
        table,
        root,
        len(out),
    )


def lines(texts: Sequence[str], top: float = 650, size: float = 10) -> list[Placed]:
    return [(72, top - 12 * number, size, False, text) for number, text in enumerate(texts)]


def texts(parsed: Parsed) -> list[tuple[BlockKind, int | None, str]]:
    return [(block.kind, block.page, parsed.text[block.start : block.end]) for block in parsed.blocks]


PROSE = ["The agreement runs for three years from the date of signa-", "ture and is renewed unless one side ends it."]


def test_lines_become_paragraphs_with_divided_words_made_whole_and_their_page() -> None:
    parsed = parse_pdf(pdf([lines(PROSE), lines(["A second page has its own text."])]))

    assert texts(parsed) == [
        (
            BlockKind.PARAGRAPH,
            1,
            "The agreement runs for three years from the date of signature and is renewed unless one side ends it.",
        ),
        (BlockKind.PARAGRAPH, 2, "A second page has its own text."),
    ]


def test_headings_are_told_by_size_and_then_by_weight() -> None:
    page: list[Placed] = [
        (72, 700, 20, True, "Master agreement"),
        (72, 670, 14, True, "Term"),
        *lines(PROSE, top=650),
        (72, 600, 10, True, "Notice"),
        *lines(PROSE, top=580),
    ]
    parsed = parse_pdf(pdf([page]))
    headings = [(block.level, parsed.text[block.start : block.end]) for block in parsed.blocks if block.level]

    assert headings == [(1, "Master agreement"), (2, "Term"), (3, "Notice")]
    assert parsed.title == "Master agreement"


def test_running_headers_footers_and_page_numbers_are_left_out() -> None:
    pages = [
        [
            (72, 760, 9, False, f"ACME confidential {n}"),
            *lines([f"Text of page {word}."]),
            (300, 30, 9, False, f"- {n} -"),
        ]
        for n, word in enumerate(["one", "two", "three", "four"], start=1)
    ]
    parsed = parse_pdf(pdf(pages))
    assert parsed.text == "Text of page one.\n\nText of page two.\n\nText of page three.\n\nText of page four."


def test_rows_of_figures_keep_a_row_on_a_line() -> None:
    rows = ["Net sales 117,154 123,945", "Cost of sales (66,822) (69,702)", "Margin 43% 44%"]
    parsed = parse_pdf(pdf([lines(["Figures in millions are these:", *rows])]))
    assert (BlockKind.TABLE, 1, "\n".join(rows)) in texts(parsed)


def test_a_ruled_table_is_read_in_rows_once() -> None:
    cells: list[Placed] = [
        (80 + 150 * column, 508 - 30 * row, 10, False, text)
        for row, line in enumerate([["Plan", "Days"], ["Basic", "twenty"], ["Senior", "thirty"]])
        for column, text in enumerate(line)
    ]
    rules = b"".join(b"72 %d m 372 %d l S\n" % (y, y) for y in (530, 500, 470, 440))
    rules += b"".join(b"%d 530 m %d 440 l S\n" % (x, x) for x in (72, 222, 372))
    parsed = parse_pdf(pdf([[*lines(PROSE), *cells]], drawing=rules))

    assert texts(parsed)[-1] == (BlockKind.TABLE, 1, "Plan | Days\nBasic | twenty\nSenior | thirty")
    assert parsed.text.count("twenty") == 1


@pytest.mark.parametrize(
    ("properties", "title"), [("Master agreement 2026", "Master agreement 2026"), ("Microsoft Word - x.doc", "Heading")]
)
def test_a_title_is_taken_from_the_properties_only_where_somebody_wrote_it(properties: str, title: str) -> None:
    page: list[Placed] = [(72, 700, 20, False, "Heading"), *lines(PROSE)]
    assert parse_pdf(pdf([page], title=properties)).title == title


def test_a_scan_says_that_it_needs_ocr() -> None:
    with pytest.raises(UnreadableDocument, match="OCR is not built in yet") as failure:
        parse_pdf(pdf([[]], drawing=b"0 0 612 792 re f\n"))
    assert failure.value.verdict == "empty"


def test_a_pdf_under_a_password_is_encrypted() -> None:
    trailer = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<00><00>]" % (
        b"17" * 32,
        b"42" * 32,
    )
    with pytest.raises(UnreadableDocument, match="password") as failure:
        parse_pdf(pdf([lines(PROSE)], trailer=trailer))
    assert failure.value.verdict == "encrypted"


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_a_cut_off_pdf_is_malformed_or_read_as_far_as_it_goes(share: float) -> None:
    whole = pdf([lines(PROSE)] * 3)
    with pytest.raises(UnreadableDocument) as failure:
        parse_pdf(whole[: int(len(whole) * share)])
    assert failure.value.verdict in ("malformed", "empty")
