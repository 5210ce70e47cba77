"""The two kinds of tables that reStructuredText draws: grids, and columns under rules."""

from __future__ import annotations

import re

_GRID_BORDER = re.compile(r"\s*\+(?:[-=]+\+)+$")
_GRID_PART = re.compile(r"\+(?:[-=]{2,}\+)+")
_SIMPLE_BORDER = re.compile(r"\s*={2,}(?:\s+={2,})+$")
_SPAN_RULE = re.compile(r"\s*-{2,}(?:\s+-{2,})*\s*$")


def is_grid(line: str) -> bool:
    """Whether a line is the border of a grid."""
    return _GRID_BORDER.match(line) is not None


def is_simple(line: str) -> bool:
    """Whether a line is a border of a simple table with two columns or more."""
    return _SIMPLE_BORDER.match(line) is not None


def grid_rows(lines: list[str]) -> list[list[str]]:
    """The rows of a grid; a cell over several rows stands in the first that has text of it.

    Columns are where any border has a cross; a cell over several of them stands in the first.
    """
    edges = sorted({place for line in lines if is_grid(line) for place, mark in enumerate(line) if mark == "+"})
    rows: list[list[str]] = [[]]
    for line in lines:
        if _GRID_PART.search(line) and rows[-1]:
            rows.append([])
        if is_grid(line):
            continue
        cells = _split(_GRID_PART.sub(lambda part: "|" + " " * (len(part[0]) - 2) + "|", line), edges)
        before = rows[-1] or [""] * len(cells)
        rows[-1] = [f"{upper} {lower}".strip() for upper, lower in zip(before, cells, strict=True)]
    return [row for row in rows if any(row)]


def _split(line: str, edges: list[int]) -> list[str]:
    """A line's cells, one for each column; where a bar is missing the cell goes on and the next is empty."""
    cells = [""] * (len(edges) - 1)
    start = 0
    for column, edge in enumerate(edges[1:], start=1):
        if line[edge : edge + 1] in ("|", "+", ""):
            cells[start] = line[edges[start] + 1 : edge].strip()
            start = column
    if start < len(cells):
        cells[start] = line[edges[start] + 1 :].strip(" |")
    return cells


def simple_rows(lines: list[str]) -> list[list[str]]:
    """The rows of a simple table; a line whose first column is empty goes on with the row above."""
    starts = [match.start() for match in re.finditer(r"=+", lines[0])]
    rows: list[list[str]] = []
    for line in lines[1:]:
        if not line or is_simple(line) or _SPAN_RULE.match(line):
            continue
        ends = [*starts[1:], len(line)]
        cells = [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        if not cells[0] and rows:
            rows[-1] = [f"{upper} {lower}".strip() for upper, lower in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    return rows
