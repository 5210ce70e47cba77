"""The lines of a PDF page with their place and type size, read from PDFium character by character."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

# PDFium marks a hyphen that it took for one of word division with U+0002, and what no font names with U+FFFE.
_DIVISION_HYPHEN = "\x02"
_NO_CHARACTER = frozenset("\ufffe\uffff\x00")
# Letters that are joined in print (Unicode's Latin ligatures) and stand apart in words.
_LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st"}
)
_CHARACTERS = 200_000
_FONT_NAME_BYTES = 128
_BOLD_NAME = re.compile(rb"bold|black|heavy|demi", re.I)
_BOLD_WEIGHT = 700
_LINE = re.compile(r"[^\r\n]+")
_UNNAMED = re.compile("\ufffe")
_LAM_ALEF = re.compile("[\u0622\u0623\u0625\u0627]\u0644")
# Where letters of the two scripts meet without white space, words do.
_SCRIPTS_MEET = re.compile(r"(?<=[A-Za-z])(?=[\u0621-\u064a])|(?<=[\u0621-\u064a])(?=[A-Za-z])")
_SHOWN = re.compile(r"[^\s\ufffe\uffff\x00]+")
# White space within a line beyond this share of the type's height parts two cells, and two figures sooner. Justified
# words may stand as far apart, but not one below the other.
_CELL_GAP = 0.7
_FIGURE_GAP = 0.4
# A number as accounts print it, its currency sign, or the dash that stands for none.
_FIGURE = re.compile(r"[-–—+(]*[$€£¥]?[-(]?\d(?:[\d.,]*\d)?[)%]*|[-–—]|[$€£¥%)]")
# The dots that lead from an entry of a table of contents to its page.
_LEADER_DOTS = re.compile(r"(?:\s?[.·]){5,}")
LEADER = "…"
_NO_FIGURE = frozenset("-–—")
# A bullet or a number that stands apart from the text it counts.
_MARKER = re.compile(r"[•◦▪‣●○■□▶➢\-–*·]|\(?(?:[0-9]{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|[0-9]{1,3}(?:\.[0-9]{1,3})+\.?")


@dataclass(frozen=True)
class Cell:
    """A piece of a line with wide white space around it, and where it begins and ends in points."""

    text: str
    left: float
    right: float

    @property
    def is_figure(self) -> bool:
        return all(map(_FIGURE.fullmatch, self.text.split()))


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
    cells: tuple[Cell, ...] = field(default=(), compare=False)

    @property
    def is_row(self) -> bool:
        """Whether the line reads as a row of a table: it ends in two or more figures."""
        figures = 0
        for word in reversed(self.text.split()):
            if not _FIGURE.fullmatch(word):
                break
            figures += any(character.isdigit() for character in word) or word in _NO_FIGURE
        return figures >= 2


@dataclass(frozen=True)
class _Box:
    left: float
    right: float
    bottom: float
    top: float


def page_lines(page: pdfium.PdfPage, textpage: pdfium.PdfTextPage) -> list[Line]:
    """The page's lines in the order of the file, placed as the page is held to be read."""
    width, height = page.get_size()
    if page.get_rotation() in (90, 270):
        width, height = height, width
    reader = _Reader(textpage, _turn(textpage), width, height)
    return [line for first, text in _raw_lines(textpage) if (line := reader.line(first, text))]


def _turn(textpage: pdfium.PdfTextPage) -> int:
    """By how many quarters, counterclockwise, most of the text is turned in the page's own space."""
    count = textpage.count_chars()
    sample = [pdfium_c.FPDFText_GetCharAngle(textpage.raw, count * share // 8) for share in range(8)] if count else []
    # PDFium counts angles clockwise, and gives -1 where it knows none.
    quarters = [-round(angle / (math.pi / 2)) % 4 for angle in sample if angle >= 0]
    return max(set(quarters), key=quarters.count) if quarters else 0


def _raw_lines(textpage: pdfium.PdfTextPage) -> Iterator[tuple[int, str]]:
    """For each line the index of its first character and its characters, one for each of PDFium's indexes."""
    return ((match.start(), match.group()) for match in _LINE.finditer(_characters(textpage)))


def _characters(textpage: pdfium.PdfTextPage) -> str:
    """What PDFium has at each of its indexes, read at once where it writes one UTF-16 unit for each."""
    count = min(textpage.count_chars(), _CHARACTERS)
    unicode_at, raw = pdfium_c.FPDFText_GetUnicode, textpage.raw
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium_c.FPDFText_GetText(raw, 0, count, buffer) - 1
    text = bytes(buffer)[: 2 * count].decode("utf-16-le", "replace")
    if written != count or len(text) != count:
        text = "".join(chr(unicode_at(raw, index)) for index in range(count))
    # Read at once, a hyphen that divides a word looks like what no font names.
    text = _UNNAMED.sub(lambda match: chr(unicode_at(raw, match.start())), text)
    return _LAM_ALEF.sub(lambda match: _in_order(textpage, match), text)


def _in_order(textpage: pdfium.PdfTextPage, pair: re.Match[str]) -> str:
    """The two letters of an Arabic ligature, which PDFium takes apart from left to right: they share one box."""
    first, second = (_place(textpage, index) for index in (pair.start(), pair.start() + 1))
    return pair[0][::-1] if first == second else pair[0]


def _place(textpage: pdfium.PdfTextPage, index: int) -> tuple[float, float]:
    box = pdfium_c.FS_RECTF()
    pdfium_c.FPDFText_GetLooseCharBox(textpage.raw, index, box)
    return box.left, box.right


@dataclass(frozen=True)
class _Reader:
    """Reads the lines of a page of `width` by `height` before it is rotated, its text turned by `turn` quarters."""

    textpage: pdfium.PdfTextPage
    turn: int
    width: float
    height: float

    def line(self, first: int, text: str) -> Line | None:
        """The line of `text` that begins at character `first`, or None if it shows nothing."""
        words = [match.span() for match in _SHOWN.finditer(text)]
        if not words:
            return None
        start = self.box(first + words[0][0])
        end = self.box(first + words[-1][1] - 1)
        # The box of the font, not the size it was set in, which a matrix may have scaled; to half a point.
        size = round((start.top - start.bottom) * 2) / 2
        cells = self._cells(first, text, words, start, end, size)
        joined = " ".join(cell.text for cell in cells if cell.text)
        if not joined:
            return None
        return Line(
            text=joined,
            left=start.left,
            right=end.right,
            bottom=min(start.bottom, end.bottom),
            top=max(start.top, end.top),
            size=size,
            weight=_weight(self.textpage, first + words[0][0]),
            page_height=self.width if self.turn % 2 else self.height,
            divided=text.rstrip().endswith(_DIVISION_HYPHEN),
            cells=cells,
        )

    def _cells(
        self, first: int, text: str, words: list[tuple[int, int]], start: _Box, end: _Box, size: float
    ) -> tuple[Cell, ...]:
        """The pieces of a line between wide white space; a marker belongs to what it counts."""
        cells: list[Cell] = []
        begin, left = words[0][0], start.left
        for (_, before), (after, _) in pairwise(words):
            gap_from, gap_to = self.box(first + before - 1).right, self.box(first + after).left
            if gap_to - gap_from <= _FIGURE_GAP * size:
                continue
            piece = _visible(text[begin:before])
            figures = _FIGURE.fullmatch(piece.rpartition(" ")[2]) and _FIGURE.match(text, after)
            is_wide = gap_to - gap_from > _CELL_GAP * size or figures
            if is_wide and not (_MARKER.fullmatch(piece) and not cells):
                cells.append(Cell(piece, left, gap_from))
                begin, left = after, gap_to
        cells.append(Cell(_visible(text[begin:]), left, end.right))
        return tuple(cell for cell in cells if cell.text)

    def box(self, index: int) -> _Box:
        """A character's box, as if its line ran from left to right."""
        box = pdfium_c.FS_RECTF()
        pdfium_c.FPDFText_GetLooseCharBox(self.textpage.raw, index, box)
        if self.turn == 0:
            return _Box(box.left, box.right, box.bottom, box.top)
        if self.turn == 1:
            return _Box(box.bottom, box.top, self.width - box.right, self.width - box.left)
        if self.turn == 2:
            return _Box(self.width - box.right, self.width - box.left, self.height - box.top, self.height - box.bottom)
        return _Box(self.height - box.top, self.height - box.bottom, box.left, box.right)


def _visible(text: str) -> str:
    kept = "".join(character for character in text if character not in _NO_CHARACTER and character != _DIVISION_HYPHEN)
    return _SCRIPTS_MEET.sub(" ", _LEADER_DOTS.sub(f" {LEADER} ", kept.translate(_LIGATURES))).strip()


def _weight(textpage: pdfium.PdfTextPage, index: int) -> int:
    """The weight that the font's name says, else what PDFium guesses from its stems; 0 where neither tells."""
    name = ctypes.create_string_buffer(_FONT_NAME_BYTES)
    pdfium_c.FPDFText_GetFontInfo(textpage.raw, index, name, _FONT_NAME_BYTES, ctypes.c_int())
    return _BOLD_WEIGHT if _BOLD_NAME.search(name.value) else pdfium_c.FPDFText_GetFontWeight(textpage.raw, index)
