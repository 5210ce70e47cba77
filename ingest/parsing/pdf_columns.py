"""Tables of a PDF that are set without rules: rows of cells one above the other, told by the white space between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ingest.parsing.assembly import table_row
from ingest.parsing.pdf_lines import LEADER, Cell, Line

# The distance from one line to the next, in lines: beyond it what follows is no row of the same table.
_ROW_DISTANCE = 2.8
_NEXT_LINE = 1.5
_HEADER_HEIGHT = 8
_HEADER_PIECES = 40
_LABELS = 2
# Cells of prose are longer, and two of them side by side are columns of a page.
_PROSE_CHARACTERS = 35
# Rows with at least this share of the most cells say where columns are; others span several.
_FULL_SHARE = 0.6
_FEW_CELLS = 3
# Type larger than the rows' by this heads what follows.
_LARGER = 1.2
_PAGE_NUMBER = re.compile(r"[\s.]*\w{1,7}")
_SIGNS = frozenset("$€£¥")
_CLOSING = frozenset((")", "%", ")%"))


@dataclass(frozen=True)
class SetTable:
    """A table's rows, a row on each line."""

    text: str


def parted(lines: Sequence[Line]) -> Iterator[Line | SetTable]:
    """The lines of one page in their order, tables in place of their rows; columns of prose one after the other."""
    lines = [replace(line, cells=_merged(line.cells)) for line in lines]
    at, waiting = 0, 0
    while at < len(lines):
        entries = _entries(lines, at)
        if entries:
            yield from lines[waiting:at]
            yield SetTable("\n".join(entries))
            at = waiting = at + len(entries)
            continue
        end = _run_end(lines, at) if len(lines[at].cells) > 1 else at
        if end - at < 2:
            at += 1
            continue
        run = lines[at:end]
        columns = _columns(run)
        if len(columns) < 2 or (len(columns) == 2 and _is_prose(run)):
            yield from lines[waiting:at]
            yield from _side_by_side(run) if len(columns) == 2 else run
        else:
            begin = _header_begin(lines, waiting, at, columns)
            yield from lines[waiting:begin]
            yield SetTable("\n".join(_rows(lines[begin:at], run, columns)))
        at = waiting = end
    yield from lines[waiting:]


def _entries(lines: Sequence[Line], begin: int) -> list[str]:
    """The entries of a table of contents that begin with a line, each with its page; none if there are not two."""
    entries: list[str] = []
    for line in islice(lines, begin, None):
        title, leader, page = line.text.rpartition(LEADER)
        if not leader or not _PAGE_NUMBER.fullmatch(page) or not title.strip():
            break
        entries.append(table_row([title.replace(LEADER, " "), page.strip(" .")]))
    return entries if len(entries) > 1 else []


def _merged(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Cells with a currency's sign, which accounts set apart, joined to the amount, and what closes one likewise."""
    merged: list[Cell] = []
    for cell in cells:
        before = merged[-1] if merged else None
        if before is not None and (before.text in _SIGNS or cell.text in _CLOSING):
            between = "" if cell.text in _CLOSING else " "
            merged[-1] = Cell(f"{before.text}{between}{cell.text}", before.left, cell.right)
        else:
            merged.append(cell)
    return tuple(merged)


def _run_end(lines: Sequence[Line], begin: int) -> int:
    """Where the rows end that begin with a line of several cells.

    A line of one cell between two rows belongs to them where it keeps to one column, or where it alone does not and
    rows of many cells go on.
    """
    end = begin + 1
    for at in range(begin + 1, len(lines)):
        above, line = lines[at - 1], lines[at]
        size = max(above.size, line.size)
        if not 0 < above.bottom - line.bottom <= _ROW_DISTANCE * size or size > _LARGER * lines[begin].size:
            break
        if len(line.cells) > 1:
            end = at + 1
        elif not _fits(line, lines[begin:end]) and not _goes_on(lines[at : at + 2], lines[begin:end]):
            break
    return end


def _goes_on(two: Sequence[Line], rows: Sequence[Line]) -> bool:
    cells = max(len(row.cells) for row in rows)
    return len(two) == 2 and cells > _FEW_CELLS and len(two[1].cells) >= _FULL_SHARE * cells


def _fits(line: Line, rows: Sequence[Line]) -> bool:
    """Whether a line of one cell keeps to one column of the rows above it."""
    last = next((row for row in reversed(rows) if len(row.cells) > 1), line)
    return any(
        left - 1 <= line.left and line.right <= right
        for left, right in zip(
            [float("-inf"), *(cell.left for cell in last.cells[1:])],
            [*(cell.left for cell in last.cells[1:]), float("inf")],
            strict=True,
        )
    )


def _columns(run: Sequence[Line]) -> list[tuple[float, float]]:
    """From where to where the columns go, by the cells that stand one above the other."""
    most = max(len(line.cells) for line in run)
    full = [line for line in run if len(line.cells) > 1 and len(line.cells) >= _FULL_SHARE * most]
    columns: list[tuple[float, float]] = []
    for left, right in sorted((cell.left, cell.right) for line in full for cell in line.cells):
        if columns and left < columns[-1][1]:
            columns[-1] = columns[-1][0], max(columns[-1][1], right)
        else:
            columns.append((left, right))
    return columns


def _is_prose(run: Sequence[Line]) -> bool:
    pairs = [line.cells for line in run if len(line.cells) == 2]
    return all(sum(len(cells[side].text) for cells in pairs) > _PROSE_CHARACTERS * len(pairs) for side in (0, 1))


def _side_by_side(run: Sequence[Line]) -> Iterator[Line]:
    """The left cells of the lines, then the right ones, each a line of its own."""
    middle = min(cell.left for line in run for cell in line.cells[1:])
    for is_left in (True, False):
        for line in run:
            for cell in line.cells:
                if (cell.left < middle) is is_left:
                    yield replace(line, text=cell.text, left=cell.left, right=cell.right, cells=(cell,))


def _header_begin(lines: Sequence[Line], first: int, begin: int, columns: Sequence[tuple[float, float]]) -> int:
    """Where the lines begin that stand close above the first row and head its columns, labels of rows between."""
    found, labels = begin, 0
    ceiling = lines[begin].top + _HEADER_HEIGHT * lines[begin].size
    for at in range(begin - 1, max(first, begin - _HEADER_PIECES) - 1, -1):
        line = lines[at]
        if line.bottom < lines[begin].bottom or line.top > ceiling:
            break
        if _heads(line, columns):
            found = at
        elif labels < _LABELS and line.right <= columns[1][0]:
            labels += 1
        else:
            break
    return found


def _heads(line: Line, columns: Sequence[tuple[float, float]]) -> bool:
    """Whether a line stands above columns other than the first."""
    short = len(line.text) <= 2 * _PROSE_CHARACTERS
    return short and line.left >= columns[0][1] and line.right <= columns[-1][1] + line.size


def _rows(above: Sequence[Line], run: Sequence[Line], columns: Sequence[tuple[float, float]]) -> Iterator[str]:
    """The table's rows: all that heads its columns as one, then a row for each line, goings-on joined to theirs."""
    split = next((number for number, line in enumerate(run) if _has_figures(line)), 0)
    heads = [line for line in above if _heads(line, columns)]
    leading = [line for line in run[:split] if len(line.cells) > 1 or _heads(line, columns)]
    if all(_heads(line, columns) for line in leading[:-1]) and all(
        _keeps_apart(line, columns) for line in leading[-1:]
    ):
        heads += leading
    grid = [_headed(heads, columns)] if heads else []
    body = [line for line in [*above, *run] if line not in heads]
    for number, line in enumerate(body):
        row = [""] * len(columns)
        for cell in line.cells:
            at = _nearest(cell, columns)
            row[at] = f"{row[at]} {cell.text}".strip()
        goes_on = len(line.cells) == 1 and not line.cells[0].is_figure and number > 0 and not row[0]
        if goes_on and _fits(line, body[:number]) and body[number - 1].bottom - line.bottom < _NEXT_LINE * line.size:
            grid[-1] = [f"{one} {more}".strip() for one, more in zip(grid[-1], row, strict=True)]
        else:
            grid.append(row)
    yield from (table_row(row).rstrip(" |") for row in grid if any(map(str.isalnum, "".join(row))))


def _keeps_apart(line: Line, columns: Sequence[tuple[float, float]]) -> bool:
    """Whether each cell stands over one column at most."""
    return all(sum(cell.left < right and left < cell.right for left, right in columns) < 2 for cell in line.cells)


def _has_figures(line: Line) -> bool:
    return len(line.cells) > 1 and any(cell.is_figure for cell in line.cells[1:])


def _headed(lines: Sequence[Line], columns: Sequence[tuple[float, float]]) -> list[str]:
    """One row of what the lines say of each column; what stands over several is said of each."""
    row = [""] * len(columns)
    for line in sorted(lines, key=lambda line: -line.bottom):
        for cell in line.cells:
            over = [at for at, (left, right) in enumerate(columns) if cell.left < right and left < cell.right]
            for at in over or [_nearest(cell, columns)]:
                row[at] = f"{row[at]} {cell.text}".strip()
    return row


def _nearest(cell: Cell, columns: Sequence[tuple[float, float]]) -> int:
    """The column that a cell stands in: the one it shares most with, else the closest."""

    def shared(at: int) -> float:
        left, right = columns[at]
        return min(cell.right, right) - max(cell.left, left)

    return max(range(len(columns)), key=shared)
