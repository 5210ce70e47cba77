"""Pages of a PDF that are pictures of text: told from pages with text, and made pictures of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ingest.parsing.pdf_lines import Line

if TYPE_CHECKING:
    from PIL.Image import Image

# A stamp or a fax's header may stand in the text layer of a scanned page.
_FEW_CHARACTERS = 60
_PICTURE_SHARE = 0.5
_OBJECTS = 500
_DEPTH = 3


def rendered(page: pdfium.PdfPage) -> Image:
    """A page as it is printed, without its form fields, in RGB."""
    from ingest.parsing.recognition import SIDE_PIXELS

    scale = SIDE_PIXELS / max(page.get_size())
    picture: Image = page.render(scale=scale, may_draw_forms=False).to_pil()
    return picture.convert("RGB")


def is_scan(page: pdfium.PdfPage, lines: Sequence[Line]) -> bool:
    """Whether a page shows a picture and next to no text of its own."""
    if sum(len(line.text) for line in lines) >= _FEW_CHARACTERS:
        return False
    width, height = page.get_size()
    covered = 0.0
    kinds = [pdfium_c.FPDF_PAGEOBJ_IMAGE, pdfium_c.FPDF_PAGEOBJ_PATH]
    for number, shown in enumerate(page.get_objects(filter=kinds, max_depth=_DEPTH)):
        if number >= _OBJECTS:
            # Letters that are drawn take many strokes.
            return not lines
        left, bottom, right, top = shown.get_bounds()
        if shown.type == pdfium_c.FPDF_PAGEOBJ_IMAGE:
            covered += max(0.0, right - left) * max(0.0, top - bottom)
    return covered > (_PICTURE_SHARE * width * height if lines else 0)
