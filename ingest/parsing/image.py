"""Pictures of text: scans, photographs and screenshots, read by optical character recognition."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image, ImageOps

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly
from ingest.parsing.damage import sign_of
from ingest.parsing.reading_order import paragraphs

PIXELS = 50_000_000
"""The largest picture that is decoded: 150 MB as RGB, an A3 page at 430 dpi."""
PAGES = 50
"""Pages of one TIFF file that are read."""
_FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")
# What Pillow raises on broken pictures.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError)

# Pillow's own limit is above ours and only warns.
Image.MAX_IMAGE_PIXELS = None


def parse_image(data: bytes) -> Parsed:
    """The text in a picture, a block a paragraph; every page of a TIFF, of an animation the first picture.

    Raises `UnreadableDocument`: "hostile" for a page of more than `PIXELS`, before it is decoded, "too_large" for more
    than `PAGES`, "malformed", "empty" where no text is seen.
    """
    # Loading the engine takes memory and a moment that most documents need not pay for.
    from ingest.parsing.recognition import recognized

    assembly = Assembly()
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            media_type = Image.MIME[image.format or ""]
            for number, page in enumerate(_pages(image), start=1):
                for text in paragraphs(recognized(page)):
                    assembly.add(BlockKind.IMAGE_TEXT, text, page=number if image.format == "TIFF" else None)
    except _DAMAGE as error:
        raise UnreadableDocument(
            "malformed", f"The picture is damaged ({sign_of(error)}); open it in a viewer and save it again."
        ) from error
    if not assembly.blocks:
        raise UnreadableDocument("empty", "No text was recognized in the picture; there is nothing to index.")
    return assembly.parsed(media_type)


def _pages(image: Image.Image) -> Iterator[Image.Image]:
    """Each page upright, in RGB on white."""
    count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if count > PAGES:
        raise UnreadableDocument("too_large", f"The file holds {count:,} pages and at most {PAGES} are read; split it.")
    for index in range(count):
        image.seek(index)
        width, height = image.size
        if width * height > PIXELS:
            raise UnreadableDocument(
                "hostile", f"The picture claims {width:,} × {height:,} pixels; it was not opened. Scan it at 300 dpi."
            )
        yield _on_white(ImageOps.exif_transpose(image))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    picture = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
