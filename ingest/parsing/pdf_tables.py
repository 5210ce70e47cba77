"""Tables of a PDF that are drawn with rules: the rules and the words from PDFium, the grid from pdfplumber."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from pdfplumber.table import cells_to_tables, edges_to_intersections, intersections_to_cells, merge_edges

from ingest.parsing.assembly import table_row
from ingest.parsing.pdf_lines import Line

# Drawings have more paths than any table has rules, and pdfplumber compares each rule across with each rule down.
_PATHS = 5_000
_RULES = 600
_SEGMENTS = 400
_THIN = 2.0
_RULE_LENGTH = 5.0
_TOLERANCE = 3.0
# Accounts set the sign in a cell of its own.
_CURRENCY_CELL = re.compile(r"([$€£¥]) \| ")

_Box = tuple[float, float, float, float]
_Point = tuple[float, float]


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


def ruled_tables(page: pdfium.PdfPage) -> list[RuledTable]:
    """The tables with a grid of rules and two or more columns, from the top; none where drawings hide them."""
    rules = _rules(page)
    if not rules:
        return []
    height = page.get_height()
    cells = intersections_to_cells(edges_to_intersections(rules, _TOLERANCE, _TOLERANCE))
    with closing(page.get_textpage()) as textpage:
        tables = [_table(textpage, table, height) for table in cells_to_tables(cells)]
    return [table for table in tables if table is not None]


def _table(textpage: pdfium.PdfTextPage, cells: list[_Box], height: float) -> RuledTable | None:
    """The table of `cells` (left, top, right, bottom, from the page's upper left corner), None if it has no columns."""
    rows = []
    for _, row in groupby(sorted(cells, key=itemgetter(1, 0)), key=itemgetter(1)):
        words = [
            textpage.get_text_bounded(left, height - bottom, right, height - top) for left, top, right, bottom in row
        ]
        rows.append([word for word in words if word.strip()])
    if max(map(len, rows), default=0) < 2:
        return None
    left, top = min(cell[0] for cell in cells), min(cell[1] for cell in cells)
    right, bottom = max(cell[2] for cell in cells), max(cell[3] for cell in cells)
    lines = [_CURRENCY_CELL.sub(r"\1 ", table_row(row)) for row in rows if row]
    return RuledTable("\n".join(lines), left, right, height - bottom, height - top)


def _rules(page: pdfium.PdfPage) -> list[dict[str, Any]]:
    """The page's rules as pdfplumber's edges, joined; none if they form no grid or are too many for a table."""
    height = page.get_height()
    edges: list[dict[str, Any]] = []
    for number, path in enumerate(page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_PATH])):
        if number >= _PATHS:
            return []
        edges += (edge for segment in _segments(path) if (edge := _edge(*segment, height)))
    merged = merge_edges(edges, _TOLERANCE, _TOLERANCE, _TOLERANCE, _TOLERANCE)
    across = sum(edge["orientation"] == "h" for edge in merged)
    return merged if min(across, len(merged) - across) >= 2 and len(merged) <= _RULES else []


def _segments(path: pdfium.PdfObject) -> Iterator[tuple[_Point, _Point]]:
    """The straight lines that a path shows: its strokes, and a filled bar too thin to be anything but a rule."""
    left, bottom, right, top = path.get_bounds()
    if right - left <= _THIN or top - bottom <= _THIN:
        yield (left, bottom), (right, top)
    elif _is_stroked(path):
        yield from _strokes(path)


def _strokes(path: pdfium.PdfObject) -> Iterator[tuple[_Point, _Point]]:
    matrix = path.get_matrix()
    begin = last = (0.0, 0.0)
    for index in range(min(pdfium_c.FPDFPath_CountSegments(path.raw), _SEGMENTS)):
        segment = pdfium_c.FPDFPath_GetPathSegment(path.raw, index)
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


def _is_stroked(path: pdfium.PdfObject) -> bool:
    fill, stroke = pdfium_c.c_int(), pdfium_c.c_int()
    return bool(pdfium_c.FPDFPath_GetDrawMode(path.raw, fill, stroke)) and bool(stroke.value)


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
