"""Pictures: their text in the order it is read, and no pixel decoded of a picture that claims too many."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from PIL import Image, ImageDraw, ImageFont

from core.documents import BlockKind
from core.errors import UnreadableDocument
from ingest.parsing import image as image_module
from ingest.parsing.image import parse_image
from ingest.parsing.limits import MIB, Limits
from ingest.parsing.reading_order import ReadLine, paragraphs
from ingest.parsing.sandbox import SandboxedParser

LINES = ("The contract runs for three years.", "Notice is given in writing.")


def picture(lines: Sequence[str] = LINES, size: tuple[int, int] = (700, 200)) -> Image.Image:
    drawn = Image.new("RGB", size, "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(drawn).text((30, 30 + 60 * number), line, fill="black", font=ImageFont.load_default(32))
    return drawn


def saved(drawn: Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    drawn.save(buffer, format_name, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def parser() -> Iterator[SandboxedParser]:
    with SandboxedParser() as sandboxed:
        yield sandboxed


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"])
def test_the_text_of_a_picture_is_read_in_the_sandbox(parser: SandboxedParser, format_name: str) -> None:
    parsed = parser.parse(saved(picture(), format_name), "scan")
    assert parsed.text.split() == " ".join(LINES).split()
    assert {block.kind for block in parsed.blocks} == {BlockKind.IMAGE_TEXT}
    assert parsed.media_type == f"image/{format_name.lower()}"


def test_each_page_of_a_tiff_is_a_page(parser: SandboxedParser) -> None:
    pages = [picture(["First page."]), picture(["Second page."])]
    parsed = parser.parse(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]), "scan.tif")
    assert [(block.page, parsed.text[block.start : block.end]) for block in parsed.blocks] == [
        (1, "First page."),
        (2, "Second page."),
    ]


def test_a_picture_on_its_side_or_on_nothing_is_read_upright_on_white(parser: SandboxedParser) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise when shown
    turned = saved(picture().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    assert LINES[0] in parser.parse(turned, "photo.jpg").text
    clear = Image.new("RGBA", (700, 120), (0, 0, 0, 0))
    ImageDraw.Draw(clear).text((30, 30), LINES[0], fill="black", font=ImageFont.load_default(32))
    assert LINES[0] in parser.parse(saved(clear), "clear.png").text


def test_a_picture_without_text_is_empty(parser: SandboxedParser) -> None:
    with pytest.raises(UnreadableDocument) as failure:
        parser.parse(saved(Image.new("RGB", (300, 300), "white")), "blank.png")
    assert failure.value.verdict == "empty"


def flood(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims this many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(50_000, 50_000), (8_000, 7_000)])
def test_a_picture_that_claims_a_flood_of_pixels_is_hostile_before_it_is_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(UnreadableDocument, match="pixels") as failure:
        parse_image(flood(*size))
    assert failure.value.verdict == "hostile"


def test_a_tiff_of_more_pages_than_are_read_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_module, "PAGES", 1)
    page = Image.new("RGB", (40, 40), "white")
    with pytest.raises(UnreadableDocument, match="pages") as failure:
        parse_image(saved(page, "TIFF", save_all=True, append_images=[page]))
    assert failure.value.verdict == "too_large"


@pytest.mark.parametrize("cut", [40, 200])
def test_a_cut_off_picture_is_malformed(cut: int) -> None:
    with pytest.raises(UnreadableDocument) as failure:
        parse_image(saved(picture())[:cut])
    assert failure.value.verdict == "malformed"


def test_recognition_that_needs_more_memory_than_it_may_have_says_so() -> None:
    dense = picture(["The contract runs for three years and ends."] * 25, (1_500, 1_600))
    with SandboxedParser(replace(Limits(), memory_bytes=640 * MIB)) as tight:
        with pytest.raises(UnreadableDocument) as failure:
            tight.parse(saved(dense), "dense.png")
        assert failure.value.verdict == "oom"
        assert tight.parse(b"still here", "note.txt").text == "still here"


def line(text: str, left: float, top: float, width: float = 100) -> ReadLine:
    return ReadLine(text, left, top, left + width, top + 10)


def test_columns_are_read_one_after_the_other_below_what_spans_them() -> None:
    lines = [line("title", 0, 0, 230), line("a1", 0, 40), line("b1", 130, 40), line("a2", 0, 52), line("b2", 130, 52)]
    assert paragraphs(lines[::-1]) == ["title", "a1\na2", "b1\nb2"]


def test_pieces_of_one_line_are_joined_and_gaps_part_paragraphs() -> None:
    lines = [line("Total", 0, 0, 40), line("12.00", 140, 1, 40), line("next", 0, 13), line("far below", 0, 60)]
    assert paragraphs(lines) == ["Total 12.00\nnext", "far below"]
    assert paragraphs([]) == []
