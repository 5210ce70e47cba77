"""LaTeX: the text that would be printed, by its structure, in one pass; nothing is typeset or included."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly, table_row
from ingest.parsing.charsets import decode
from ingest.parsing.detection import TEX
from ingest.parsing.latex_names import (
    ACCENTS,
    LISTS,
    MATH,
    SECOND_SHOWN,
    SECTIONS,
    SKIPPED_COUNT,
    SYMBOLS,
    TABLES,
    UNSEEN,
    VERBATIM,
    accented,
)

_TOKEN = re.compile(
    r"(?P<comment>%[^\n]*(?:\n[ \t]*(?!\n))?)"
    r"|\\(?P<name>[a-zA-Z@]+\*?)[ \t]*"
    r"|\\(?P<sign>.|\n)"
    r"|(?P<empty>\n[ \t]*(?:\n[ \t]*)+)"
    r"|(?P<open>\{)|(?P<close>\})|(?P<math>\$\$?)|(?P<cell>&)|(?P<tie>~)"
    r"|(?P<text>[^%\\{}$&~\n]+|\n)",
    re.S,
)
_OPTION = re.compile(r"[ \t]*\n?[ \t]*\[([^\[\]{}]{0,500}(?:\{[^{}]{0,200}\}[^\[\]{}]{0,500})*)\]")
_GROUP = re.compile(r"\s*\{([^{}]{0,500})\}")
_NEXT_GROUP = re.compile(r"[ \t]*\n?[ \t]*\{")
_LETTER = re.compile(r"\s*(?:\{\s*\\?([a-zA-Z]?)\s*\}|\\([ij])(?![a-zA-Z])|([a-zA-Z]))")
_MACRO = re.compile(r"\s*\{?\\([a-zA-Z]{1,100})\}?\s*\{((?:[^{}]|\\[{}]){0,200})\}")
_PLAIN_MACRO = re.compile(r"[^\\{}#$&%]*")
_VERB = re.compile(r"(\S)(.{0,2000}?)\1")
_ESCAPED = re.compile(r"\\([%#&_~$])")
# What is longer is no name that a link has; links within links would be looked through again and again.
_LINK_PIECES = 100
_DOCUMENT = re.compile(r"\\begin\s*\{document\}")
_TYPOGRAPHY = (("---", "—"), ("--", "–"), ("``", "“"), ("''", "”"), ("`", "‘"))
_INLINE_TABLE_RULES = re.compile(r"\\(?:hline|toprule|midrule|bottomrule|endhead|endfoot|endfirsthead|endlastfoot)\b")


def parse_latex(data: bytes) -> Parsed:
    r"""Sections, paragraphs, list items, tables, code; captions and footnotes as text, mathematics as written.

    Comments, settings, labels and citations are left out; `\input` is never followed. A command of the document's own
    is put in where it stands for plain words. Raises `UnreadableDocument("empty")`.
    """
    source = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    reader = _Reader(source, in_preamble=_DOCUMENT.search(source) is not None)
    reader.read()
    return reader.assembly.parsed(TEX, title=reader.title or reader.assembly.first_heading())


@dataclass
class _Frame:
    """An open group: what it is for, and what was gathered before it where it is gathered apart."""

    purpose: str = ""
    before: list[str] | None = None
    target: str = ""
    """Where the words lead that the group shows, or that the next one does where this one is hidden."""
    began: int = 0
    """How many pieces of words stood before it."""


@dataclass
class _Table:
    rows: list[list[str]] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    depth: int = 0


@dataclass
class _Reader:
    """One pass over the tokens with a stack of the groups that are open."""

    source: str
    in_preamble: bool
    assembly: Assembly = field(default_factory=Assembly)
    title: str = ""
    at: int = 0
    words: list[str] = field(default_factory=list)
    frames: list[_Frame] = field(default_factory=list)
    hidden: int = 0
    """Open groups that are not shown."""
    lists: list[int | None] = field(default_factory=list)
    item: str | None = None
    """The marker of the list item that is open; None outside of one."""
    tables: list[_Table] = field(default_factory=list)
    math: str = ""
    macros: dict[str, str] = field(default_factory=dict)

    def read(self) -> None:
        while self.at < len(self.source):
            token = _TOKEN.match(self.source, self.at)
            if token is None:
                self.at += 1
                continue
            self.at = token.end()
            kind, text = token.lastgroup, token[0]
            if kind == "name":
                self._command(token["name"])
            elif kind == "sign":
                self._sign(token["sign"])
            elif kind == "open":
                self.frames.append(_Frame())
            elif kind == "close":
                self._close()
            elif kind == "math":
                self.math = "" if self.math == text else text
            elif kind == "cell":
                self._cell() if self.tables and not self.math else self._say(" ")
            elif kind == "empty" and not self.tables and not self.frames:
                self._flush()
            elif kind == "text":
                self._say(text if self.math else _typeset(text))
            elif kind != "comment":
                self._say(" ")
        self._flush()
        while self.tables:
            self._end_table()

    def _say(self, text: str) -> None:
        if not self.hidden and not self.in_preamble:
            self.words.append(text)

    def _flush(self) -> None:
        """End the paragraph or the item that is open."""
        text = " ".join("".join(self.words).split())
        self.words = []
        if text and self.item is not None:
            self.assembly.add(BlockKind.LIST_ITEM, self.item + text)
            self.item = ""
        elif text:
            self.assembly.add(BlockKind.LIST_ITEM if self.lists else BlockKind.PARAGRAPH, text)

    def _option(self) -> str:
        """What stands in brackets after a command, which is passed."""
        option = _OPTION.match(self.source, self.at)
        if option is None:
            return ""
        self.at = option.end()
        return option[1]

    def _group(self) -> str:
        """A simple group after a command, which is passed; nothing where there is none."""
        group = _GROUP.match(self.source, self.at)
        if group is None:
            return ""
        self.at = group.end()
        return group[1].strip()

    def _enter(self, purpose: str) -> bool:
        """Open the group that follows for a purpose; False where none does."""
        self._option()
        group = _NEXT_GROUP.match(self.source, self.at)
        if group is None:
            return False
        self.at = group.end()
        gathers_apart = purpose in ("title", "author", "note", "caption") or purpose.startswith("heading")
        self.frames.append(_Frame(purpose, self.words if gathers_apart else None))
        self.words = [] if gathers_apart else self.words
        self.hidden += purpose.startswith("hide")
        return True

    def _close(self) -> None:
        if not self.frames:
            return
        frame = self.frames.pop()
        self.hidden -= frame.purpose.startswith("hide")
        if frame.purpose.startswith("hide") and (left := int(frame.purpose[4:])) > 1:
            self._enter(f"hide{left - 1}")
        if frame.target:
            self._end_link(frame)
        if frame.before is None:
            return
        text, self.words = " ".join("".join(self.words).split()), frame.before
        if frame.purpose == "note":
            self._say(f" ({text})" if text else "")
        elif frame.purpose.startswith("heading"):
            self._flush()
            if not self.in_preamble:
                self.assembly.add(BlockKind.HEADING, text, level=int(frame.purpose[7:]))
        elif frame.purpose == "title":
            self.title = text
            self.assembly.add(BlockKind.HEADING, text, level=1)
        elif not self.hidden:
            self.assembly.add(BlockKind.PARAGRAPH, text)

    def _command(self, name: str) -> None:
        bare = name.rstrip("*")
        if bare in ("newcommand", "renewcommand", "providecommand", "def"):
            self._define(bare)
        elif bare in SKIPPED_COUNT:
            # `\includegraphics` and its like may have options; what is hidden is hidden to the end of its last group.
            self._enter(f"hide{SKIPPED_COUNT[bare]}")
        elif bare in SECTIONS:
            self._enter(f"heading{SECTIONS[bare]}")
        elif name == "begin":
            self._begin(self._group())
        elif name == "end":
            self._end(self._group())
        elif bare == "item":
            self._item()
        elif bare in ("title", "author", "date"):
            self._enter_shown("title" if bare == "title" else "author")
        elif bare in ("footnote", "thanks", "footnotetext"):
            self._enter("note")
        elif bare in ("caption", "captionof"):
            self._enter("caption")
        elif bare == "href":
            self._begin_link()
        elif bare in SECOND_SHOWN:
            self._enter("hide1")
        elif bare in ("multicolumn", "multirow"):
            self._enter("hide2")
        elif bare in ("verb", "lstinline"):
            self._verb()
        elif name in ("par", "maketitle", "newpage", "clearpage", "bigskip", "medskip", "smallskip"):
            self._flush()
        elif name in ("tabularnewline", "cr") and self.tables:
            self._row()
        elif name in ACCENTS and len(name) == 1:
            self._accent(name)
        elif bare in self.macros:
            self._say(self.macros[bare])
        elif bare in SYMBOLS:
            self._say(SYMBOLS[bare])
        elif self.math and bare not in ("left", "right", "mathrm", "text", "mathbf", "label"):
            self._say(f" {bare} ")
        else:
            # Whatever else it is: its options are none of the text, and its groups are.
            self._option()

    def _begin_link(self) -> None:
        """Pass where a link leads, which is not shown; what is called so stands in the group after it."""
        self._option()
        address = _GROUP.match(self.source, self.at)
        if self._enter("hide1") and address is not None:
            self.frames[-1].target = _ESCAPED.sub(r"\1", address[1].strip())

    def _end_link(self, ended: _Frame) -> None:
        if not ended.purpose:
            words = self.words[ended.began : ended.began + _LINK_PIECES]
            self.assembly.link(" ".join("".join(words).split()), ended.target)
        elif self.source.startswith("{", self.at):
            self.at += 1
            self.frames.append(_Frame(target=ended.target, began=len(self.words)))

    def _enter_shown(self, purpose: str) -> None:
        """Title and author stand in the preamble and are printed all the same."""
        was, self.in_preamble = self.in_preamble, False
        group = _braced(self.source, self.at)
        if group is not None:
            inner = _Reader(group[0], in_preamble=False, macros=self.macros) if not self.frames else None
            self.at = group[1]
            text = _plain(inner) if inner else ""
            if purpose == "title" and text:
                self.title = text
                self.assembly.add(BlockKind.HEADING, text, level=1)
            elif text:
                self.assembly.add(BlockKind.PARAGRAPH, text)
        self.in_preamble = was

    def _define(self, name: str) -> None:
        """A macro that stands for plain words is remembered; any other only passed."""
        macro = _MACRO.match(self.source, self.at)
        if macro is not None:
            self.at = macro.end()
            if _PLAIN_MACRO.fullmatch(macro[2]):
                self.macros[macro[1]] = _typeset(macro[2])
            return
        if name == "def":
            brace = self.source.find("{", self.at, self.at + 200)
            self.at = brace if brace >= 0 else self.at
            self._enter("hide1")
            return
        group = _GROUP.match(self.source, self.at)
        self.at = group.end() if group else self.at
        self._option()
        self._enter("hide1")

    def _sign(self, sign: str) -> None:
        if sign == "\\":
            self._option()
            if self.tables:
                self._row()
            else:
                self._say(" ")
        elif sign in ACCENTS:
            self._accent(sign)
        elif sign in "([":
            self.math = sign
        elif sign in ")]":
            self.math = ""
        else:
            self._say(SYMBOLS.get(sign, sign))

    def _accent(self, accent: str) -> None:
        letter = _LETTER.match(self.source, self.at)
        if letter is not None:
            self.at = letter.end()
            self._say(accented(accent, letter[1] or letter[2] or letter[3] or ""))

    def _verb(self) -> None:
        self._option()
        verb = _VERB.match(self.source, self.at)
        if verb is not None and verb[1] != "{":
            self.at = verb.end()
            self._say(verb[2])

    def _begin(self, name: str) -> None:
        if name in VERBATIM or name in UNSEEN:
            end = self.source.find(f"\\end{{{name}}}", self.at)
            end = end if end >= 0 else len(self.source)
            if name in VERBATIM:
                self._option()
                if name in ("minted", "listing"):
                    self._group()
                self._flush()
                if not self.in_preamble and not self.hidden:
                    self.assembly.add(BlockKind.CODE, self.source[self.at : end])
            self.at = end
            return
        if name == "document":
            self.in_preamble = False
            return
        if name in MATH:
            self.math = name
            return
        if name in TABLES and not (self.math and name == "array"):
            self._begin_table(name)
            return
        self._flush()
        self._option()
        if name in LISTS:
            self.lists.append(0 if "enum" in name else None)
        elif name == "abstract":
            self.assembly.add(BlockKind.HEADING, "Abstract", level=2)
        elif name == "frame":
            self._option()
            self._enter("heading2")
        elif name in ("thebibliography", "multicols", "minipage", "wrapfigure", "adjustbox", "spacing"):
            while self._group():
                pass

    def _end(self, name: str) -> None:
        if name in MATH:
            self.math = ""
        elif name in TABLES and self.tables:
            self._end_table()
        elif name in LISTS:
            self._flush()
            if self.lists:
                self.lists.pop()
            self.item = None
        elif name == "document":
            self._flush()
            self.at = len(self.source)
        elif not self.tables:
            self._flush()

    def _item(self) -> None:
        self._flush()
        label = self._option()
        marker = ""
        if self.lists and self.lists[-1] is not None and not label:
            self.lists[-1] += 1
            marker = f"{self.lists[-1]}. "
        elif label:
            text = " ".join(_plain(_Reader(label, in_preamble=False)).split())
            marker = f"{text}: " if text else ""
        self.item = marker

    def _begin_table(self, name: str) -> None:
        if not self.tables:
            self._flush()
        self._option()
        self.frames.append(_Frame())
        self.hidden += 1
        for _ in range(2 if name in ("tabular*", "tabularx", "tabulary") else 1):
            group = _braced(self.source, self.at)
            self.at = group[1] if group else self.at
        self.hidden -= 1
        self.frames.pop()
        self.tables.append(_Table(depth=len(self.frames)))

    def _cell(self) -> None:
        table = self.tables[-1]
        table.cells.append(" ".join("".join(self.words).split()))
        self.words = []

    def _row(self) -> None:
        self._cell()
        table = self.tables[-1]
        if any(table.cells):
            table.rows.append(table.cells)
        table.cells = []

    def _end_table(self) -> None:
        self._row()
        table = self.tables.pop()
        text = "\n".join(map(table_row, table.rows))
        if self.tables:
            self._say(" " + " ".join(text.split("\n")) + " ")
        elif not self.hidden and not self.in_preamble:
            self.assembly.add(BlockKind.TABLE, text)


def _braced(source: str, at: int) -> tuple[str, int] | None:
    """The group that follows, whatever groups it holds, and where it ends; None where none does."""
    start = _NEXT_GROUP.match(source, at)
    if start is None:
        return None
    depth = 0
    for brace in re.compile(r"\\.|[{}]", re.S).finditer(source, start.end() - 1):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return source[start.end() : brace.start()], brace.end()
    return source[start.end() :], len(source)


def _plain(reader: _Reader) -> str:
    """A short text of its own, on one line."""
    reader.read()
    return " ".join("".join(reader.assembly.parts).split())


def _typeset(text: str) -> str:
    """Dashes and quotation marks as they are printed."""
    for written, printed in _TYPOGRAPHY:
        text = text.replace(written, printed)
    return text
