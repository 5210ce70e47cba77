"""Raised marks of a PDF (®, a note's number), which PDFium gives as lines of their own: put back where they stand."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from ingest.parsing.pdf_lines import Cell, Line

_MARKS = re.compile(r"(?:[®™℠©*†‡§]|\(?\d{1,2}\)?|\([a-z]\)|[,\s])+")
# They are set smaller than what they belong to, and begin about where it ends.
_SMALLER = 0.8
_NEAR_POINTS = 3.0
# What says nothing that a reader would look for.
_SIGNS_ONLY = re.compile(r"[®™℠©\s]+")


def with_marks(lines: Sequence[Line]) -> list[Line]:
    """The lines in their order, each mark behind the piece that it is set at.

    Signs of ownership in the midst of a piece are left out; any other mark for which no piece is found stays a line.
    """
    marks = [line for line in lines if _MARKS.fullmatch(line.text)]
    if not marks:
        return list(lines)
    bases = sorted((line for line in lines if not _MARKS.fullmatch(line.text)), key=lambda line: line.bottom)
    bottoms = [line.bottom for line in bases]
    behind: dict[int, list[Line]] = {}
    placed: set[int] = set()
    for mark in marks:
        # A base begins below its mark, by less than its own height.
        begin = bisect_left(bottoms, mark.bottom - mark.size / _SMALLER * 2)
        end = bisect_left(bottoms, mark.bottom)
        base = next((one for one in bases[begin:end] if _is_set_at(mark, one)), None)
        if base is not None and (_piece_before(mark, base) is not None or _SIGNS_ONLY.fullmatch(mark.text)):
            behind.setdefault(id(base), []).append(mark)
            placed.add(id(mark))
    return [_marked(line, behind.get(id(line), [])) for line in lines if id(line) not in placed]


def _is_set_at(mark: Line, base: Line) -> bool:
    is_raised = base.bottom < mark.bottom < base.top and mark.top < base.top + base.size / 2
    return is_raised and mark.size <= _SMALLER * base.size and base.left < mark.left < base.right + _NEAR_POINTS


def _piece_before(mark: Line, base: Line) -> int | None:
    """The number of the piece behind which the mark stands; None where it stands in the midst of one."""
    found = None
    for number, cell in enumerate(base.cells):
        if cell.right <= mark.left + _NEAR_POINTS:
            found = number
        elif cell.left < mark.left:
            return None
    return found


def _marked(line: Line, marks: Sequence[Line]) -> Line:
    cells = list(line.cells)
    for mark in sorted(marks, key=lambda mark: mark.left):
        at = _piece_before(mark, line)
        if at is not None:
            between = "" if _SIGNS_ONLY.match(mark.text) else " "
            cells[at] = Cell(f"{cells[at].text}{between}{mark.text}", cells[at].left, cells[at].right)
    return replace(line, text=" ".join(cell.text for cell in cells), cells=tuple(cells)) if marks else line
