"""AsciiDoc: its text without its marks, in one pass over the lines; nothing is included, run or fetched."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser

from core.documents import Parsed
from ingest.parsing.detection import ASCIIDOC
from ingest.parsing.html import add_html
from ingest.parsing.markup_lines import Cursor, Gathering, source_lines

_ATTRIBUTE = re.compile(r":(!?[\w-]+!?):(?:\s+(.*))?$")
_SECTION = re.compile(r"(={1,6}|#{1,6})\s+(\S.*?)(?:\s+\1)?$")
_UNDERLINE = re.compile(r"(={4,}|-{4,}|~{4,}|\^{4,}|\+{4,})$")
_UNDERLINE_LEVELS = {"=": 1, "-": 2, "~": 3, "^": 4, "+": 5}
_BLOCK_ATTRIBUTES = re.compile(r"\[(?:\[[^\]]*\]|[^\]\[]*(?:\"[^\"]*\")?[^\]\[]*)\]$")
_BLOCK_TITLE = re.compile(r"\.([^\s.].*)$")
_VERBATIM = re.compile(r"(-{4,}|\.{4,}|```+).*$")
_CONTAINER = re.compile(r"(?:={4,}|\*{4,}|_{4,}|--|\"\")$")
_PASSED = re.compile(r"\+{4,}$")
_COMMENT = re.compile(r"/{4,}$")
_TABLE = re.compile(r"([|,:!])={3,}$")
_BARE_ROW = re.compile(r"\|[^=|][^|]*\|")
_MARKDOWN_RULE = re.compile(r"[|:\s-]+$")
_LINE_MACRO = re.compile(r"(include|ifdef|ifndef|ifeval|endif|toc|video|audio|image)::([^\[\s]*)\[(.*)\]$")
_RULE = re.compile(r"(?:'{3,}|-{3}|\*{3}|<{3,}|\+)$")
_BULLET = re.compile(r"\s*(?:\*{1,5}|-)\s+(?:\[[ xX*]\]\s+)?(?=\S)")
_NUMBERED = re.compile(r"\s*(?:(\.{1,5})|(\d+|[a-zA-Z])\.)\s+(?=\S)")
_CALLOUT = re.compile(r"<(\d+|\.)>\s+")
_TERM = re.compile(r"\s*(\S.*?)(?::{2,4}|;;)(?:\s+(.*))?$")
_REVISION = re.compile(r"v?\d+[\w.]*\s*,|v\d+(?:\.\d+)*$")
_TERM_CHARACTERS = 200

# A cell begins at a bar, right before which its span, alignment and style may stand.
_CELL = re.compile(r"(?:(?<!\S)(?:(\d+)?(?:\.(\d+))?([+*]))?[<^>]?(?:\.[<^>])?(?:[aehlmsvd])?)?(?<!\\)\|")
_COLUMNS = re.compile(r"cols\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^,\]]+))")
_MOST_REPEATS = 100

_MACROS = re.compile(
    r"(?:link|mailto|xref|image|icon|kbd|btn|footnote|stem|pass|menu):([^\s\[\]]{0,500})\[([^\]]{0,1000})\]"
)
_URL = re.compile(r"((?:https?|ftp|irc)://[^\s\[\]<>:]{1,300}(?::[^\s\[\]<>:]{1,200})?)\[([^\]]{0,1000})\]")
_REFERENCE = re.compile(r"<<([^<>,]{1,200})(?:,([^<>]{1,200}))?>>")
_LINKED = re.compile("|".join(one.pattern for one in (_MACROS, _URL, _REFERENCE)))
# A reference to another document, not to a place in this one.
_PAGE = re.compile(r"[^#]+(?:#.*|\.(?:adoc|asciidoc|asc|html?))$")
_ANCHOR = re.compile(r"\[\[[^\[\]]{1,200}\]\]|\(\(\(?[^()]{1,200}\)\)\)?|\[#[\w-]{1,200}\](?=#)")
_NAMED = re.compile(r"\{([\w-]{1,100})\}")
_LINE_BREAK = re.compile(r"\s\+$", re.M)
_ROLE = re.compile(r"\[[\w.# -]{1,100}\](?=[#*_`])")
_UNCONSTRAINED = re.compile(r"(\*\*|__|``|##|\+\+)(?=\S)(.{1,1000}?)(?<=\S)\1")
_CONSTRAINED = re.compile(r"(?<![\w\\])([*_`#+])(?=\S)((?:(?!\1)[^\n]){0,500}?[^\s])\1(?!\w)")
_SUB_AND_SUPER = re.compile(r"([\^~])(\S{1,100}?)\1")


def parse_asciidoc(data: bytes) -> Parsed:
    """Sections, paragraphs, list items, tables, code; block titles as paragraphs, attributes put in where set.

    Comments, conditions, attributes and anchors are left out; an `include` is never followed. Raises
    `UnreadableDocument("empty")`.
    """
    reader = _Reader(Cursor(source_lines(data)))
    reader.read()
    return reader.out.assembly.parsed(ASCIIDOC, title=reader.title or reader.out.assembly.first_heading())


@dataclass
class _Reader:
    """One pass over the lines; delimited blocks that hold text are read as if their delimiters were not there."""

    cursor: Cursor
    title: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    columns: int = 0
    """What the attributes above a table say; 0 where they say nothing."""
    numbers: dict[int, int] = field(default_factory=dict)
    out: Gathering = field(init=False)

    def __post_init__(self) -> None:
        self.out = Gathering(self._inline, self._links)

    def read(self) -> None:
        self._header()
        for line in self.cursor:
            if not line:
                self.out.flush()
            elif not self._structure(line) and not self._list(line):
                if self.out.words and _setext(self.out.words, line):
                    text = self.out.words.pop()
                    self.out.heading(text, _UNDERLINE_LEVELS[line[0]])
                    continue
                if not self.out.words:
                    self.numbers.clear()
                self.out.gather(line)
        self.out.flush()

    def _header(self) -> None:
        """The document's title, and under it the authors and the revision, which are read as one paragraph."""
        while self.cursor.at < len(self.cursor.lines):
            line = self.cursor.peek()
            is_comment = line.startswith("//") and not _COMMENT.match(line)
            if line and not is_comment and not _ATTRIBUTE.match(line):
                break
            self._attribute(line)
            self.cursor.at += 1
        section = _SECTION.match(self.cursor.peek())
        if section is None or len(section[1]) > 1:
            return
        self.cursor.at += 1
        self.out.heading(section[2], 1)
        self.title = self._inline(section[2])
        while line := self.cursor.peek():
            is_author = "@" in line or _REVISION.match(line) or self._attribute(line) or line.startswith("//")
            if not is_author:
                return
            if not line.startswith(("//", ":")):
                self.out.gather(line)
            self.cursor.at += 1

    def _attribute(self, line: str) -> bool:
        found = _ATTRIBUTE.match(line)
        if found:
            self.attributes[found[1].strip("!").lower()] = (found[2] or "").strip()[:_TERM_CHARACTERS]
        return found is not None

    def _structure(self, line: str) -> bool:
        """Handle a line that is no running text; False for all others."""
        if line.startswith("//"):
            if _COMMENT.match(line):
                self.cursor.until(lambda later: later == line)
            return True
        if (section := _SECTION.match(line)) is not None:
            self.out.heading(section[2], len(section[1]))
        elif (table := _TABLE.match(line)) is not None:
            self._table(table[1], self.cursor.until(lambda later: later == line))
        elif (verbatim := _VERBATIM.match(line)) is not None and not _setext(self.out.words, line):
            fence = verbatim[1]
            self.out.code("\n".join(self.cursor.until(lambda later: later == fence)))
        elif _PASSED.match(line) and not _setext(self.out.words, line):
            self.out.flush()
            add_html(self.out.assembly, LexborHTMLParser("\n".join(self.cursor.until(lambda later: later == line))))
        elif _CONTAINER.match(line) and not _setext(self.out.words, line):
            self.out.flush()
        elif (macro := _LINE_MACRO.match(line)) is not None:
            self.out.flush()
            if macro[1] == "image":
                self.out.paragraph(_first_of(macro[3]))
        elif _BLOCK_ATTRIBUTES.match(line):
            self._attributes_of_block(line)
        elif not self.out.words and (title := _BLOCK_TITLE.match(line)) is not None:
            self.out.paragraph(title[1])
        elif not self.out.words and _BARE_ROW.match(line) and _BARE_ROW.match(self.cursor.peek()):
            self._bare_table(line)
        else:
            return _RULE.match(line) is not None or (not self.out.words and self._attribute(line))
        return True

    def _attributes_of_block(self, line: str) -> None:
        self.out.flush()
        columns = _COLUMNS.search(line)
        if columns:
            self.columns = _column_count(columns[1] or columns[2] or columns[3])

    def _list(self, line: str) -> bool:
        bullet, numbered, callout = _BULLET.match(line), _NUMBERED.match(line), _CALLOUT.match(line)
        if bullet is not None:
            self.out.item("", line[bullet.end() :])
        elif numbered is not None:
            depth, given = len(numbered[1] or ""), numbered[2]
            self.out.item(f"{given or self._number(depth)}. ", line[numbered.end() :])
        elif callout is not None:
            self.out.item(f"<{callout[1]}> ", line[callout.end() :])
        elif "::" in line[:_TERM_CHARACTERS] or ";;" in line[:_TERM_CHARACTERS]:
            term = _TERM.match(line[: 10 * _TERM_CHARACTERS])
            if term is None or "://" in term[1]:
                return False
            self.out.item("", f"{term[1]}: {term[2] or ''}")
            while not self.cursor.peek() and self.cursor.peek(1).startswith(" "):
                self.cursor.at += 1
        else:
            return False
        return True

    def _number(self, depth: int) -> int:
        self.numbers = {level: number for level, number in self.numbers.items() if level <= depth}
        self.numbers[depth] = self.numbers.get(depth, 0) + 1
        return self.numbers[depth]

    def _table(self, kind: str, lines: list[str]) -> None:
        columns, self.columns = self.columns, 0
        if kind in ",:":
            self.out.table(list(csv.reader(lines, delimiter=kind)))
            return
        if kind == "!":
            lines = [line.replace("!", "|") for line in lines]
        self.out.table(_rows([list(_cells(line)) for line in lines], columns))

    def _bare_table(self, first: str) -> None:
        """Rows that nothing delimits, as Markdown has them: AsciiDoc would print their bars."""
        lines = [first]
        while _BARE_ROW.match(self.cursor.peek()):
            lines.append(self.cursor.peek())
            self.cursor.at += 1
        self.out.table([line.strip("| ").split("|") for line in lines if not _MARKDOWN_RULE.match(line)])

    def _links(self, text: str) -> Iterator[tuple[str, str]]:
        for found in _LINKED.finditer(self._with_attributes(text)):
            place, _, url, _, reference, _ = found.groups()
            if found[0].startswith("link:") or url:
                yield found[0], place or url
            elif (found[0].startswith("xref:") or reference) and _PAGE.match(place or reference):
                yield found[0], place or reference

    def _with_attributes(self, text: str) -> str:
        return _NAMED.sub(lambda name: self.attributes.get(name[1].lower(), name[0]), text)

    def _inline(self, text: str) -> str:
        text = _LINE_BREAK.sub("", self._with_attributes(text))
        text = _MACROS.sub(lambda macro: _first_of(macro[2]) or macro[1], text)
        text = _URL.sub(lambda link: _first_of(link[2]) or link[1], text)
        text = _REFERENCE.sub(lambda reference: reference[2] or reference[1], text)
        text = _ROLE.sub("", _ANCHOR.sub(_of_anchor, text))
        text = _UNCONSTRAINED.sub(r"\2", text)
        text = _CONSTRAINED.sub(r"\2", _CONSTRAINED.sub(r"\2", text))
        return _SUB_AND_SUPER.sub(r"\2", text)


def _of_anchor(found: re.Match[str]) -> str:
    """An index term in two brackets is shown, in three it is not, and neither is an anchor."""
    text = found[0]
    return text[2:-2] if text.startswith("((") and not text.startswith("(((") else ""


def _setext(words: list[str], line: str) -> bool:
    """Whether `line` underlines the one line above it, as titles of old were written."""
    return len(words) == 1 and _UNDERLINE.match(line) is not None and abs(len(words[0]) - len(line)) <= 1


def _first_of(attributes: str) -> str:
    """The text of a macro: its first attribute, if that has no name."""
    first = attributes.partition(",")[0].strip().strip('"')
    return attributes.rstrip("^").strip() if "=" not in attributes else ("" if "=" in first else first)


def _column_count(given: str) -> int:
    """How many columns `1,2*,3` or `3*` means."""
    total = 0
    for part in re.split(r"[,;]", given):
        times = re.match(r"\s*(\d{1,3})\*", part)
        total += min(int(times[1]), _MOST_REPEATS) if times else 1
    return total


def _cells(line: str) -> Iterator[tuple[str, int]]:
    """Each cell that begins on a line, and how many columns it takes; text before the first has 0."""
    starts = list(_CELL.finditer(line))
    before = line[: starts[0].start()] if starts else line
    if before.strip():
        yield before.strip(), 0
    if not starts:
        return
    ends = [start.start() for start in starts[1:]] + [len(line)]
    for start, end in zip(starts, ends, strict=True):
        text = line[start.end() : end].strip().replace("\\|", "|")
        times = min(int(start[1] or 1), _MOST_REPEATS)
        if start[3] == "*":
            yield from [(text, 1)] * times
        else:
            yield text, times


def _rows(lines: list[list[tuple[str, int]]], columns: int) -> list[list[str]]:
    """Cells in rows: a line each where every line is a whole row, else as many as there are columns."""
    filled = [cells for cells in lines if cells]
    if not filled:
        return []
    columns = columns or max(1, sum(width for _, width in filled[0]))
    if all(sum(width for _, width in cells) >= columns for cells in filled):
        return [[cell for text, width in cells for cell in [text] + [""] * (width - 1)] for cells in filled]
    rows: list[list[str]] = [[]]
    for text, width in (cell for cells in filled for cell in cells):
        if width == 0 and rows[-1]:
            rows[-1][-1] = f"{rows[-1][-1]} {text}".strip()
            continue
        if len(rows[-1]) >= columns:
            rows.append([])
        rows[-1] += [text] + [""] * (width - 1)
    return rows
