"""Pictures of text: scans, photographs and screenshots, read by optical character recognition."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial

from PIL import Image, ImageOps

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly
from ingest.parsing.damage import sign_of
from ingest.parsing.scanned_pages import ScannedPages

PIXELS = 50_000_000
"""The largest picture that is decoded: 150 MB as RGB, an A3 page at 430 dpi."""
PAGES = 50
"""Pages of one TIFF file that are read."""
FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")
"""As Pillow calls them."""
# What Pillow raises on broken pictures.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError)

# Pillow's own limit is above ours and only warns.
Image.MAX_IMAGE_PIXELS = None


def parse_image(data: bytes) -> Parsed:
    """The text in a picture, a block a paragraph; every page of a TIFF, of an animation the first picture.

    Pages of a TIFF for which the time does not suffice are named in `unread`.
    Raises `UnreadableDocument`: "hostile" for a page of more than `PIXELS`, before it is decoded, "too_large" for more
    than `PAGES`, "malformed", "timeout" where there was no time for any page, "empty" where no text is seen.
    """
    assembly, scans = Assembly(), ScannedPages()
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            media_type = Image.MIME[image.format or ""]
            for number in range(1, _page_count(image) + 1):
                for text in scans.read(number, partial(_page, image, number)):
                    assembly.add(BlockKind.IMAGE_TEXT, text, page=number if image.format == "TIFF" else None)
    except _DAMAGE as error:
        raise UnreadableDocument(
            "malformed", f"The picture is damaged ({sign_of(error)}); open it in a viewer and save it again."
        ) from error
    if not assembly.blocks and scans.unread:
        raise UnreadableDocument("timeout", scans.cause())
    if not assembly.blocks:
        raise UnreadableDocument("empty", "No text was recognized in the picture; there is nothing to index.")
    return replace(assembly.parsed(media_type), unread=scans.cause())


def _page_count(image: Image.Image) -> int:
    count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if count > PAGES:
        raise UnreadableDocument("too_large", f"The file holds {count:,} pages and at most {PAGES} are read; split it.")
    return count


def _page(image: Image.Image, number: int) -> Image.Image:
    image.seek(number - 1)
    width, height = image.size
    if width * height > PIXELS:
        raise UnreadableDocument(
            "hostile", f"The picture claims {width:,} × {height:,} pixels; it was not opened. Scan it at 300 dpi."
        )
    return on_white(image)


def on_white(image: Image.Image) -> Image.Image:
    """A picture upright, in RGB on white."""
    image = ImageOps.exif_transpose(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    picture = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
