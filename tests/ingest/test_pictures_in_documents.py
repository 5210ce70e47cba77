"""Pictures within office documents: what they show of text is read at its place, marked, and within bounds."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import docx
import openpyxl
import pptx
import pytest
from archives import zipped
from docx.shared import Inches
from openpyxl.drawing.image import Image as SheetPicture
from PIL import Image, ImageDraw, ImageFont

from core.documents import BlockKind, Parsed
from ingest.parsing import pictures as pictures_module
from ingest.parsing import recognition
from ingest.parsing.docx import parse_docx
from ingest.parsing.odf import parse_odp, parse_ods, parse_odt
from ingest.parsing.pictures import PictureReader
from ingest.parsing.pptx import parse_pptx
from ingest.parsing.reading_order import ReadLine
from ingest.parsing.sandbox import SandboxedParser
from ingest.parsing.time_left import PictureTime
from ingest.parsing.xlsx import parse_xlsx

SHOWN = "Notice is given in writing."
SEEN = (BlockKind.IMAGE_TEXT, SHOWN)
ODF = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {"office": "office", "text": "text", "table": "table", "draw": "drawing"}.items()
)


def picture(text: str = SHOWN, size: tuple[int, int] = (640, 120), kind: str = "PNG") -> bytes:
    drawn, out = Image.new("RGB", size, "white"), io.BytesIO()
    ImageDraw.Draw(drawn).text((30, 30), text, fill="black", font=ImageFont.load_default(32))
    drawn.save(out, kind)
    return out.getvalue()


def saved(document: object) -> bytes:
    out = io.BytesIO()
    document.save(out)  # type: ignore[attr-defined]
    return out.getvalue()


def as_docx(data: bytes) -> bytes:
    document = docx.Document()
    document.add_paragraph("Before.")
    document.add_picture(io.BytesIO(data), width=Inches(3))
    document.add_paragraph("After.")
    return saved(document)


def as_pptx(data: bytes) -> bytes:
    presentation = pptx.Presentation()
    blank = presentation.slide_layouts[6]
    for text in ("Before.", "", "After."):
        slide = presentation.slides.add_slide(blank)
        if text:
            slide.shapes.add_textbox(0, 0, 100, 100).text_frame.text = text
        else:
            slide.shapes.add_group_shape().shapes.add_picture(io.BytesIO(data), 0, 0)
    return saved(presentation)


def as_xlsx(data: bytes) -> bytes:
    workbook = openpyxl.Workbook()
    workbook.worksheets[0].append(["Before.", "Days"])
    workbook.worksheets[0].add_image(SheetPicture(io.BytesIO(data)), "D4")
    workbook.create_sheet("Other").append(["After."])
    return saved(workbook)


def as_odf(kind: str) -> Callable[[bytes], bytes]:
    frame = (
        '<draw:frame><draw:image xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="./Pictures/one"/></draw:frame>'
    )
    said = [f"<text:p>{text}</text:p>" for text in ("Before.", "After.")]
    rows = [f"<table:table-row><table:table-cell>{text}</table:table-cell></table:table-row>" for text in said]
    bodies = {
        "text": f"{said[0]}<text:p>{frame}</text:p>{said[1]}",
        "presentation": "".join(f"<draw:page>{inner}</draw:page>" for inner in (said[0], frame, said[1])),
        "spreadsheet": (
            f'<table:table table:name="One"><table:shapes>{frame}</table:shapes>{rows[0]}</table:table>'
            f'<table:table table:name="Two">{rows[1]}</table:table>'
        ),
    }
    body = f"<office:body><office:{kind}>{bodies[kind]}</office:{kind}></office:body>"
    content = f"<office:document-content {ODF}>{body}</office:document-content>"
    media_type = f"application/vnd.oasis.opendocument.{kind}"

    def make(data: bytes) -> bytes:
        return zipped({"mimetype": media_type, "content.xml": content, "Pictures/one": data})

    return make


FORMATS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], Parsed]]] = {
    "docx": (as_docx, parse_docx),
    "pptx": (as_pptx, parse_pptx),
    "xlsx": (as_xlsx, parse_xlsx),
    "odt": (as_odf("text"), parse_odt),
    "odp": (as_odf("presentation"), parse_odp),
    "ods": (as_odf("spreadsheet"), parse_ods),
}


def told(parsed: Parsed) -> list[tuple[BlockKind, str]]:
    return [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_picture_shows_is_read_at_its_place_and_marked(name: str) -> None:
    make, parse = FORMATS[name]
    parsed = parse(make(picture()))

    said = told(parsed)
    assert said.count(SEEN) == 1
    before, after = (next(i for i, (_, text) in enumerate(said) if text.startswith(one)) for one in ("Before", "After"))
    assert before < said.index(SEEN) < after
    if name in ("pptx", "odp"):
        assert parsed.blocks[said.index(SEEN)].page == 2
    assert parsed.unread == ""


def test_pictures_are_read_in_the_sandbox_too() -> None:
    with SandboxedParser() as parser:
        assert SEEN in told(parser.parse(as_docx(picture()), "letter.docx"))


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The sizes of the pictures that the engine was shown; it sees a line in each."""
    sizes: list[tuple[int, int]] = []

    def recognized(shown: Image.Image) -> list[ReadLine]:
        sizes.append(shown.size)
        return [ReadLine(f"Line {len(sizes)}", 0, 0, 10, 10)]

    monkeypatch.setattr(recognition, "recognized", recognized)
    monkeypatch.setattr(recognition, "shows_text", lambda _: True)
    return sizes


def flood() -> bytes:
    """A PNG of a few bytes that claims a billion pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 20_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_icons_blanks_floods_damage_and_repetitions_are_not_looked_at(looked_at: list[tuple[int, int]]) -> None:
    reader = PictureReader()
    others = [picture(size=(64, 64)), picture(""), flood(), picture()[:300], b"\xd7\xcd\xc6\x9a a metafile", b""]
    assert [reader.texts(data) for data in (*others, picture(), picture())] == [*[[]] * 6, ["Line 1"], []]
    assert (looked_at, reader.cause()) == ([(640, 120)], "")


def test_a_damaged_picture_leaves_the_document_whole() -> None:
    for name in ("odt", "odp", "ods"):
        make, parse = FORMATS[name]
        texts = [text for _, text in told(parse(make(picture()[:200])))]
        assert "Before." in texts and "After." in texts


def test_what_is_beyond_the_bounds_is_told_of(
    looked_at: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures_module, "PICTURES", 2)
    reader = PictureReader()
    assert [len(reader.texts(picture(str(number)))) for number in range(4)] == [1, 1, 0, 0]
    assert reader.cause().startswith("2 pictures were not looked at for text: at most 2 are")

    late = PictureReader(PictureTime(left=lambda: 10.0))
    assert (late.texts(picture()), late.left_out) == ([], 1)
    assert late.cause().startswith("One picture was not looked at")
    monkeypatch.setattr(pictures_module, "PICTURES", 0)
    for make, parse in FORMATS.values():
        assert parse(make(picture())).unread.startswith("One picture was not looked at")


def test_where_memory_does_not_suffice_only_the_picture_is_left_out(
    looked_at: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Image.Image) -> list[ReadLine]:
        raise MemoryError

    monkeypatch.setattr(recognition, "recognized", refuse)
    parsed = parse_docx(as_docx(picture()))
    assert (parsed.text, parsed.unread[:15]) == ("Before.\n\nAfter.", "One picture was")


def test_a_glance_tells_a_photograph_from_a_page_of_print() -> None:
    page = Image.open(io.BytesIO(picture(size=(1_400, 1_000)))).convert("RGB")
    sky = Image.linear_gradient("L").resize((1_400, 1_000)).convert("RGB")
    assert recognition.shows_text(page)
    assert not recognition.shows_text(sky)
    assert not recognition.is_blank(sky)
    assert recognition.is_blank(Image.new("RGB", (1_400, 1_000), "navy"))


def test_a_flat_picture_is_not_enlarged_to_be_read() -> None:
    """The engine makes the shorter side 736 pixels long, and all of a banner as many times longer."""
    flat, tall, wide = (Image.new("RGB", size, "navy") for size in ((640, 120), (200, 1_400), (1_500, 900)))
    framed = [recognition._with_margin(one) for one in (flat, tall, wide)]
    assert [one.size for one in framed] == [(640, 640), (736, 1_400), (1_500, 900)]
    assert all(one.getcolors() == [(one.width * one.height, (0, 0, 128))] for one in framed)
