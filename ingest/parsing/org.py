"""Org (Emacs): its text without its marks, in one pass over the lines; nothing is included or run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.documents import Parsed
from ingest.parsing.detection import ORG
from ingest.parsing.markup_lines import Cursor, Gathering, dedented, indent_of, source_lines

_HEADING = re.compile(r"(\*+)\s+(.*)$")
_TASK = re.compile(r"(?:TODO|DONE|NEXT|WAITING|CANCELLED|CANCELED)\s+(?=\S)")
_PRIORITY = re.compile(r"\[#\w\]\s*")
_TAGS = re.compile(r"\s+:[\w@#%:]{1,200}:$")
_COUNTED = re.compile(r"\s*\[\d*(?:/\d*|%)\]")
_KEYWORD = re.compile(r"\s*#\+(\w+)(?:\[[^\]]*\])?:\s*(.*)$")
_BEGIN = re.compile(r"\s*#\+begin_(\w+)", re.I)
_END = re.compile(r"\s*#\+end_\w+", re.I)
_COMMENT = re.compile(r"\s*#(?:\s|$)")
_DRAWER = re.compile(r"\s*:(PROPERTIES|LOGBOOK):\s*$", re.I)
_DRAWER_EDGE = re.compile(r"\s*:[\w-]+:\s*$")
_FIXED = re.compile(r"\s*:(?:\s|$)")
_CLOCK = re.compile(r"\s*CLOCK:")
_TABLE_RULE = re.compile(r"\s*\|[-+]+\|?\s*$")
_RULE = re.compile(r"\s*-{5,}$")
_BULLET = re.compile(r"\s*(?:[-+]|(?<=\s)\*)\s+(?:\[[ xX-]\]\s+)?")
_NUMBERED = re.compile(r"\s*(\d+|[a-zA-Z])[.)]\s+(?:\[@\d+\]\s*)?")
_TERM = re.compile(r"(.{1,200}?)\s+::(?:\s+|$)")
_FOOTNOTE = re.compile(r"\[fn:([\w-]{1,100})\]")
_INLINE_FOOTNOTE = re.compile(r"\[fn:[\w-]{0,100}:([^\[\]]{1,1000})\]")
_LINK = re.compile(r"\[\[([^\[\]]{1,2000})\](?:\[([^\[\]]{1,2000})\])?\]")
# What a link is, if not words that Org looks for in the document itself; what follows two colons, it looks for there.
_PLACE = re.compile(r"(?:file:|(?=\.{0,2}/|https?://))(.+?)(?:::.*)?$")
_TIMESTAMP = re.compile(r"[<\[](\d{4}-\d\d-\d\d[^<>\[\]]{0,60})[>\]]")
_EMPHASIS = re.compile(r"(?<![^\s\-({'\"])([*/_+])(?=\S)([^*/+\n]{0,500}?\S)\1(?![^\s\-.,:;!?)}'\"\[])")
_VERBATIM = re.compile(r"(?<![^\s\-({'\"/])([=~])(?=\S)([^\n=~]{0,500}?[^\s=~])\1(?![^\s\-.,:;!?)}'\"\[/])")
_LINE_BREAK = re.compile(r"\\\\$", re.M)


def parse_org(data: bytes) -> Parsed:
    """Headings, paragraphs, list items, tables and code; captions as paragraphs.

    Comments, settings, properties and subtrees under a `COMMENT` are left out; task words, priorities and tags are
    no part of a heading. Raises `UnreadableDocument("empty")`.
    """
    reader = _Reader(Cursor(source_lines(data)))
    reader.read()
    return reader.out.assembly.parsed(ORG, title=reader.title or reader.out.assembly.first_heading())


@dataclass
class _Reader:
    """One pass over the lines."""

    cursor: Cursor
    title: str = ""
    hidden: int = 0
    """The level of the heading whose subtree is a comment; 0 outside of one."""
    out: Gathering = field(init=False)

    def __post_init__(self) -> None:
        self.out = Gathering(inline_text, _links)

    def read(self) -> None:
        for line in self.cursor:
            heading = _HEADING.match(line)
            if heading is not None:
                self._heading(len(heading[1]), heading[2])
            elif self.hidden:
                continue
            elif not line:
                self.out.flush()
            elif not self._marked(line) and not self._list(line):
                self.out.gather(line)
        self.out.flush()

    def _heading(self, level: int, text: str) -> None:
        self.out.flush()
        if self.hidden and level > self.hidden:
            return
        text = _PRIORITY.sub("", _TASK.sub("", text, count=1), count=1)
        self.hidden = level if text.startswith("COMMENT") else 0
        if not self.hidden:
            self.out.heading(_COUNTED.sub("", _TAGS.sub("", text)), level)

    def _marked(self, line: str) -> bool:
        """Handle a line that is no running text; False for all others."""
        begin, keyword = _BEGIN.match(line), _KEYWORD.match(line)
        if begin is not None:
            self._block(begin[1].lower())
        elif _END.match(line) or _RULE.match(line):
            self.out.flush()
        elif keyword is not None:
            self._keyword(keyword[1].lower(), keyword[2])
        elif _DRAWER.match(line):
            self.cursor.until(lambda later: later.strip().upper() == ":END:")
        elif line.lstrip().startswith("|"):
            self._table(line)
        elif _FIXED.match(line):
            lines = [line]
            while _FIXED.match(self.cursor.peek()):
                lines.append(self.cursor.peek())
                self.cursor.at += 1
            self.out.code(dedented([one.partition(":")[2] for one in lines]))
        else:
            return bool(_COMMENT.match(line) or _CLOCK.match(line) or _DRAWER_EDGE.match(line))
        return True

    def _keyword(self, name: str, value: str) -> None:
        if name == "title":
            self.out.heading(value, 1)
            self.title = self.title or inline_text(value)
        elif name in ("subtitle", "author", "date", "caption"):
            self.out.paragraph(value)

    def _block(self, kind: str) -> None:
        """A `begin` to its `end`; the marks around a quotation only are passed."""
        self.out.flush()
        if kind in ("src", "example", "export", "comment"):
            lines = self.cursor.until(lambda later: _END.match(later) is not None)
            if kind in ("src", "example"):
                # A comma keeps Org from taking code for its own marks.
                self.out.code(dedented([re.sub(r"^(\s*),(?=\*|#\+)", r"\1", line) for line in lines]))

    def _table(self, line: str) -> None:
        lines = [line]
        while self.cursor.peek().lstrip().startswith("|"):
            lines.append(self.cursor.peek())
            self.cursor.at += 1
        rows = [one.strip().strip("|").split("|") for one in lines if not _TABLE_RULE.match(one)]
        self.out.table([[cell.strip() for cell in row] for row in rows])

    def _list(self, line: str) -> bool:
        bullet, numbered = _BULLET.match(line), _NUMBERED.match(line)
        if bullet is not None:
            text = line[bullet.end() :]
            term = _TERM.match(text)
            self.out.item("", f"{term[1]}: {text[term.end() :]}" if term else text)
        elif numbered is not None and (len(numbered[1]) == 1 or numbered[1].isdigit()):
            self.out.item(f"{numbered[1]}. ", line[numbered.end() :])
        elif indent_of(line) == 0 and (note := _FOOTNOTE.match(line)) is not None:
            self.out.paragraph(f"{note[1]} {line[note.end() :].strip()}")
        else:
            return False
        return True


def _links(text: str) -> Iterator[tuple[str, str]]:
    for link in _LINK.finditer(text):
        place = _PLACE.match(link[1])
        if place is not None:
            yield link[0], place[1]


def inline_text(text: str) -> str:
    """Running text without its marks; a link is what it is called, else where it leads."""
    text = _LINK.sub(lambda link: link[2] or link[1].removeprefix("file:"), text)
    text = _FOOTNOTE.sub("", _INLINE_FOOTNOTE.sub(r" (\1)", text))
    text = _LINE_BREAK.sub("", _TIMESTAMP.sub(r"\1", text))
    return _VERBATIM.sub(r"\2", _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", text)))
