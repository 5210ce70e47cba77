"""Recognized lines of a picture to paragraphs in the order a person reads them, columns one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ReadLine:
    """One line of text and its upright box in pixels from the picture's upper left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top


# White space that parts two columns, and two paragraphs, as shares of the lines' usual height.
_COLUMN_GAP = 1.0
_PARAGRAPH_GAP = 0.7
# Pieces whose middles are closer than this share of their height stand on one line.
_SAME_LINE = 0.5
_CUTS_DEEP = 20


def paragraphs(lines: Sequence[ReadLine]) -> list[str]:
    """Each paragraph's lines, apart by line ends.

    The picture is cut along its white space, across and down by turns, until nothing parts what is left (the
    recursive XY cut of Nagy and Seth, 1984); pieces of one printed line are joined by a space.
    """
    if not lines:
        return []
    usual = sorted(line.height for line in lines)[len(lines) // 2]
    return [_text(block) for block in _cut(list(lines), usual, _CUTS_DEEP)]


def in_order(lines: Sequence[ReadLine]) -> list[ReadLine]:
    """The lines as `paragraphs` orders them, each by itself."""
    if not lines:
        return []
    usual = sorted(line.height for line in lines)[len(lines) // 2]
    return [line for block in _cut(list(lines), usual, _CUTS_DEEP) for row in _rows(block) for line in row]


def _cut(lines: list[ReadLine], usual: float, depth: int) -> Iterator[list[ReadLine]]:
    if depth == 0 or len(lines) == 1:
        yield lines
        return
    across = _parts(lines, lambda line: (line.top, line.bottom), _PARAGRAPH_GAP * usual)
    down = _parts(lines, lambda line: (line.left, line.right), _COLUMN_GAP * usual)
    # Columns go first where each holds several lines; the cells of one row are read along it.
    parts = down if len(down) > 1 and _are_columns(down) else across
    if len(parts) == 1:
        yield lines
        return
    for part in parts:
        yield from _cut(part, usual, depth - 1)


def _are_columns(parts: list[list[ReadLine]]) -> bool:
    return min(map(len, parts)) > 1


def _parts(
    lines: list[ReadLine], extent: Callable[[ReadLine], tuple[float, float]], gap: float
) -> list[list[ReadLine]]:
    """The lines in groups parted by more than `gap` of empty space along one axis, in its order."""
    ordered = sorted(lines, key=extent)
    parts, end = [[ordered[0]]], extent(ordered[0])[1]
    for line in ordered[1:]:
        start, stop = extent(line)
        if start - end > gap:
            parts.append([])
        parts[-1].append(line)
        end = max(end, stop)
    return parts


def _text(lines: list[ReadLine]) -> str:
    return "\n".join(" ".join(line.text for line in row) for row in _rows(lines))


def _rows(lines: list[ReadLine]) -> list[list[ReadLine]]:
    """The printed lines from the top, each from the left."""
    rows: list[list[ReadLine]] = []
    for line in sorted(lines, key=lambda line: line.top + line.bottom):
        above = rows[-1][-1] if rows else None
        middle = (line.top + line.bottom) / 2
        if above is not None and middle - (above.top + above.bottom) / 2 < _SAME_LINE * min(above.height, line.height):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.left) for row in rows]
