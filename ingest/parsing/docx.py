"""Word documents (ECMA-376, transitional and strict): the body in its order, without headers and footers."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import docx
from docx.document import Document
from docx.opc.exceptions import PackageNotFoundError
from docx.oxml import parse_xml
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement
from docx.styles.style import BaseStyle

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly, sensible_title, table_row
from ingest.parsing.detection import DOCX
from ingest.parsing.docx_numbering import Numbering
from ingest.parsing.office_package import DAMAGE, damaged, vetted_package

_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
# Deleted and moved-away text, field codes, notes' marks, and the older twin of a drawing: none of it is shown.
_NOT_SHOWN = frozenset(
    (
        qn("w:del"),
        qn("w:moveFrom"),
        qn("w:instrText"),
        qn("w:delText"),
        qn("w:pPr"),
        qn("w:rPr"),
        _FALLBACK,
    )
)
# The parts that hold notes, by the end of their relation's type, and what refers to a note in each.
_NOTES = {"footnotes": qn("w:footnoteReference"), "endnotes": qn("w:endnoteReference")}
_HEADING_STYLE = re.compile(r"heading (\d)", re.I)
_CODE_STYLE = re.compile(r"\b(source ?)?code\b|preformatted|verbatim", re.I)
_STYLE_DEPTH = 10
_LIST_STYLE = re.compile(r"^list", re.I)


def parse_docx(data: bytes) -> Parsed:
    """Headings by style or outline level, list items, paragraphs, tables, text boxes and notes, in document order.

    A note follows the paragraph or the table that refers to it. Merged cells are read once. Headers and footers are
    read only where the body holds nothing.
    Raises `UnreadableDocument`: "hostile" for decompression bombs and document type declarations, "encrypted",
    "malformed", "empty".
    """
    document = _open(data)
    reader = _Reader(Assembly(), _styles(document), Numbering.of(document), _notes(document))
    reader.flow(document.element.body)
    if not reader.assembly.blocks:
        for section in document.sections:
            reader.flow(section.header._element)
            reader.flow(section.footer._element)
    own = reader.title or sensible_title(document.core_properties.title or "")
    return reader.assembly.parsed(DOCX, title=own or reader.assembly.first_heading())


def _open(data: bytes) -> Document:
    try:
        return docx.Document(io.BytesIO(vetted_package(data)))
    except (*DAMAGE, PackageNotFoundError) as error:
        raise damaged("Word document", "Word", error) from error


def _notes(document: Document) -> dict[tuple[str, str], BaseOxmlElement]:
    """Footnotes and endnotes, by the element that refers to them and their id."""
    notes: dict[tuple[str, str], BaseOxmlElement] = {}
    for relation in document.part.rels.values():
        kind = relation.reltype.rpartition("/")[2]
        if kind in _NOTES and not relation.is_external:
            root = parse_xml(relation.target_part.blob)
            notes |= {(_NOTES[kind], note.get(qn("w:id"), "")): note for note in root}
    return notes


@dataclass(frozen=True)
class _Style:
    level: int | None = None
    is_title: bool = False
    is_list: bool = False
    is_code: bool = False
    list_id: str = ""
    list_level: int | None = None


def _styles(document: Document) -> dict[str, _Style]:
    return {style.style_id: _style(style) for style in document.styles if style.style_id}


def _style(style: BaseStyle) -> _Style:
    """What a paragraph style means; a style of one's own inherits from those it is based on."""
    chain: list[BaseStyle] = []
    current: BaseStyle | None = style
    while current is not None and len(chain) < _STYLE_DEPTH:
        chain.append(current)
        current = getattr(current, "base_style", None)
    names = [ancestor.name or "" for ancestor in chain]
    heading = next(filter(None, map(_HEADING_STYLE.match, names)), None)
    is_title = any(name.lower() == "title" for name in names)
    lists = (_list_of(ancestor.element) for ancestor in chain)
    list_id, list_level = next((found for found in lists if found[0]), ("", None))
    return _Style(
        level=min(6, int(heading[1]) or 1) if heading else 1 if is_title else None,
        is_title=is_title,
        is_list=any(_LIST_STYLE.match(name) for name in names),
        is_code=any(_CODE_STYLE.search(name) for name in names),
        list_id=list_id,
        list_level=list_level,
    )


def _list_of(element: BaseOxmlElement) -> tuple[str, int | None]:
    """The id of the list that a paragraph or a style belongs to ("0": taken out of any), and the level it names."""
    properties = element.find(f"{qn('w:pPr')}/{qn('w:numPr')}")
    if properties is None:
        return "", None
    number, level = properties.find(qn("w:numId")), properties.find(qn("w:ilvl"))
    depth = level.get(qn("w:val"), "") if level is not None else ""
    return number.get(qn("w:val"), "") if number is not None else "", int(depth) if depth.isdecimal() else None


@dataclass
class _Reader:
    """Walks the body; consecutive paragraphs of a code style make one block."""

    assembly: Assembly
    styles: dict[str, _Style]
    numbering: Numbering
    notes: dict[tuple[str, str], BaseOxmlElement]
    """Those that nothing read so far refers to."""
    title: str = ""
    code: list[str] = field(default_factory=list)

    def flow(self, container: BaseOxmlElement) -> None:
        """Read paragraphs and tables under `container`, through content controls and insertions."""
        for child in container:
            if child.tag == qn("w:p"):
                self._paragraph(child)
            elif child.tag == qn("w:tbl"):
                self._flush_code()
                self._table(child)
            elif child.tag in (
                qn("w:sdt"),
                qn("w:sdtContent"),
                qn("w:ins"),
                qn("w:smartTag"),
                qn("w:customXml"),
                qn("w:moveTo"),
            ):
                self.flow(child)
        self._flush_code()

    def _paragraph(self, paragraph: BaseOxmlElement) -> None:
        text = "".join(_shown(paragraph))
        style = self._style_of(paragraph)
        if style.is_code and text.strip():
            self.code.append(text)
            return
        self._flush_code()
        in_list, label = self._label(paragraph, style) if text.strip() else (False, "")
        level = _outline_level(paragraph) or style.level
        if level is not None:
            self.assembly.add(BlockKind.HEADING, " ".join((label + text).split()), level=level)
        else:
            self.assembly.add(BlockKind.LIST_ITEM if in_list or style.is_list else BlockKind.PARAGRAPH, label + text)
        if style.is_title and not self.title:
            self.title = text
        for box in _text_boxes(paragraph):
            self.flow(box)
        self._add_notes(paragraph)

    def _add_notes(self, element: BaseOxmlElement) -> None:
        for reference in element.iter(*_NOTES.values()):
            is_shown = next(reference.iterancestors(*_NOT_SHOWN), None) is None
            note = self.notes.pop((reference.tag, reference.get(qn("w:id"), "")), None) if is_shown else None
            if note is not None:
                self.flow(note)

    def _label(self, paragraph: BaseOxmlElement, style: _Style) -> tuple[bool, str]:
        """Whether a paragraph belongs to a list, and its number with a space, if it is numbered."""
        list_id, level = _list_of(paragraph)
        if not list_id:
            list_id = style.list_id
            level = style.list_level if level is None else level
        if list_id in ("", "0"):
            return False, ""
        if level is None:
            level = self.numbering.level_of(list_id, self._style_id(paragraph))
        label = self.numbering.next_label(list_id, level)
        return True, f"{label} " if label else ""

    def _flush_code(self) -> None:
        self.assembly.add(BlockKind.CODE, "\n".join(self.code))
        self.code.clear()

    def _style_of(self, paragraph: BaseOxmlElement) -> _Style:
        return self.styles.get(self._style_id(paragraph), _Style())

    def _style_id(self, paragraph: BaseOxmlElement) -> str:
        found = paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
        return str(found.get(qn("w:val"), "")) if found is not None else ""

    def _table(self, table: BaseOxmlElement) -> None:
        rows = [list(_cells(row)) for row in _rows(table)]
        if max((len(row) for row in rows), default=0) <= 1:
            # A table of one column frames text; it has no rows to compare.
            for row in rows:
                for cell in row:
                    self.flow(cell)
            return
        lines = [table_row([_cell_text(cell) for cell in row]) for row in rows]
        self.assembly.add(BlockKind.TABLE, "\n".join(line for line in lines if line))
        self._add_notes(table)


def _outline_level(paragraph: BaseOxmlElement) -> int | None:
    outline = paragraph.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
    value = outline.get(qn("w:val"), "") if outline is not None else ""
    # 9 means body text (ECMA-376, 17.3.1.20).
    return min(6, int(value) + 1) if value.isdecimal() and int(value) < 9 else None


def _shown(element: BaseOxmlElement) -> Iterator[str]:
    """The text of a paragraph as it is shown; text boxes are left to `_text_boxes`."""
    for child in element:
        tag = child.tag
        if tag in _NOT_SHOWN or tag == qn("w:txbxContent") or _is_hidden(child):
            continue
        if tag in (qn("w:t"), f"{_MATH}t"):
            yield child.text or ""
        elif tag == qn("w:tab"):
            yield "\t"
        elif tag in (qn("w:br"), qn("w:cr")):
            yield "\n"
        elif tag == qn("w:noBreakHyphen"):
            yield "-"
        else:
            yield from _shown(child)


def _is_hidden(run: BaseOxmlElement) -> bool:
    """Whether a run is formatted as hidden text."""
    hidden = run.find(f"{qn('w:rPr')}/{qn('w:vanish')}")
    return hidden is not None and hidden.get(qn("w:val"), "true") not in ("0", "false", "off")


def _text_boxes(element: BaseOxmlElement) -> Iterator[BaseOxmlElement]:
    for child in element:
        if child.tag == qn("w:txbxContent"):
            yield child
        elif child.tag not in _NOT_SHOWN:
            yield from _text_boxes(child)


def _rows(table: BaseOxmlElement) -> Iterator[BaseOxmlElement]:
    for child in table:
        if child.tag == qn("w:tr"):
            yield child
        elif child.tag in (qn("w:sdt"), qn("w:sdtContent")):
            yield from _rows(child)


def _cells(row: BaseOxmlElement) -> Iterator[BaseOxmlElement]:
    for child in row:
        if child.tag == qn("w:tc"):
            yield child
        elif child.tag in (qn("w:sdt"), qn("w:sdtContent")):
            yield from _cells(child)


def _cell_text(cell: BaseOxmlElement) -> str:
    """All text of a cell on one line; nothing for the lower part of cells merged downwards."""
    merge = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
    if merge is not None and merge.get(qn("w:val"), "continue") == "continue":
        return ""
    shown = (p for p in cell.iter(qn("w:p")) if next(p.iterancestors(_FALLBACK), None) is None)
    return " ".join("".join(_shown(paragraph)) for paragraph in shown)
