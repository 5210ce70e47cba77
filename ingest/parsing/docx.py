"""Word documents (ECMA-376, transitional and strict): the body in its order, without headers and footers."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import docx
from docx.document import Document
from docx.opc.exceptions import PackageNotFoundError
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement
from docx.styles.style import BaseStyle

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly, is_listing, sensible_title, table_row
from ingest.parsing.detection import DOCX
from ingest.parsing.docx_numbering import Numbering
from ingest.parsing.office_charts import chart_table
from ingest.parsing.office_formulas import MATH, formula
from ingest.parsing.office_package import DAMAGE, damaged, vetted_package
from ingest.parsing.pictures import PictureReader

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
_FIELD_ADDRESS = re.compile(r'\s*HYPERLINK\s+"([^"]+)"', re.I)
_FIELDS_DEEP = 4  # a page number in a link in a table of contents is three
# What may hold a link and is no part of the block that it is anchored in, or not shown at all.
_APART = (_NOT_SHOWN - {qn("w:instrText")}) | {qn("w:txbxContent")}
_LINKS = (qn("w:hyperlink"), qn("w:fldSimple"), qn("w:fldChar"))
_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"
# What shows a picture, today's and of before 2007, and how it names the relation to its part.
_PICTURES = {
    "{http://schemas.openxmlformats.org/drawingml/2006/main}blip": qn("r:embed"),
    "{urn:schemas-microsoft-com:vml}imagedata": qn("r:id"),
}
# Stands before text that is raised, until it is known what that stands behind.
_RAISED = "\N{INVISIBLE SEPARATOR}"
_RAISED_NUMBER = re.compile(rf"(?<=\d){_RAISED}(?=[-+−–]?\d)")
_COLUMNS = 63  # the most that Word lays out
_HEADING_STYLE = re.compile(r"heading (\d)", re.I)
_CODE_STYLE = re.compile(r"\b(source ?)?code\b|preformatted|verbatim", re.I)
_STYLE_DEPTH = 10
_LIST_STYLE = re.compile(r"^list", re.I)


def parse_docx(data: bytes) -> Parsed:
    """Headings by style or outline level, list items, paragraphs, tables, text boxes and notes, in document order.

    A note follows the paragraph or the table that refers to it; a chart, as a table, and the text of a picture what
    they are anchored in. A cell merged over several rows stands in each. Headers and footers are read only where the
    body holds nothing. `unread` tells of pictures that were not looked at.
    Raises `UnreadableDocument`: "hostile" for decompression bombs and document type declarations, "encrypted",
    "malformed", "empty".
    """
    document = _open(data)
    reader = _Reader(
        Assembly(),
        _styles(document),
        Numbering.of(document),
        _notes(document),
        _parts(document, "chart"),
        _parts(document, "image"),
        _addresses(document),
    )
    reader.flow(document.element.body)
    if not reader.assembly.blocks:
        for section in document.sections:
            reader.flow(section.header._element)
            reader.flow(section.footer._element)
    own = reader.title or sensible_title(document.core_properties.title or "")
    parsed = reader.assembly.parsed(DOCX, title=own or reader.assembly.first_heading())
    return replace(parsed, unread=reader.pictures.cause())


def _open(data: bytes) -> Document:
    try:
        return docx.Document(io.BytesIO(vetted_package(data)))
    except (*DAMAGE, PackageNotFoundError) as error:
        raise damaged("Word document", "Word", error) from error


def _notes(document: Document) -> dict[tuple[str, str], BaseOxmlElement]:
    """Footnotes and endnotes, by the element that refers to them and their id."""
    notes: dict[tuple[str, str], BaseOxmlElement] = {}
    for kind, part in _note_parts(document):
        notes |= {(_NOTES[kind], note.get(qn("w:id"), "")): note for note in parse_xml(part.blob)}
    return notes


def _note_parts(document: Document) -> Iterator[tuple[str, Part]]:
    for relation in document.part.rels.values():
        kind = relation.reltype.rpartition("/")[2]
        if kind in _NOTES and not relation.is_external:
            yield kind, relation.target_part


def _addresses(document: Document) -> dict[tuple[str, str], str]:
    """Where hyperlinks lead, by the root element of the part that they stand in and the id of their relation."""
    parts = {qn("w:document"): document.part} | {qn(f"w:{kind}"): part for kind, part in _note_parts(document)}
    return {
        (root, identity): relation.target_ref
        for root, part in parts.items()
        for identity, relation in part.rels.items()
        if relation.reltype.endswith("/hyperlink") and relation.is_external
    }


def _parts(document: Document, kind: str) -> dict[str, bytes]:
    """The parts of a kind that the body may show, by the id of their relation."""
    return {
        identity: relation.target_part.blob
        for identity, relation in document.part.rels.items()
        if relation.reltype.endswith(f"/{kind}") and not relation.is_external
    }


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
    charts: dict[str, bytes] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)
    addresses: dict[tuple[str, str], str] = field(default_factory=dict)
    pictures: PictureReader = field(default_factory=PictureReader)
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
        text = _text(paragraph)
        style = self._style_of(paragraph)
        if style.is_code and text.strip():
            self.code.append(text)
            return
        self._flush_code()
        in_list, label = self._label(paragraph, style) if text.strip() else (False, "")
        level = _outline_level(paragraph) or style.level
        self._add_links(paragraph)
        if level is not None:
            self.assembly.add(BlockKind.HEADING, " ".join((label + text).split()), level=level)
        else:
            self.assembly.add(BlockKind.LIST_ITEM if in_list or style.is_list else BlockKind.PARAGRAPH, label + text)
        if style.is_title and not self.title:
            self.title = text
        for box in _text_boxes(paragraph):
            self.flow(box)
        self._add_notes(paragraph)
        self._add_charts(paragraph)
        self._add_pictures(paragraph)

    def _add_links(self, element: BaseOxmlElement) -> None:
        """Tell of the links in what becomes the next block."""
        if next(element.iter(*_LINKS), None) is None:
            return
        fields: list[_Field] = []
        for part in _within(element):
            if part.tag == qn("w:hyperlink"):
                root = part.getroottree().getroot().tag
                self.assembly.link(_text(part), self.addresses.get((root, part.get(qn("r:id"), "")), ""))
            elif part.tag == qn("w:fldSimple"):
                self.assembly.link(_text(part), _address(part.get(qn("w:instr"), "")))
            elif part.tag == qn("w:fldChar") and part.get(qn("w:fldCharType")) == "begin":
                fields.append(_Field())
            elif part.tag == qn("w:fldChar") and fields and part.get(qn("w:fldCharType")) == "end":
                ended = fields.pop()
                self.assembly.link(ended.shown, _address(ended.instruction))
            elif part.tag == qn("w:instrText") and fields:
                fields[-1].instruction += part.text or ""
            elif part.tag == qn("w:t"):
                for open_ in fields[-_FIELDS_DEEP:]:
                    open_.shown += part.text or ""

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
        if max((len(row) for row in rows), default=0) <= 1 and not self._is_listing(rows):
            for row in rows:
                for cell in row:
                    self.flow(cell)
            return
        above: dict[int, str] = {}
        lines = [table_row(_row_texts(row, above)).rstrip(" |") for row in rows]
        self._add_links(table)
        self.assembly.add(BlockKind.TABLE, "\n".join(line for line in lines if line))
        self._add_notes(table)
        self._add_charts(table)
        self._add_pictures(table)

    def _is_listing(self, rows: list[list[BaseOxmlElement]]) -> bool:
        """Whether the one column of a table lists things; headings and tables are no such things."""
        cells = [cell for row in rows for cell in row]
        structured = any(
            element.tag == qn("w:tbl") or _outline_level(element) or self._style_of(element).level
            for cell in cells
            for element in cell.iter(qn("w:tbl"), qn("w:p"))
        )
        return not structured and is_listing(map(_cell_text, cells))

    def _add_charts(self, element: BaseOxmlElement) -> None:
        for reference in element.iter(_CHART):
            part = self.charts.get(reference.get(qn("r:id"), ""))
            if part is not None:
                chart = chart_table(part)
                self.assembly.add(BlockKind.PARAGRAPH, chart.title)
                self.assembly.add(BlockKind.TABLE, "\n".join(filter(None, map(table_row, chart.rows))))

    def _add_pictures(self, element: BaseOxmlElement) -> None:
        for reference in element.iter(*_PICTURES) if self.images else ():
            is_shown = next(reference.iterancestors(*_NOT_SHOWN), None) is None
            part = self.images.get(reference.get(_PICTURES[reference.tag], "")) if is_shown else None
            if part is not None:
                self.pictures.add_to(self.assembly, part)


@dataclass
class _Field:
    """A field that is open: what computes it, and what it shows."""

    instruction: str = ""
    shown: str = ""


def _address(instruction: str) -> str:
    """Where a field leads; nothing if that is a place in the document itself, or the field is no link."""
    found = _FIELD_ADDRESS.match(instruction)
    return found[1] if found else ""


def _within(element: BaseOxmlElement) -> Iterator[BaseOxmlElement]:
    """What stands in a paragraph or a table, but in nothing that stands apart from it."""
    for child in element:
        if child.tag not in _APART:
            yield child
            yield from _within(child)


def _outline_level(paragraph: BaseOxmlElement) -> int | None:
    outline = paragraph.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
    value = outline.get(qn("w:val"), "") if outline is not None else ""
    # 9 means body text (ECMA-376, 17.3.1.20).
    return min(6, int(value) + 1) if value.isdecimal() and int(value) < 9 else None


def _text(paragraph: BaseOxmlElement) -> str:
    """A paragraph's text; a number that is raised behind a digit is marked (10⁶ is not 106)."""
    text = "".join(_shown(paragraph))
    return _RAISED_NUMBER.sub("^", text).replace(_RAISED, "") if _RAISED in text else text


def _shown(element: BaseOxmlElement) -> Iterator[str]:
    """The text of a paragraph as it is shown; text boxes are left to `_text_boxes`."""
    for child in element:
        tag = child.tag
        if tag in _NOT_SHOWN or tag == qn("w:txbxContent") or _is_hidden(child):
            continue
        if tag == qn("w:r") and _is_raised(child):
            yield _RAISED
        if tag == qn("w:t"):
            yield child.text or ""
        elif tag == MATH:
            yield formula(child)
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


def _is_raised(run: BaseOxmlElement) -> bool:
    position = run.find(f"{qn('w:rPr')}/{qn('w:vertAlign')}")
    return position is not None and position.get(qn("w:val"), "") == "superscript"


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


def _row_texts(row: list[BaseOxmlElement], above: dict[int, str]) -> list[str]:
    """The texts of a row's cells by column; a cell that is merged downwards stands in each row, one across once.

    `above` holds the texts of merged cells that go on below, by column.
    """
    texts: list[str] = []
    for cell in row:
        properties = cell.find(qn("w:tcPr"))
        merge = properties.find(qn("w:vMerge")) if properties is not None else None
        span = properties.find(qn("w:gridSpan")) if properties is not None else None
        goes_on = merge is not None and merge.get(qn("w:val"), "continue") == "continue"
        column = len(texts)
        text = above.get(column, "") if goes_on else _cell_text(cell)
        if merge is not None:
            above[column] = text
        else:
            above.pop(column, None)
        width = span.get(qn("w:val"), "1") if span is not None else "1"
        texts += [text, *[""] * (min(int(width), _COLUMNS) - 1 if width.isdecimal() else 0)]
    return texts


def _cell_text(cell: BaseOxmlElement) -> str:
    """All text of a cell on one line."""
    shown = (p for p in cell.iter(qn("w:p")) if next(p.iterancestors(_FALLBACK), None) is None)
    return " ".join(map(_text, shown))
