"""Tables of a PDF that are drawn with rules, found and read by pdfplumber where PDFium sees such rules."""

from __future__ import annotations

import io
import re
import time
from dataclasses import dataclass, field
from types import TracebackType

import pdfplumber
import pdfplumber.pdf
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from pdfminer.pdfexceptions import PDFException
from pdfplumber.utils.exceptions import PdfminerException

from ingest.parsing.assembly import table_row
from ingest.parsing.pdf_lines import Line

# pdfplumber takes up to a second for a page, so a document gets its first pages with rules and this much time.
PAGES = 60
BUDGET_SECONDS = 20.0
_PATHS = 3_000
# Accounts set the sign in a cell of its own.
_CURRENCY_CELL = re.compile(r"([$€£¥]) \| ")
_THIN = 2.0
_RULE_LENGTH = 8.0


@dataclass(frozen=True)
class RuledTable:
    """A table with its box in points from the page's lower left corner."""

    text: str
    left: float
    right: float
    bottom: float
    top: float

    def holds(self, line: Line) -> bool:
        """Whether the middle of `line` stands in the table."""
        x, y = (line.left + line.right) / 2, (line.bottom + line.top) / 2
        return self.left <= x <= self.right and self.bottom <= y <= self.top


@dataclass
class RuledTables:
    """Reads one document's ruled tables within `PAGES` and `BUDGET_SECONDS`; closes with its `with` block."""

    data: bytes
    pages_left: int = PAGES
    seconds_left: float = BUDGET_SECONDS
    _plumber: pdfplumber.pdf.PDF | None = field(default=None, init=False)

    def __enter__(self) -> RuledTables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._plumber is not None:
            self._plumber.close()

    def on_page(self, document: pdfium.PdfDocument, index: int) -> list[RuledTable]:
        """The tables with two or more columns on page `index` (from 0), none if it has no grid of rules."""
        if self.pages_left <= 0 or self.seconds_left <= 0 or not _has_grid(document, index):
            return []
        self.pages_left -= 1
        began = time.monotonic()
        try:
            if self._plumber is None:
                self._plumber = pdfplumber.open(io.BytesIO(self.data))
            return _tables(self._plumber, index)
        except (PDFException, PdfminerException, ValueError, KeyError, TypeError, IndexError):
            # pdfminer stumbles over files that PDFium reads; their tables then stay lines of text.
            self.pages_left = 0
            return []
        finally:
            self.seconds_left -= time.monotonic() - began


def _has_grid(document: pdfium.PdfDocument, index: int) -> bool:
    """Whether a page draws two or more rules in both directions, or boxes around its cells."""
    across = down = boxes = 0
    try:
        page = document[index]
        for number, path in enumerate(page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_PATH])):
            if number >= _PATHS:
                return False
            left, bottom, right, top = path.get_bounds()
            across += top - bottom <= _THIN and right - left >= _RULE_LENGTH
            down += right - left <= _THIN and top - bottom >= _RULE_LENGTH
            boxes += top - bottom >= _RULE_LENGTH and right - left >= _RULE_LENGTH and _is_stroked(path)
    except pdfium.PdfiumError:
        return False
    return (across >= 2 and down >= 2) or boxes >= 4


def _is_stroked(path: pdfium.PdfObject) -> bool:
    fill, stroke = pdfium_c.c_int(), pdfium_c.c_int()
    return bool(pdfium_c.FPDFPath_GetDrawMode(path.raw, fill, stroke)) and bool(stroke.value)


def _tables(plumber: pdfplumber.pdf.PDF, index: int) -> list[RuledTable]:
    page = plumber.pages[index]
    found = []
    for table in page.find_tables():
        rows = [[cell for cell in row if cell and cell.strip()] for row in table.extract()]
        if max(map(len, rows), default=0) < 2:
            continue
        lines = [_CURRENCY_CELL.sub(r"\1 ", table_row(row)) for row in rows if row]
        left, top, right, bottom = table.bbox
        height = float(page.height)
        found.append(RuledTable("\n".join(lines), left, right, height - bottom, height - top))
    page.close()
    return found
