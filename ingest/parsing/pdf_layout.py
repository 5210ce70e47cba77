"""Lines of a PDF page to paragraphs, list items and rows, and the type sizes that mean headings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.documents import BlockKind
from ingest.parsing.pdf_columns import SetTable, parted
from ingest.parsing.pdf_lines import LEADER, Line
from ingest.parsing.reading_order import ReadLine, in_order

Style = tuple[float, bool]
"""Type size in points, and whether it is bold."""

_BOLD = 1.3  # weight over the body's: PDFium guesses weights from stems, so none is bold by itself
_HEADING_SIZE = 1.15  # a heading's type over the body's: 12 on 10 points is the smallest step printers use
_HEADING_CHARACTERS = 160
_HEADING_LEVELS = 4
# White space between lines beyond this share of the type size parts paragraphs; leading takes up to a half.
_PARAGRAPH_GAP = 0.75
_SHORT_LINE = 0.85
# A line is out of order that stands this far above the one before, in lines.
_ABOVE = 1.0
_BULLET = re.compile(r"[•◦▪‣●○■□–*·]\s+|\(?([0-9]{1,3}|[a-zA-Z]|[ivx]{1,4})[.)]\s+")
_SENTENCE_END = re.compile(r"[.!?:;。！？]['\")\]]*$")
_WORD_DIVISION = re.compile(r"\w[-\u2010]$")


@dataclass(frozen=True)
class Paragraph:
    """Lines that belong together, joined."""

    kind: BlockKind
    text: str
    style: Style

    @property
    def may_be_heading(self) -> bool:
        """Whether the words could be a heading: few, some letters, and no sentence."""
        if self.kind is not BlockKind.PARAGRAPH or len(self.text) > _HEADING_CHARACTERS or "\n" in self.text:
            return False
        letters = sum(map(str.isalpha, self.text))
        return letters >= 3 and not self.text.endswith((".", ",", ";")) and LEADER not in self.text


@dataclass(frozen=True)
class Body:
    """The type that most of a document is set in: size in points and weight."""

    size: float
    weight: int

    def style(self, line: Line) -> Style:
        return line.size, line.weight > _BOLD * self.weight


def body_type(lines: Iterable[Line]) -> Body:
    """The size and the weight that most characters have; zeros without lines."""
    types: Counter[tuple[float, int]] = Counter()
    for line in lines:
        types[line.size, line.weight] += len(line.text)
    return Body(*types.most_common(1)[0][0]) if types else Body(0.0, 0)


def heading_levels(items: Iterable[Paragraph], body: Body) -> dict[Style, int]:
    """The level of each style that stands out from the body: by size, the largest first, then bold at body size."""
    sizes = {item.style[0] for item in items if item.may_be_heading and item.style[0] >= _HEADING_SIZE * body.size}
    ranked = sorted(sizes, reverse=True)
    levels = {(size, bold): min(rank, _HEADING_LEVELS) for rank, size in enumerate(ranked, 1) for bold in (False, True)}
    bold_level = min(len(ranked) + 1, _HEADING_LEVELS + 1)
    for size in (body.size - 0.5, body.size, body.size + 0.5):
        levels.setdefault((size, True), bold_level)
    return levels


def paragraphs(lines: Sequence[Line], body: Body) -> Iterator[Paragraph]:
    """Group consecutive lines; rows of figures become one table block with a row on each line."""
    group: list[Line] = []
    width = max((line.right for line in lines), default=0.0)
    for line in parted(lines):
        if group and (isinstance(line, SetTable) or _parts(group[-1], line, width, body)):
            yield _paragraph(group, body)
            group = []
        if isinstance(line, SetTable):
            yield Paragraph(BlockKind.TABLE, line.text, (0.0, False))
        else:
            group.append(line)
    if group:
        yield _paragraph(group, body)


def in_reading_order(lines: list[Line]) -> list[Line]:
    """The lines in the file's order, or in the order of the page where the file begins anew above what it has shown.

    To begin anew higher up beside it, as a second column does, is in order.
    """
    if not any(_begins_above(before, line) for before, line in pairwise(lines)):
        return lines
    placed = [ReadLine(line.text, line.left, -line.top, line.right, -line.bottom) for line in lines]
    places = {id(one): line for one, line in zip(placed, lines, strict=True)}
    return [places[id(one)] for one in in_order(placed)]


def _begins_above(before: Line, line: Line) -> bool:
    beside = line.left >= before.right or before.left >= line.right
    return not beside and line.bottom > before.top + _ABOVE * line.size


def _parts(above: Line, below: Line, right_edge: float, body: Body) -> bool:
    """Whether a paragraph ends between two consecutive lines."""
    if above.is_row or below.is_row:
        return not (above.is_row and below.is_row)
    if abs(above.size - below.size) > 0.1 * above.size or body.style(above)[1] != body.style(below)[1]:
        return True
    if _BULLET.match(below.text):
        return True
    if below.top > above.top + above.size:
        # A column or a text frame begins anew higher up: the paragraph goes on if its sentence does.
        return bool(_SENTENCE_END.search(above.text)) or not below.text[:1].islower()
    if above.bottom - below.top > _PARAGRAPH_GAP * above.size:
        return True
    return above.right < _SHORT_LINE * right_edge and bool(_SENTENCE_END.search(above.text))


def _paragraph(lines: Sequence[Line], body: Body) -> Paragraph:
    first = lines[0]
    style = body.style(first)
    if first.is_row:
        return Paragraph(BlockKind.TABLE, "\n".join(line.text for line in lines), style)
    kind = BlockKind.LIST_ITEM if _BULLET.match(first.text) else BlockKind.PARAGRAPH
    return Paragraph(kind, _joined(lines), style)


def _joined(lines: Sequence[Line]) -> str:
    """The lines as running text, words that a line end divided made whole."""
    text, divided = "", False
    for line in lines:
        if not text:
            text = line.text
        elif divided and line.text[:1].islower():
            text = text.removesuffix("-").removesuffix("\u2010") + line.text
        else:
            text = f"{text} {line.text}"
        divided = line.divided or bool(_WORD_DIVISION.search(line.text))
    return text
