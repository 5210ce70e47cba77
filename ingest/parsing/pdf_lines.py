"""The lines of a PDF page with their place and type size, read from PDFium character by character."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

# PDFium marks a hyphen that it took for one of word division with U+0002, and what no font names with U+FFFE.
_DIVISION_HYPHEN = "\x02"
_NO_CHARACTER = frozenset("\ufffe\uffff\x00")
_CHARACTERS = 200_000
_FONT_NAME_BYTES = 128
_BOLD_NAME = re.compile(rb"bold|black|heavy|demi", re.I)
_BOLD_WEIGHT = 700
# A number as accounts print it, its currency sign, or the dash that stands for none.
_FIGURE = re.compile(r"[-–—+(]*[$€£¥]?[-(]?\d(?:[\d.,]*\d)?[)%]*|[-–—]|[$€£¥%)]")
# The dots that lead from an entry of a table of contents to its page.
_LEADER_DOTS = re.compile(r"(?:\s?[.·]){5,}")
LEADER = "…"
_NO_FIGURE = frozenset("-–—")


@dataclass(frozen=True)
class Line:
    """One line of text: its box in points from the page's lower left corner, its type size and weight (400: plain).

    `divided` is True where the line ends in a hyphen that divides a word.
    """

    text: str
    left: float
    right: float
    bottom: float
    top: float
    size: float
    weight: int
    page_height: float
    divided: bool = False

    @property
    def is_row(self) -> bool:
        """Whether the line reads as a row of a table: it ends in two or more figures."""
        figures = 0
        for word in reversed(self.text.split()):
            if not _FIGURE.fullmatch(word):
                break
            figures += any(character.isdigit() for character in word) or word in _NO_FIGURE
        return figures >= 2


def page_lines(page: pdfium.PdfPage) -> list[Line]:
    """The page's lines in the order of the file."""
    height = page.get_height()
    textpage = page.get_textpage()
    try:
        return [line for first, text in _raw_lines(textpage) if (line := _line(textpage, first, text, height))]
    finally:
        textpage.close()


def _raw_lines(textpage: pdfium.PdfTextPage) -> Iterator[tuple[int, str]]:
    """For each line the index of its first character and its characters, one for each of PDFium's indexes."""
    unicode_at = pdfium_c.FPDFText_GetUnicode
    raw = textpage.raw
    line: list[str] = []
    first = 0
    for index in range(min(textpage.count_chars(), _CHARACTERS)):
        character = chr(unicode_at(raw, index))
        if character in "\r\n":
            if line:
                yield first, "".join(line)
            line = []
            first = index + 1
        else:
            line.append(character)
    if line:
        yield first, "".join(line)


def _line(textpage: pdfium.PdfTextPage, first: int, text: str, page_height: float) -> Line | None:
    """The line of `text` that begins at character `first`, or None if it shows nothing."""
    shown = [
        offset for offset, character in enumerate(text) if not character.isspace() and character not in _NO_CHARACTER
    ]
    if not shown:
        return None
    start = _box(textpage, first + shown[0])
    end = _box(textpage, first + shown[-1])
    visible = "".join(character for character in text if character not in _NO_CHARACTER | {_DIVISION_HYPHEN})
    line = Line(
        text=_LEADER_DOTS.sub(f" {LEADER} ", visible).strip(),
        left=start.left,
        right=end.right,
        bottom=min(start.bottom, end.bottom),
        top=max(start.top, end.top),
        # The box of the font, not the size it was set in, which a matrix may have scaled; to half a point.
        size=round((start.top - start.bottom) * 2) / 2,
        weight=_weight(textpage, first + shown[0]),
        page_height=page_height,
        divided=text.rstrip().endswith(_DIVISION_HYPHEN),
    )
    return line if line.text else None


def _box(textpage: pdfium.PdfTextPage, index: int) -> pdfium_c.FS_RECTF:
    box = pdfium_c.FS_RECTF()
    pdfium_c.FPDFText_GetLooseCharBox(textpage.raw, index, box)
    return box


def _weight(textpage: pdfium.PdfTextPage, index: int) -> int:
    """The weight that the font's name says, else what PDFium guesses from its stems; 0 where neither tells."""
    name = ctypes.create_string_buffer(_FONT_NAME_BYTES)
    pdfium_c.FPDFText_GetFontInfo(textpage.raw, index, name, _FONT_NAME_BYTES, ctypes.c_int())
    return _BOLD_WEIGHT if _BOLD_NAME.search(name.value) else pdfium_c.FPDFText_GetFontWeight(textpage.raw, index)
