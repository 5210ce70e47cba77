"""What line-based markup has in common: a place among the lines, and paragraphs that gather until a block begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from core.documents import BlockKind
from ingest.parsing.assembly import Assembly, table_row
from ingest.parsing.charsets import decode

_TAB = 8
_SPACES_FOR_TABS_CHARACTERS = 10_000
"""A line beyond this is no line that a person lined up with tabs."""


def source_lines(data: bytes) -> list[str]:
    """The lines of `data` without their ends; tabs as the spaces that they stand for."""
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    return [
        (line.expandtabs(_TAB) if len(line) <= _SPACES_FOR_TABS_CHARACTERS else line).rstrip()
        for line in text.split("\n")
    ]


def indent_of(line: str) -> int:
    """The spaces before a line's first character."""
    return len(line) - len(line.lstrip(" "))


def dedented(lines: list[str]) -> str:
    """Lines as one text without the indentation that all of them share."""
    least = min((indent_of(line) for line in lines if line.strip()), default=0)
    return "\n".join(line[least:] for line in lines)


@dataclass
class Cursor:
    """A place among the lines of a document; every line is passed once."""

    lines: list[str]
    at: int = 0

    def __iter__(self) -> Iterator[str]:
        while self.at < len(self.lines):
            self.at += 1
            yield self.lines[self.at - 1]

    def peek(self, ahead: int = 0) -> str:
        """A line that is still to come; empty behind the last."""
        place = self.at + ahead
        return self.lines[place] if place < len(self.lines) else ""

    def until(self, ends: Callable[[str], bool]) -> list[str]:
        """The lines up to the one that ends them, which is passed as well."""
        start = self.at
        for line in self:
            if ends(line):
                return self.lines[start : self.at - 1]
        return self.lines[start:]

    def indented(self, more_than: int) -> list[str]:
        """The lines that follow with more indentation, empty ones between them included, as an indented body."""
        start = end = self.at
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line and indent_of(line) <= more_than:
                break
            self.at += 1
            end = self.at if line else end
        self.at = end
        body = self.lines[start:end]
        while body and not body[0]:
            body = body[1:]
        return body


@dataclass
class Gathering:
    """Blocks of one document: lines of running text gather until something else begins."""

    inline: Callable[[str], str]
    """Takes the marks out of running text."""
    links: Callable[[str], Iterable[tuple[str, str]]]
    """What leads where in running text, each with its marks."""
    assembly: Assembly = field(default_factory=Assembly)
    words: list[str] = field(default_factory=list)
    kind: BlockKind = BlockKind.PARAGRAPH
    marker: str = ""

    def gather(self, text: str) -> None:
        """One more line of the block that is open, or the first of a paragraph."""
        self.words.append(text.strip())

    def item(self, marker: str, text: str) -> None:
        """Begin a list item; its `marker` is shown before it, empty for a bullet."""
        self.flush()
        self.kind, self.marker = BlockKind.LIST_ITEM, marker
        self.words = [text.strip()]

    def flush(self) -> None:
        """End the block that is open."""
        text = self._shown("\n".join(self.words)) if self.words else ""
        if text.strip():
            self.assembly.add(self.kind, self.marker + " ".join(text.split()))
        self.kind, self.marker, self.words = BlockKind.PARAGRAPH, "", []

    def heading(self, text: str, level: int) -> None:
        """Add a heading after what is open."""
        self.flush()
        self.assembly.add(BlockKind.HEADING, " ".join(self._shown(text).split()), level=min(6, max(1, level)))

    def paragraph(self, text: str) -> None:
        """Add one whole paragraph."""
        self.flush()
        self.gather(text)
        self.flush()

    def code(self, text: str) -> None:
        """Add code as written."""
        self.flush()
        self.assembly.add(BlockKind.CODE, text)

    def table(self, rows: list[list[str]]) -> None:
        """Add a table, its cells with marks."""
        self.flush()
        shown = [table_row([self._shown(cell) for cell in row]) for row in rows]
        self.assembly.add(BlockKind.TABLE, "\n".join(filter(None, shown)))

    def _shown(self, text: str) -> str:
        """Running text of the next block without its marks; its links are told to the assembly."""
        for words, target in self.links(text):
            self.assembly.link(" ".join(self.inline(words).split()), target)
        return self.inline(text)
