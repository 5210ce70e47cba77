"""reStructuredText, as docutils and Sphinx write it: its text without its marks, in one pass over the lines.

A reader of our own and not docutils: that nests its parsers as deep as the document does, is slow on long ones, and
answers the directives and roles of Sphinx, which most documents use, with errors in the text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.documents import Parsed
from ingest.parsing.detection import RST
from ingest.parsing.markup_lines import Cursor, Gathering, dedented, indent_of, source_lines
from ingest.parsing.rst_tables import grid_rows, is_grid, is_simple, simple_rows

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1*$")
_EXPLICIT = re.compile(r"\s*\.\.(?:\s+|$)")
_DIRECTIVE = re.compile(r"(?:\|([^|]{1,200})\|\s+)?([\w.+-]+(?::[\w.+-]+)*)\s*::(?:\s+(.*))?$")
_NOTE_BODY = re.compile(r"\[([^\]]{1,200})\]\s+")
_NAMED_TARGET = re.compile(r"_(?:`([^`]{1,1000})`|((?:[^:\\]|\\.|:(?=\S)){1,1000})):(?:\s+(\S.*))?$")
_OPTION = re.compile(r"\s*:([\w -]{1,100}):(?:\s+(.*))?$")
_FIELD = re.compile(r"\s*:([^:\s][^:]{0,200}):(?:\s+(.*))?$")
_BULLET = re.compile(r"\s*[-*+•‣⁃]\s+(?=\S)")
_NUMBERED = re.compile(r"\s*\(?(\d{1,9}|[a-zA-Z]|[ivxlcdmIVXLCDM]{1,9}|#)[.)]\s+(?=\S)")
_LINE_BLOCK = re.compile(r"\s*\|(?:\s+(.*)|)$")
_OPTION_LIST = re.compile(
    r"\s*(?:--?|/)[\w?][^\s]*(?:[ =]\S+)?(?:, (?:--?|/)[\w?][^\s]*(?:[ =]\S+)?)*(?:\s{2,}(\S.*))?$"
)
_DOCTEST = re.compile(r"\s*>>> ")


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


_CODE = _names(
    "code code-block sourcecode parsed-literal doctest testcode testoutput prompt ipython console graphviz digraph "
    "mermaid uml productionlist math"
)
_LEFT_OUT = _names(
    "include literalinclude raw toctree contents sectnum meta role default-role index highlight currentmodule module "
    "automodule autoclass autofunction automethod autosummary autodata bibliography tabularcolumns class "
    "target-notes header footer ifconfig todolist restructuredtext-test-directive date"
)
_ADMONITIONS = _names("attention caution danger error hint important note tip warning seealso todo")
_VERSIONS = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
    "deprecated-removed": "Deprecated since version",
}
_BODY_IS_TABLE = frozenset(("csv-table", "list-table"))

_ROLE = re.compile(r":[\w.+:-]{1,100}:`([^`]{1,2000})`|`([^`]{1,2000})`:[\w.+:-]{1,100}:")
_LITERAL = re.compile(r"``(.{1,2000}?)``(?!`)", re.S)
_LINKED = re.compile(r"`([^`]{1,2000})`_{0,2}")
_WITH_TARGET = re.compile(r"\s*<([^<>]{1,2000})>$")
_LEAD = re.compile(
    r":(?P<role>[\w.+:-]{1,100}):`(?P<read>[^`]{1,2000})`"
    r"|`(?P<quoted>[^`]{1,2000})`__?(?!\w)|(?<![\w.+:-])(?P<name>\w[\w.+:-]{0,100})_(?!\w)"
)
_ROLES_OF_FILES = frozenset(("doc", "download"))
_STRONG = re.compile(r"(?<![\w\\*])(\*\*?)(?=[^\s*])([^*]{0,1000}?[^\s*\\])\1(?!\w)")
_SUBSTITUTION = re.compile(r"\|([^|\s][^|]{0,200}?)\|_{0,2}")
_NAMED_LINK = re.compile(r"(?<=[\w\]])__?(?!\w)")
_TARGET = re.compile(r"(?<!\w)_`([^`]{1,1000})`")
_ESCAPE = re.compile(r"\\(\s|.)")


def parse_rst(data: bytes) -> Parsed:
    """Sections, paragraphs, list items, tables, code; notes and captions as paragraphs, substitutions put in.

    Comments, targets, options and directives that only steer are left out; nothing is included, and no raw HTML or
    LaTeX is read. Raises `UnreadableDocument("empty")`.
    """
    lines = source_lines(data)
    reader = _Reader(Cursor(lines), _substitutions(lines), _targets(lines))
    reader.read()
    return reader.out.assembly.parsed(RST, title=reader.out.assembly.first_heading())


def _substitutions(lines: list[str]) -> dict[str, str]:
    """What `|name|` stands for: text, or the description of a picture."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        explicit = _EXPLICIT.match(line)
        directive = _DIRECTIVE.match(line, explicit.end()) if explicit else None
        if directive is None or not directive[1]:
            continue
        replaced = directive[3] or "" if directive[2] in ("replace", "unicode") else ""
        for option in map(_OPTION.match, lines[number + 1 : number + 9]):
            if option is None:
                break
            replaced = option[2] or "" if option[1] == "alt" else replaced
        found[directive[1].lower()] = replaced
    return found


def _targets(lines: list[str]) -> dict[str, str]:
    """Where the targets lead that are named apart from what links to them."""
    found: dict[str, str] = {}
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        explicit = _EXPLICIT.match(line)
        target = _NAMED_TARGET.match(line, explicit.end()) if explicit else None
        if target is not None:
            continued = below.strip() if indent_of(below) > indent_of(line) else ""
            found[_plain_name(target[1] or target[2])] = target[3] or continued
    return found


def _plain_name(name: str) -> str:
    """A name as others may write it: case and white space make no difference (docutils, "Reference Names")."""
    return " ".join(name.lower().split())


@dataclass
class _Reader:
    """One pass over the lines.

    Indentation parts paragraphs and tells where the body of a directive, a comment or a literal block ends; how deep
    a quotation or a list stands is of no matter to a reader.
    """

    cursor: Cursor
    substitutions: dict[str, str]
    targets: dict[str, str]
    levels: list[str] = field(default_factory=list)
    number: int = 0
    indent: int = 0
    out: Gathering = field(init=False)

    def __post_init__(self) -> None:
        self.out = Gathering(self._inline, self._links)

    def read(self) -> None:
        for line in self.cursor:
            if not line:
                self._end_paragraph()
            elif not (self._section(line) or self._explicit(line) or self._table(line) or self._list(line)):
                if self.out.words and indent_of(line) != self.indent:
                    self._change_indent(line)
                if not self.out.words:
                    self.number = 0
                    self.indent = indent_of(line)
                self.out.gather(line)
        self._end_paragraph()

    def _change_indent(self, line: str) -> None:
        """A line further in begins a definition or goes on with an item; one further out is something else."""
        deeper = indent_of(line) > self.indent
        if deeper and self.out.kind.value == "paragraph" and len(self.out.words) == 1:
            self.out.item("", f"{self.out.words.pop()}:")
        elif not deeper and self.out.kind.value == "paragraph":
            self._end_paragraph()
        self.indent = indent_of(line)

    def _end_paragraph(self) -> None:
        """End what is open; after two colons there follows a literal block."""
        words, indent = self.out.words, self.indent
        if not words or not words[-1].endswith("::"):
            self.out.flush()
            return
        words[-1] = words[-1][:-1] if words[-1].strip(":") and not words[-1].endswith(" ::") else words[-1][:-2]
        least = indent if self.out.kind.value == "paragraph" else indent - 1
        self.out.flush()
        while self.cursor.at < len(self.cursor.lines) and not self.cursor.peek():
            self.cursor.at += 1
        body = self.cursor.indented(max(least, 0) if indent_of(self.cursor.peek()) > least >= 0 else indent)
        self.out.code(dedented(body))

    def _section(self, line: str) -> bool:
        """Titles with a line under them, and over them where there is one; a line alone parts sections."""
        over = _ADORNMENT.match(line)
        below = self.cursor.peek()
        if over is not None and len(line) >= 2 and not self.out.words:
            title, under = below, self.cursor.peek(1)
            if title and under == line and len(line) >= len(title.strip()) and not _ADORNMENT.match(title):
                self.cursor.at += 2
                return self._title(title.strip(), line[0] * 2)
            if len(line) >= 4 and (not below or self.cursor.at == len(self.cursor.lines)):
                return True
        under_line = _ADORNMENT.match(below)
        if under_line is None or self.out.words or line.startswith((" ", "..")) or is_simple(line):
            return False
        if len(below) < min(len(line), 4) or (len(below) < len(line) and len(below) < 4):
            return False
        if over is not None and len(over[0]) > 3 and over[0][0] == below[0]:
            return False
        self.cursor.at += 1
        return self._title(line, below[0])

    def _title(self, text: str, style: str) -> bool:
        if style not in self.levels:
            self.levels.append(style)
        self.number = 0
        self.out.heading(text, self.levels.index(style) + 1)
        return True

    def _explicit(self, line: str) -> bool:
        """Markup that two dots begin: a directive, a footnote, a target, or else a comment."""
        explicit = _EXPLICIT.match(line)
        if explicit is None:
            return line.startswith("__ ")
        self.out.flush()
        indent, rest = indent_of(line), line[explicit.end() :]
        directive, note = _DIRECTIVE.match(rest), _NOTE_BODY.match(rest)
        if directive is not None:
            self._directive(directive, indent)
        elif note is not None:
            self.out.gather(f"{note[1].lstrip('#')} {rest[note.end() :]}".strip())
            self.indent = indent_of(self.cursor.peek()) or indent
        else:
            # A comment; two dots alone with nothing under them are one too (5.5 of the specification).
            if rest or self.cursor.peek():
                self.cursor.indented(indent)
        return True

    def _directive(self, directive: re.Match[str], indent: int) -> None:
        name, argument = directive[2].lower(), (directive[3] or "").strip()
        if directive[1] or name in _LEFT_OUT or name.startswith("auto"):
            self.cursor.indented(indent)
            return
        if name in _CODE or name in _BODY_IS_TABLE:
            body = self.cursor.indented(indent)
            options, body = _options(body)
            if name in _CODE:
                self.out.code("\n".join(filter(None, (argument if name == "math" else "", dedented(body)))))
                return
            self.out.paragraph(argument)
            headed = [options["header"]] if options.get("header") else []
            self.out.table(
                list(csv.reader(headed + body, skipinitialspace=True)) if name == "csv-table" else _list_rows(body)
            )
            return
        options = self._skip_options(indent)
        if name in ("image", "figure"):
            self.out.paragraph(options.get("alt", ""))
        elif name in _VERSIONS:
            version, _, text = argument.partition(" ")
            self.out.gather(f"{_VERSIONS[name]} {version}: {text}".strip())
        elif name in _ADMONITIONS:
            self.out.gather(f"{'See also' if name == 'seealso' else name.capitalize()}: {argument}".strip())
        else:
            self.out.gather(argument)
        # What stands under it is read as if it stood alone.
        self.indent = indent_of(self.cursor.peek()) if self.cursor.peek() and argument else self.indent
        if not argument or not self.cursor.peek() or name not in _ADMONITIONS | _VERSIONS.keys():
            self.out.flush()

    def _skip_options(self, indent: int) -> dict[str, str]:
        options: dict[str, str] = {}
        while indent_of(line := self.cursor.peek()) > indent and (option := _OPTION.match(line)) is not None:
            options[option[1]] = option[2] or ""
            self.cursor.at += 1
        return options

    def _table(self, line: str) -> bool:
        if self.out.words:
            return False
        if is_grid(line):
            lines = [line]
            while self.cursor.peek().lstrip().startswith(("+", "|")):
                lines.append(self.cursor.peek())
                self.cursor.at += 1
            self.out.table(grid_rows(lines))
        elif is_simple(line):
            self.out.table(simple_rows([line, *self._simple_lines(line)]))
        else:
            return False
        return True

    def _simple_lines(self, top: str) -> list[str]:
        """The rest of a simple table: up to its third border, or its second where an empty line follows."""
        start, borders = self.cursor.at, 1
        for line in self.cursor:
            if is_simple(line) and line.strip()[0] == top.strip()[0]:
                borders += 1
                if borders == 3 or not self.cursor.peek():
                    break
        return self.cursor.lines[start : self.cursor.at]

    def _list(self, line: str) -> bool:
        bullet, numbered, block = _BULLET.match(line), _NUMBERED.match(line), _LINE_BLOCK.match(line)
        begins = not self.out.words or self.out.kind.value == "list_item"
        if not begins:
            return False
        if bullet is not None:
            self.out.item("", line[bullet.end() :])
            self.indent = bullet.end()
        elif numbered is not None:
            self.number = self.number + 1 if numbered[1] == "#" else 0
            self.out.item(f"{self.number or numbered[1]}. ", line[numbered.end() :])
            self.indent = numbered.end()
        elif block is not None:
            self.out.item("", block[1] or "")
            self.indent = indent_of(line) + 2
        elif _DOCTEST.match(line) and not self.out.words:
            self.cursor.at -= 1
            self.out.code(dedented(self.cursor.until(lambda later: not later)))
        elif (option := _OPTION_LIST.match(line)) is not None and not self.out.words:
            self.out.item("", " ".join(line.split()))
            self.indent = line.index(option[1]) if option[1] else indent_of(line) + 1
        elif (field_ := _FIELD.match(line)) is not None and "`" not in field_[1]:
            self.out.item("", f"{field_[1]}: {field_[2] or ''}")
            self.indent = indent_of(line) + 1
        else:
            return False
        return True

    def _links(self, text: str) -> Iterator[tuple[str, str]]:
        for piece in _LITERAL.split(text)[::2]:
            for found in _LEAD.finditer(piece):
                if not found["role"] or found["role"] in _ROLES_OF_FILES:
                    yield found[0], self._target(found)

    def _target(self, found: re.Match[str]) -> str:
        """Where a link leads: the place within it, else the one that its name stands for."""
        words = found["read"] or found["quoted"] or found["name"]
        within = _WITH_TARGET.search(words)
        place = "".join(within[1].split()) if within else words if found["read"] else f"{words}_"
        for _ in range(2):
            # What ends so is the name of a target, which may lead to another one.
            place = self.targets.get(_plain_name(place[:-1]), "") if place.endswith("_") else place
        return place

    def _inline(self, text: str) -> str:
        """Running text without its marks; literals are set aside, since within them nothing is a mark."""
        pieces = _LITERAL.split(text)
        pieces[::2] = [self._unmarked(piece) for piece in pieces[::2]]
        return "".join(pieces)

    def _unmarked(self, text: str) -> str:
        text = _TARGET.sub(r"\1", text)
        text = _ROLE.sub(lambda role: _WITH_TARGET.sub("", role[1] or role[2]).lstrip("~!"), text)
        text = _LINKED.sub(lambda link: _WITH_TARGET.sub("", link[1]) or link[1].strip("<> "), text)
        text = _SUBSTITUTION.sub(lambda name: self.substitutions.get(name[1].lower(), name[1]), text)
        text = _STRONG.sub(r"\2", text)
        text = _NAMED_LINK.sub("", text)
        return _ESCAPE.sub(lambda escape: "" if escape[1].isspace() else escape[1], text)


def _options(body: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    for place, line in enumerate(body):
        option = _OPTION.match(line)
        if option is None:
            return options, body[place:]
        options[option[1]] = option[2] or ""
    return options, []


def _list_rows(body: list[str]) -> list[list[str]]:
    """The rows of a `list-table`: a list of lists, one item a cell."""
    rows: list[list[str]] = []
    for line in body:
        text = line.strip()
        if text.startswith("* "):
            rows.append([])
            text = text[2:].strip()
        if text.startswith("- ") or text == "-":
            if not rows:
                rows.append([])
            rows[-1].append(text[1:].strip())
        elif text and rows and rows[-1]:
            rows[-1][-1] = f"{rows[-1][-1]} {text}"
    return rows
