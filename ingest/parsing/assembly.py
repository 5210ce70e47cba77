"""Blocks gathered in reading order into one clean text with offsets: how every parser ends."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.documents import Block, BlockKind, Link, Parsed, clean_text
from core.errors import UnreadableDocument
from core.places import LONGEST

# A title stands above every chunk in the embedder's window, so it must leave room for the chunk.
TITLE_CHARACTERS = 120

# What shows nothing and breaks words for a search: soft hyphens, and controls that broken fonts and old files leave.
_SHOWS_NOTHING = dict.fromkeys([*range(1, 9), *range(14, 32), 0x7F, 0xAD]) | {0x0B: "\n", 0x0C: "\n"}
_LISTED_CHARACTERS = 200
_LINKS = 5_000
"""So many links of one document are kept: a page of more of them is a list, and says little of each."""
# A block that does not show so many is none that they stand in; to look for thousands in a long one takes seconds.
_MISSING = 50
_LEADS_NOWHERE = re.compile(r"\s*(?:#|(?!https?:)[a-z][a-z0-9+.-]*:)", re.I)
_META_TITLE_NOISE = re.compile(
    r"^(microsoft |untitled|document\d*$|presentation\d*$|no title)|\.(docx?|pdf|indd|odt|p65)$"
)


@dataclass
class Assembly:
    """Collects blocks and knows where each stands in the text; list items and table rows take one line each."""

    parts: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    length: int = 0
    links: list[Link] = field(default_factory=list)
    _expected: list[tuple[str, str]] = field(default_factory=list)

    def link(self, text: str, target: str) -> None:
        """Say that `text`, which the next block will show, leads to `target`; forgotten where that does not show it."""
        text, target = clean_text(text.translate(_SHOWS_NOTHING)).strip(), clean_text(target).strip()
        leads = target and len(target) <= LONGEST and not _LEADS_NOWHERE.match(target)
        if text and leads and len(self.links) + len(self._expected) < _LINKS:
            self._expected.append((text, target))

    def add(self, kind: BlockKind, text: str, *, level: int | None = None, page: int | None = None) -> None:
        """Append one block of `text`, cleaned; a block without a visible character is left out."""
        text = clean_text(text.translate(_SHOWS_NOTHING))
        text = text.strip("\n").rstrip() if kind is BlockKind.CODE else text.strip()
        expected, self._expected = self._expected, []
        if not any(character.isprintable() and not character.isspace() for character in text):
            return
        separator = self._separator(kind)
        start = self.length + len(separator)
        self.parts += (separator, text)
        self.length = start + len(text)
        self.blocks.append(Block(kind, start, self.length, level, page))
        self._show(text, start, expected)

    def _show(self, text: str, start: int, expected: Iterable[tuple[str, str]]) -> None:
        """Keep the links that a block shows, each behind the one before it."""
        at = missing = 0
        for shown, target in expected:
            found = text.find(shown, at)
            if found >= 0:
                at = found + len(shown)
                self.links.append(Link(start + found, start + at, target))
            else:
                missing += 1
            if missing == _MISSING:
                return

    def _separator(self, kind: BlockKind) -> str:
        if not self.blocks:
            return ""
        same_list = kind is BlockKind.LIST_ITEM and self.blocks[-1].kind is BlockKind.LIST_ITEM
        return "\n" if same_list else "\n\n"

    def first_heading(self) -> str:
        """The first heading of the highest level, or nothing."""
        headings = [block for block in self.blocks if block.kind is BlockKind.HEADING]
        if not headings:
            return ""
        first = min(headings, key=lambda block: (block.level or 6, block.start))
        return "".join(self.parts)[first.start : first.end]

    def parsed(self, media_type: str, title: str = "", metadata: dict[str, str] | None = None) -> Parsed:
        """The finished document; raises `UnreadableDocument("empty")` if no block was added."""
        if not self.blocks:
            raise UnreadableDocument("empty", "The document holds no text; there is nothing to index.")
        return Parsed(
            "".join(self.parts),
            tuple(self.blocks),
            short_title(title),
            media_type,
            metadata or {},
            links=tuple(self.links),
        )


def short_title(title: str) -> str:
    """One clean line of at most `TITLE_CHARACTERS`, cut between words where it has any."""
    line = " ".join(clean_text(title.translate(_SHOWS_NOTHING)).split())
    if len(line) <= TITLE_CHARACTERS:
        return line
    head = line[: TITLE_CHARACTERS - 1]
    return (head.rsplit(" ", 1)[0] if " " in head else head) + "…"


def sensible_title(title: str) -> str:
    """A title from a file's properties, or nothing where an office program filled it in unasked."""
    title = title.strip()
    has_words = any(character.isalpha() for character in title)
    return title if has_words and not _META_TITLE_NOISE.search(title.lower()) else ""


def table_row(cells: list[str]) -> str:
    """One row of a table on one line, cells apart by ` | `; an empty row is an empty string."""
    line = " | ".join(" ".join(cell.split()) for cell in cells)
    return line if line.strip(" |") else ""


def is_listing(cells: Iterable[str]) -> bool:
    """Whether a table's only column lists short things under each other; one that does not frames running text."""
    shown = [cell for cell in cells if cell.strip()]
    return len(shown) > 1 and max(map(len, shown)) <= _LISTED_CHARACTERS
