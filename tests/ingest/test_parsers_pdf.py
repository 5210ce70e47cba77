"""PDF: pages, headings, paragraphs and tables come out; running lines do not; what has no text says so."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Sequence
from functools import partial

import pypdfium2 as pdfium
import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfgen.canvas import Canvas

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing import pdf as pdf_module
from ingest.parsing import recognition, time_left
from ingest.parsing.pdf import parse_pdf
from ingest.parsing.pdf_scans import rendered
from ingest.parsing.reading_order import ReadLine
from ingest.parsing.scanned_pages import ScannedPages
from ingest.parsing.time_left import PictureTime, seconds_left

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


def test_figures_in_the_margin_that_are_no_page_number_are_kept() -> None:
    page: list[Placed] = [(72, 760, 9, False, "(415) 555-0199"), *lines(PROSE), (300, 30, 9, False, "- Page 3 of 7 -")]
    assert parse_pdf(pdf([page])).text.startswith("(415) 555-0199\n\nThe agreement")
    assert "Page 3" not in parse_pdf(pdf([page])).text


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


def test_a_document_in_which_nothing_can_be_recognized_is_empty() -> None:
    with pytest.raises(UnreadableDocument, match="OCR") as failure:
        parse_pdf(scanned([]))
    assert failure.value.verdict == "empty"


def scanned(texts: Sequence[str], between: Sequence[str] = ()) -> bytes:
    """Pages that are pictures of these texts, or blank if there is none, and after each a page with text of its own."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(612, 792))
    for number, text in enumerate(texts or [""]):
        picture = Image.new("L", (1224, 1584), 255)
        ImageDraw.Draw(picture).text((150, 200), text, fill=0, font=ImageFont.load_default(size=36))
        canvas.drawInlineImage(picture, 0, 0, 612, 792)
        canvas.drawString(72, 20, "ACME 000123" if texts else "")
        canvas.showPage()
        for line in between[number : number + 1]:
            canvas.drawString(72, 700, line)
            canvas.showPage()
    canvas.save()
    return out.getvalue()


PLAIN = "This page has a text layer of its own, which says how long the agreement runs."


def test_a_scanned_page_beside_pages_of_text_is_recognized_in_its_place() -> None:
    parsed = parse_pdf(scanned(["Invoice of the harbour"], [PLAIN]))

    assert (BlockKind.IMAGE_TEXT, 1, "Invoice of the harbour") in texts(parsed)
    assert (BlockKind.PARAGRAPH, 2, PLAIN) in texts(parsed)
    assert parsed.unread == ""


def test_pages_for_which_the_time_does_not_suffice_are_named_and_the_others_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pdf_module, "ScannedPages", lambda: ScannedPages(PictureTime(left=lambda: 10.0)))
    parsed = parse_pdf(scanned(["One", "Two"], [PLAIN]))

    assert PLAIN in parsed.text
    assert parsed.unread.startswith("Pages 1, 3 are scanned and could not be recognized in the time")
    with pytest.raises(UnreadableDocument, match="Page 1 is scanned") as failure:
        parse_pdf(pdf([[]], drawing=b"q 612 0 0 792 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x00 EI Q"))
    assert failure.value.verdict == "timeout"


def test_recognition_stops_in_time_for_a_page_as_slow_as_the_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0}

    def slowly(picture: Image.Image) -> list[ReadLine]:
        clock["now"] += 12.0
        return [ReadLine("A line", 0, 0, 10, 10)]

    monkeypatch.setattr(recognition, "recognized", slowly)
    monkeypatch.setattr(time_left.time, "monotonic", lambda: clock["now"])
    reader = ScannedPages(PictureTime(left=lambda: 65.0 - clock["now"]))
    with pdfium.PdfDocument(scanned(["One"] * 5)) as document:
        read = [reader.read(number + 1, partial(rendered, document[number])) for number in range(5)]

    assert [bool(one) for one in read] == [True, True, True, True, False]
    assert (reader.unread, clock["now"]) == ([5], 48.0)


def test_the_time_left_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for alarm, left in ((0.0, math.inf), (12.5, 12.5)):
        monkeypatch.setattr(time_left.signal, "getitimer", lambda which, alarm=alarm: (alarm, 0.0))
        assert seconds_left() == left


def test_what_was_filled_in_stands_below_its_page_and_a_password_nowhere() -> None:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(612, 792))
    canvas.drawString(72, 750, "Travel request of a member of the staff")
    form = canvas.acroForm
    form.textfield(name="n1", tooltip="Applicant", x=72, y=700, value="Ana Perez")
    form.textfield(name="n2", tooltip="Reason", x=72, y=670, value="")
    form.textfield(name="n3", tooltip="Secret", x=72, y=640, value="hunter2", fieldFlags="password")
    form.checkbox(name="ok", tooltip="Approved", x=72, y=610, checked=True)
    form.checkbox(name="no", tooltip="Refused", x=72, y=590)
    form.choice(name="city", tooltip="City", value="Lisbon", options=["Lisbon", "Porto"], x=72, y=560)
    form.radio(name="way", tooltip="Way", value="rail", selected=True, x=72, y=530)
    form.radio(name="way", tooltip="Way", value="air", x=100, y=530)
    canvas.save()

    parsed = parse_pdf(out.getvalue())

    filled_in = [text for kind, _, text in texts(parsed) if kind is BlockKind.LIST_ITEM]
    assert filled_in == ["Applicant: Ana Perez", "☒ Approved", "☐ Refused", "City: Lisbon", "Way: rail"]
    assert "hunter2" not in parsed.text


def test_embedded_files_are_attachments_and_the_text_of_a_portfolio_without_any_is_their_names() -> None:
    def carrying(page: Sequence[Placed]) -> Parsed:
        document = pdfium.PdfDocument(pdf([page]))
        for name, data in [("../berths.csv", b"harbour,berths"), ("berths.csv", b"other"), ("empty.txt", b" ")]:
            document.new_attachment(name).set_data(data)
        out = io.BytesIO()
        document.save(out)
        return parse_pdf(out.getvalue())

    parsed = carrying(lines(PROSE))
    assert [(one.name, one.data) for one in parsed.attachments] == [
        ("berths.csv", b"harbour,berths"),
        ("berths (2).csv", b"other"),
    ]
    assert "berths" not in parsed.text
    assert carrying([]).text == "berths.csv\nberths (2).csv"


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


def row(cells: Sequence[tuple[float, str]], y: float) -> list[Placed]:
    return [(x, y, 10, False, text) for x, text in cells]


def test_a_table_without_rules_is_read_in_rows_under_one_header() -> None:
    page = [
        *lines(["The figures are in millions of dollars and were not audited."], top=700),
        *row([(300, "Three Months Ended")], 676),
        *row([(270, "March 2023")], 664),
        *row([(370, "March 2022")], 664),
        *row([(72, "Net sales:")], 652),
        *row([(80, "Products"), (270, "$"), (290, "96,388"), (370, "$"), (390, "104,429")], 640),
        *row([(80, "Services"), (290, "20,766"), (395, "19,516")], 628),
        *row([(72, "Cost of sales")], 616),
        *row([(80, "Services"), (300, "(393)"), (405, "—")], 604),
        *lines(PROSE, top=560),
    ]
    parsed = parse_pdf(pdf([page]))

    tables = [text for kind, _, text in texts(parsed) if kind is BlockKind.TABLE]
    assert tables == [
        "| Three Months Ended March 2023 | Three Months Ended March 2022\n"
        "Net sales:\n"
        "Products | $ 96,388 | $ 104,429\n"
        "Services | 20,766 | 19,516\n"
        "Cost of sales\n"
        "Services | (393) | —"
    ]


def test_columns_of_prose_are_no_table_and_are_read_one_after_the_other() -> None:
    left = ["The first column tells of the harbour and", "of the ships that lie in it all winter."]
    right = ["The second column tells of the town and", "of the people who live in it all year."]
    page = [piece for at in range(2) for piece in row([(72, left[at]), (330, right[at])], 650 - 12 * at)]
    parsed = parse_pdf(pdf([page]))

    assert parsed.text == " ".join(left) + "\n\n" + " ".join(right)


def test_entries_of_a_table_of_contents_keep_their_pages() -> None:
    entries = ["1 Scope " + "." * 40 + " 3", "2 Terms " + "." * 40 + " 12"]
    parsed = parse_pdf(pdf([[*lines(entries, top=700), *lines(PROSE)]]))
    assert texts(parsed)[0] == (BlockKind.TABLE, 1, "1 Scope | 3\n2 Terms | 12")


def test_a_numbered_line_is_no_row() -> None:
    page = [piece for at in range(3) for piece in row([(72, f"{at}."), (110, f"Point number {at}.")], 650 - 12 * at)]
    assert {kind for kind, _, _ in texts(parse_pdf(pdf([page])))} == {BlockKind.LIST_ITEM}


def test_what_the_file_shows_out_of_order_is_read_from_the_top() -> None:
    page = [*lines(["Then comes the body of the letter."], top=600), *lines(["Dear reader,"], top=700)]
    assert parse_pdf(pdf([page])).text == "Dear reader,\n\nThen comes the body of the letter."


def test_a_page_that_is_held_sideways_is_read_as_it_is_held() -> None:
    """Text that runs up the page, on a page that is to be turned a quarter to the right."""
    shown = b"".join(
        b"BT /F1 10 Tf 0 1 -1 0 %d %d Tm (%s) Tj ET\n" % (x, y, text)
        for x, y, text in [
            (112, 72, b"Basic"),
            (112, 200, b"20"),
            (112, 300, b"30"),
            (124, 72, b"Senior"),
            (124, 200, b"40"),
            (124, 300, b"50"),
            (100, 72, b"The page begins with this line, of which the file tells last."),
        ]
    )
    turned = pdf([[]], drawing=shown).replace(b"/MediaBox", b"/Rotate 90 /MediaBox")
    assert texts(parse_pdf(turned)) == [
        (BlockKind.PARAGRAPH, 1, "The page begins with this line, of which the file tells last."),
        (BlockKind.TABLE, 1, "Basic | 20 | 30\nSenior | 40 | 50"),
    ]
