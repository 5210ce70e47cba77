"""RTF (version 1.9.1): the text that Word would show, in one pass over its groups, without recursion."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, sensible_title, table_row
from ingest.parsing.detection import RTF

DEEPEST = 5_000
"""Groups within groups; what programs write is tens deep."""

_TOKEN = re.compile(
    rb"\\(?P<word>[A-Za-z]{1,32})(?P<number>-?\d{1,10})?[ ]?"
    rb"|\\'(?P<hex>[0-9A-Fa-f]{2})|\\(?P<sign>[^A-Za-z])"
    rb"|(?P<open>\{)|(?P<close>\})|(?P<line>[\r\n]+)|(?P<text>[^\\{}\r\n]+)"
)
# Destinations that show nothing in the running text; whatever `\*` begins is left out too unless it is known.
_NOT_SHOWN = frozenset(
    b"fonttbl colortbl stylesheet listtable listoverridetable revtbl rsidtbl info generator pict objclass "
    b"objname objalias objsect objdata header headerl headerr headerf footer footerl footerr footerf fldinst "
    b"bkmkstart bkmkend annotation atnid atnauthor atndate atntime atnicn atnref atrfstart atrfend themedata "
    b"colorschememapping datastore latentstyles xmlnstbl filetbl pgptbl mmathPr listpicture private template "
    b"userprops nonesttables operator author company manager category keywords comment doccomm hlinkbase "
    b"subject mhtmltag htmltag xe tc tcn ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn sv sn sp pntext pnseclvl "
    b"pn panose falt fname nonshppict picprop blipuid bliptag wgrffmtfilter passwordhash writereservhash "
    b"oldcprops oldpprops oldtprops oldsprops defchp defpap".split()
)
_SHOWN_THOUGH_STARRED = frozenset((b"shptxt", b"shpinst", b"nesttableprops"))
# Destinations whose control words mean something: the running text, and the tables that it refers to.
_READ = frozenset((b"", b"footnote", b"listtext", b"stylesheet", b"fonttbl", b"info", b"title"))
_SYMBOLS = {
    b"tab": "\t", b"line": "\n", b"lbr": "\n", b"emdash": "—", b"endash": "–", b"bullet": "•", b"lquote": "‘",
    b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"emspace": " ", b"enspace": " ", b"qmspace": " ",
    b"~": "\u00a0", b"_": "\u2011", b"-": "", b"zwj": "\u200d", b"zwnj": "\u200c", b"page": "\n", b"column": "\n",
}  # fmt: skip
# Code pages of fonts by their character set (`\fcharset`), where it is not that of the document.
_CHARSETS = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "big5", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250", 255: "cp437",
}  # fmt: skip
_CODE_PAGES = {b"mac": "mac_roman", b"pc": "cp437", b"pca": "cp850"}
_HEADING_STYLE = re.compile(r"\s*(?:heading|überschrift|titre|título|titolo|kop|rubrik|nagłówek)\s*(\d)", re.I)
_LIST_NUMBER = re.compile(r"\w+[.)]$|\(\w+\)$")


@dataclass(frozen=True)
class _Format:
    """What a group hands down to the groups within it."""

    hidden: bool = False
    destination: bytes = b""
    font: int = -1
    skip: int = 1
    """Characters after a `\\u` that stand in for it where Unicode is not understood."""


@dataclass
class _Paragraph:
    """What is known of the paragraph that is being written."""

    level: int = 0
    style: int = -1
    is_item: bool = False
    in_table: bool = False
    table_depth: int = 0


def parse_rtf(data: bytes) -> Parsed:
    """Paragraphs, headings by outline level or style, list items with their numbers, tables; footnotes in brackets.

    Hidden and deleted text, running headers, comments, pictures and fields' instructions are left out. Raises
    `UnreadableDocument`: "malformed" for what ends before it says anything, "hostile" for groups `DEEPEST` deep,
    "empty".
    """
    reader = _Reader(data)
    reader.read()
    assembly = reader.assembly
    if not assembly.blocks and reader.groups:
        raise UnreadableDocument("malformed", "The RTF document is cut off before its text; fetch or save it again.")
    title = sensible_title(reader.title)
    return assembly.parsed(RTF, title=title or assembly.first_heading())


@dataclass
class _Reader:
    """One pass over the tokens: a stack of formats, the words of the paragraph, the cells of the rows that are open."""

    data: bytes
    assembly: Assembly = field(default_factory=Assembly)
    title: str = ""
    groups: list[_Format] = field(default_factory=list)
    format: _Format = field(default_factory=_Format)
    code_page: str = "cp1252"
    fonts: dict[int, str] = field(default_factory=dict)
    styles: dict[int, int] = field(default_factory=dict)
    """Outline levels of headings by the number of their style."""
    entry: tuple[int, str] = (-1, "")
    """The style that the style sheet is at: its number and its name so far."""
    entry_level: int = 0
    paragraph: _Paragraph = field(default_factory=_Paragraph)
    words: list[str] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    """Bytes of a code page that are still to be decoded: letters of some scripts take two."""
    marker: list[str] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=lambda: [[]])
    """Cells of the rows that are open, the outermost table first."""
    cell_text: list[list[str]] = field(default_factory=lambda: [[]])
    rows: list[str] = field(default_factory=list)
    to_skip: int = 0
    starred: bool = False
    surrogate: int = 0

    def read(self) -> None:
        at = 0
        while (token := _TOKEN.match(self.data, at)) is not None or at < len(self.data):
            if token is None:
                at += 1
                continue
            at = token.end()
            kind = token.lastgroup
            if kind in ("word", "number"):
                at = self._word(token["word"], token["number"], at)
            elif kind == "text":
                self._bytes(token["text"])
            elif kind == "hex":
                self._bytes(bytes((int(token["hex"], 16),)))
            elif kind == "sign":
                self._sign(token["sign"])
            elif kind == "open":
                self._open()
            elif kind == "close":
                self._close()
        self._end_paragraph()
        self._end_table()

    def _open(self) -> None:
        self._decode()
        if len(self.groups) >= DEEPEST:
            raise UnreadableDocument("hostile", f"The document nests more than {DEEPEST:,} groups; it was not read.")
        self.groups.append(self.format)
        self.to_skip, self.starred = 0, False

    def _close(self) -> None:
        self._decode()
        ended = self.format
        if not self.groups:
            return
        self.format = self.groups.pop()
        self.to_skip = 0
        if ended.destination == b"footnote" and self.format.destination != b"footnote":
            self._say(")")
        if ended.destination == b"stylesheet":
            self._end_style()

    def _destination(self, name: bytes) -> None:
        self.format = replace(self.format, destination=name)

    def _word(self, word: bytes, number: bytes | None, at: int) -> int:
        """Obey one control word; returns where to read on, behind the bytes of a `bin`."""
        self._decode(keep=word == b"u")
        value = int(number) if number else None
        starred, self.starred = self.starred, False
        if word == b"bin":
            return at + max(0, value or 0)
        if word == b"u" and value is not None:
            self._unicode(value & 0xFFFF)
        elif word == b"uc":
            self.format = replace(self.format, skip=min(max(0, value or 0), 100))
        elif starred and word not in _SHOWN_THOUGH_STARRED:
            if word in (b"listtext", b"pnseclvl") or not self.format.destination:
                self._destination(b"listtext" if word == b"listtext" else b"left out")
        elif self.format.destination not in _READ:
            pass
        elif word in (b"par", b"sect"):
            if self.format.destination == b"footnote":
                self._say(" ")
            else:
                self._end_paragraph()
        elif word in (b"cell", b"nestcell"):
            self._end_cell(nested=word == b"nestcell")
        elif word in (b"row", b"nestrow"):
            self._end_row(nested=word == b"nestrow")
        elif word in _SYMBOLS:
            self._say(_SYMBOLS[word])
        elif word in (b"v", b"deleted", b"webhidden"):
            self.format = replace(self.format, hidden=value != 0)
        elif word == b"plain":
            self.format = replace(self.format, hidden=False, font=-1)
        else:
            self._rarer_word(word, value)
        return at

    def _rarer_word(self, word: bytes, value: int | None) -> None:
        if word == b"pard":
            self.paragraph = _Paragraph()
        elif word == b"intbl":
            self.paragraph.in_table = True
        elif word == b"itap":
            self.paragraph.table_depth = value or 0
        elif word in (b"ls", b"ilvl"):
            self.paragraph.is_item = True
        elif word == b"outlinelevel" and value is not None:
            if self.format.destination == b"stylesheet":
                self.entry_level = value + 1 if value < 9 else 0
            else:
                self.paragraph.level = value + 1 if value < 9 else 0
        elif word == b"s" and value is not None:
            if self.format.destination == b"stylesheet":
                self.entry = (value, "")
            else:
                self.paragraph.style = value
        elif word == b"f" and value is not None:
            self.format = replace(self.format, font=value)
        elif word == b"fcharset" and value is not None and self.format.destination == b"fonttbl":
            if value in _CHARSETS:
                self.fonts[self.format.font] = _CHARSETS[value]
        elif word == b"ansicpg" and value:
            self.code_page = _known_code_page(f"cp{value}", self.code_page)
        elif word in _CODE_PAGES:
            self.code_page = _CODE_PAGES[word]
        elif word in (b"listtext", b"pntext"):
            self._destination(b"listtext")
        elif word == b"footnote":
            self._say(" (")
            self._destination(b"footnote")
        elif word == b"title" and self.format.destination == b"info":
            self._destination(b"title")
        elif word in _NOT_SHOWN:
            self._destination(word)

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            self.starred = True
        elif sign in (b"\n", b"\r"):
            self._end_paragraph()
        elif sign in (b"\\", b"{", b"}"):
            self._bytes(sign)
        elif sign in _SYMBOLS:
            self._decode()
            self._say(_SYMBOLS[sign])

    def _bytes(self, text: bytes) -> None:
        """Text in the code page of its font, without what stands in for a character in Unicode before it."""
        skipped = min(self.to_skip, len(text))
        self.to_skip -= skipped
        self.raw += text[skipped:]

    def _decode(self, *, keep: bool = False) -> None:
        if self.raw:
            text = bytes(self.raw).decode(self.fonts.get(self.format.font, self.code_page), "replace")
            self.raw.clear()
            self._say(text)
        self.to_skip = self.to_skip if keep else 0

    def _unicode(self, unit: int) -> None:
        """One UTF-16 unit; two of them make a character beyond the first plane."""
        self._decode()
        if 0xD800 <= unit < 0xDC00:
            self.surrogate = unit
        elif 0xDC00 <= unit < 0xE000 and self.surrogate:
            self._say(chr(0x10000 + ((self.surrogate - 0xD800) << 10) + unit - 0xDC00))
            self.surrogate = 0
        elif not 0xD800 <= unit < 0xE000:
            self._say(chr(unit))
        self.to_skip = self.format.skip

    def _say(self, text: str) -> None:
        destination = self.format.destination
        if destination == b"title":
            self.title += text
        elif destination == b"stylesheet":
            self.entry = (self.entry[0], self.entry[1] + text)
            if ";" in text:
                self._end_style()
        elif self.format.hidden or (destination and destination not in (b"footnote", b"listtext")):
            return
        elif destination == b"listtext":
            self.marker.append(text)
        else:
            self.words.append(text)

    def _end_style(self) -> None:
        number, name = self.entry
        named = _HEADING_STYLE.match(name)
        level = self.entry_level or (int(named[1]) if named else 0)
        if level and number >= 0:
            self.styles[number] = level
        self.entry, self.entry_level = (-1, ""), 0

    def _taken(self) -> str:
        self._decode()
        text, self.words = "".join(self.words), []
        return text.replace("\u00a0", " ")

    def _end_paragraph(self) -> None:
        text = self._taken()
        marker, self.marker = " ".join("".join(self.marker).split()), []
        paragraph = self.paragraph
        numbered = f"{marker} " if _LIST_NUMBER.match(marker) else ""
        if paragraph.in_table or paragraph.table_depth:
            self._cell_texts(paragraph.table_depth).append(numbered + text)
            return
        if not text.strip():
            return
        self._end_table()
        level = paragraph.level or self.styles.get(paragraph.style, 0)
        if level:
            self.assembly.add(BlockKind.HEADING, numbered + " ".join(text.split()), level=min(6, level))
        elif marker or paragraph.is_item:
            self.assembly.add(BlockKind.LIST_ITEM, numbered + text.strip())
        else:
            self.assembly.add(BlockKind.PARAGRAPH, "\n".join(" ".join(line.split(" ")) for line in text.split("\n")))

    def _cell_texts(self, depth: int) -> list[str]:
        """The paragraphs of the cell that is open at a depth of tables; tables within tables are text of a cell."""
        depth = min(max(1, depth), 50)
        while len(self.cell_text) < depth:
            self.cell_text.append([])
            self.cells.append([])
        return self.cell_text[depth - 1]

    def _end_cell(self, *, nested: bool) -> None:
        depth = max(2, self.paragraph.table_depth) if nested else 1
        texts = self._cell_texts(depth)
        texts.append(self._taken())
        self.marker = []
        self.cells[min(depth, 50) - 1].append(" ".join(" ".join(texts).split()))
        texts.clear()

    def _end_row(self, *, nested: bool) -> None:
        if not nested:
            if self.cells[0]:
                self.rows.append(table_row(self.cells[0]))
            self.cells[0] = []
            return
        depth = min(max(2, self.paragraph.table_depth), 50)
        self._cell_texts(depth)
        row, self.cells[depth - 1] = table_row(self.cells[depth - 1]), []
        self._cell_texts(depth - 1).append(row)

    def _end_table(self) -> None:
        if any(self.cells[0]) or any(self.cell_text[0]):
            # Cells of a row that never ended.
            self.rows.append(table_row([*self.cells[0], *self.cell_text[0]]))
            self.cells[0], self.cell_text[0] = [], []
        if self.rows:
            self.assembly.add(BlockKind.TABLE, "\n".join(filter(None, self.rows)))
        self.rows = []


def _known_code_page(name: str, otherwise: str) -> str:
    name = {"cp65001": "utf-8", "cp10000": "mac_roman", "cp1361": "johab"}.get(name, name)
    try:
        b"a".decode(name)
    except LookupError:
        return otherwise
    return name
