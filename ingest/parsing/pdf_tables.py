"""Tables of a PDF that are drawn with rules: the rules and the words from PDFium, the grid from pdfplumber."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ingest.parsing.assembly import table_row
from ingest.parsing.pdf_lines import Line

# Drawings have more paths than any table has rules, and pdfplumber compares each rule across with each rule down.
_PATHS = 5_000
_RULES = 600
_SEGMENTS = 400
_FORMS_DEEP = 3
_THIN = 2.0
_RULE_LENGTH = 5.0
_TOLERANCE = 3.0
# Beyond this share of lines with white space between columns that no rule parts, rules are frames.
_FRAMED_SHARE = 0.3
# Accounts set the sign in a cell of its own.
_CURRENCY_CELL = re.compile(r"([$€£¥]) \| ")

_Box = tuple[float, float, float, float]
_Point = tuple[float, float]
_Path = Any  # a pointer of ctypes, whose class exists at run time only


@dataclass(frozen=True)
class RuledTable:
    """A table with its box in points from the page's lower left corner."""

    text: str
    left: float
    right: float
    bottom: float
    top: float
    grid: tuple[_Box, ...] = ()
    """Its cells: left, bottom, right, top."""

    def frames(self, lines: Sequence[Line]) -> bool:
        """Whether its rules are frames around lines that are set in columns of their own, not around cells."""
        held = [line for line in lines if self.holds(line)]
        apart = [line for line in held if len(line.cells) > 1 and self._cell_of(line, 0) == self._cell_of(line, 1)]
        return len(apart) > max(1, _FRAMED_SHARE * len(held))

    def _cell_of(self, line: Line, number: int) -> int | None:
        cell, y = line.cells[number], (line.bottom + line.top) / 2
        x = (cell.left + cell.right) / 2
        inside = (
            at for at, (left, bottom, right, top) in enumerate(self.grid) if left <= x <= right and bottom <= y <= top
        )
        return next(inside, None)

    def holds(self, line: Line) -> bool:
        """Whether the middle of `line` stands in the table."""
        x, y = (line.left + line.right) / 2, (line.bottom + line.top) / 2
        return self.left <= x <= self.right and self.bottom <= y <= self.top


def ruled_tables(page: pdfium.PdfPage, textpage: pdfium.PdfTextPage) -> list[RuledTable]:
    """The tables with a grid of rules and two or more columns, from the top; none where drawings hide them."""
    drawn = _drawn(page)
    if sum(one["orientation"] == "h" for one in drawn) < 2 or sum(one["orientation"] == "v" for one in drawn) < 2:
        return []
    # Loading it takes longer than reading most documents, and most pages have no rules.
    from pdfplumber.table import cells_to_tables, edges_to_intersections, intersections_to_cells, merge_edges

    rules = merge_edges(drawn, _TOLERANCE, _TOLERANCE, _TOLERANCE, _TOLERANCE)
    across = sum(edge["orientation"] == "h" for edge in rules)
    if min(across, len(rules) - across) < 2 or len(rules) > _RULES:
        return []
    height = page.get_height()
    cells = intersections_to_cells(edges_to_intersections(rules, _TOLERANCE, _TOLERANCE))
    tables = [_table(textpage, table, height) for table in cells_to_tables(cells)]
    return [table for table in tables if table is not None]


def _table(textpage: pdfium.PdfTextPage, cells: list[_Box], height: float) -> RuledTable | None:
    """The table of `cells` (left, top, right, bottom, from the page's upper left corner), None if it has no columns."""
    columns = sorted({cell[0] for cell in cells})
    rows = []
    for _, group in groupby(sorted(cells, key=itemgetter(1, 0)), key=itemgetter(1)):
        row = [""] * len(columns)
        for left, top, right, bottom in group:
            words = textpage.get_text_bounded(left, height - bottom, right, height - top)
            row[columns.index(left)] = " ".join(words.split())
        rows.append(row)
    used = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    if len(used) < 2:
        return None
    left, top = min(cell[0] for cell in cells), min(cell[1] for cell in cells)
    right, bottom = max(cell[2] for cell in cells), max(cell[3] for cell in cells)
    lines = [_CURRENCY_CELL.sub(r"\1 ", table_row([row[at] for at in used])).rstrip(" |") for row in rows]
    grid = tuple((cell[0], height - cell[3], cell[2], height - cell[1]) for cell in cells)
    return RuledTable("\n".join(filter(None, lines)), left, right, height - bottom, height - top, grid)


def _drawn(page: pdfium.PdfPage) -> list[dict[str, Any]]:
    """The straight lines across and down the page as pdfplumber's edges; none if they are too many for tables."""
    height = page.get_height()
    edges: list[dict[str, Any]] = []
    for number, path in enumerate(_paths(page)):
        if number >= _PATHS:
            return []
        edges += (edge for segment in _segments(path) if (edge := _edge(*segment, height)))
    return edges


def _paths(page: pdfium.PdfPage) -> Iterator[_Path]:
    """The paths of a page and of the forms drawn on it, as PDFium's own objects: a page may have thousands."""
    sources = [(page.raw, pdfium_c.FPDFPage_CountObjects, pdfium_c.FPDFPage_GetObject, 0)]
    while sources:
        source, count, get, depth = sources.pop()
        for index in range(count(source)):
            shown = get(source, index)
            kind = pdfium_c.FPDFPageObj_GetType(shown)
            if kind == pdfium_c.FPDF_PAGEOBJ_PATH:
                yield shown
            elif kind == pdfium_c.FPDF_PAGEOBJ_FORM and depth < _FORMS_DEEP:
                sources.append((shown, pdfium_c.FPDFFormObj_CountObjects, pdfium_c.FPDFFormObj_GetObject, depth + 1))


def _segments(path: _Path) -> Iterator[tuple[_Point, _Point]]:
    """The straight lines that a path shows: its strokes, and a filled bar too thin to be anything but a rule."""
    edges = [pdfium_c.c_float() for _ in range(4)]
    if not pdfium_c.FPDFPageObj_GetBounds(path, *edges):
        return
    left, bottom, right, top = (edge.value for edge in edges)
    if right - left <= _THIN or top - bottom <= _THIN:
        yield (left, bottom), (right, top)
    elif _is_stroked(path):
        yield from _strokes(path)


def _strokes(path: _Path) -> Iterator[tuple[_Point, _Point]]:
    placed = pdfium_c.FS_MATRIX()
    pdfium_c.FPDFPageObj_GetMatrix(path, placed)
    matrix = pdfium.PdfMatrix.from_raw(placed)
    begin = last = (0.0, 0.0)
    for index in range(min(pdfium_c.FPDFPath_CountSegments(path), _SEGMENTS)):
        segment = pdfium_c.FPDFPath_GetPathSegment(path, index)
        x, y = pdfium_c.c_float(), pdfium_c.c_float()
        pdfium_c.FPDFPathSegment_GetPoint(segment, x, y)
        point = matrix.on_point(x.value, y.value)
        kind = pdfium_c.FPDFPathSegment_GetType(segment)
        if kind == pdfium_c.FPDF_SEGMENT_LINETO:
            yield last, point
        elif kind == pdfium_c.FPDF_SEGMENT_MOVETO:
            begin = point
        last = point
        if pdfium_c.FPDFPathSegment_GetClose(segment):
            yield last, begin


def _is_stroked(path: _Path) -> bool:
    fill, stroke = pdfium_c.c_int(), pdfium_c.c_int()
    return bool(pdfium_c.FPDFPath_GetDrawMode(path, fill, stroke)) and bool(stroke.value)


def _edge(start: _Point, end: _Point, height: float) -> dict[str, Any] | None:
    """A line across or down the page as pdfplumber's edge, None for one that is short or slanted."""
    left, right = sorted((start[0], end[0]))
    bottom, top = sorted((start[1], end[1]))
    if right - left >= _RULE_LENGTH and top - bottom <= _THIN:
        bottom = top = (top + bottom) / 2
    elif top - bottom >= _RULE_LENGTH and right - left <= _THIN:
        left = right = (left + right) / 2
    else:
        return None
    return {
        "object_type": "line",
        "orientation": "h" if top == bottom else "v",
        "x0": left,
        "x1": right,
        "top": height - top,
        "bottom": height - bottom,
        "width": right - left,
        "height": top - bottom,
    }
