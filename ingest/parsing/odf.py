"""OpenDocument texts, spreadsheets and presentations (ODF 1.3): `content.xml` in its order."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, sensible_title, table_row
from ingest.parsing.damage import sign_of
from ingest.parsing.detection import ODP, ODS, ODT
from ingest.parsing.office_package import DAMAGE
from ingest.parsing.office_zip import checked_members
from ingest.parsing.sheets import CellBudget, Row, add_sheet
from ingest.parsing.xml_trees import xml_tree

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_ENCRYPTED = b"encryption-data"
# Deleted text, comments, field definitions and page furniture: none of it is shown in the body.
_NOT_SHOWN = frozenset(
    (
        f"{_TEXT}tracked-changes",
        f"{_OFFICE}annotation",
        f"{_OFFICE}forms",
        f"{_TEXT}sequence-decls",
        f"{_TEXT}note-citation",
        f"{_TABLE}shapes",
        f"{_STYLE}header",
        f"{_STYLE}footer",
    )
)
_RUNNING = frozenset(("date-time", "footer", "header", "page-number"))
# Drawings and notes within a paragraph are read after it.
_DRAWING = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_NOTE = f"{_TEXT}note"
_ROW_GROUPS = frozenset(f"{_TABLE}table-{name}" for name in ("header-rows", "rows", "row-group"))
_CELLS = frozenset((f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"))
# A file may claim any number of equal spaces, cells or rows; more than these say nothing new.
_SPACES = 100
_REPEATED_CELLS = 1_024
_REPEATED_ROWS = 1_000


def parse_odt(data: bytes) -> Parsed:
    """A text: headings by outline level, lists, tables, notes and frames. Raises as `_content` does, or "empty"."""
    return _parse(data, ODT)


def parse_ods(data: bytes) -> Parsed:
    """A spreadsheet: each table's name a heading. Raises as `_content` does, "too_large", or "empty"."""
    return _parse(data, ODS)


def parse_odp(data: bytes) -> Parsed:
    """A presentation: `page` is the slide's number, notes follow their slide. Raises as `_content` does, or "empty"."""
    return _parse(data, ODP)


def _parse(data: bytes, media_type: str) -> Parsed:
    content, title = _content(data)
    assembly = Assembly()
    body = content.find(f"{_OFFICE}body")
    if body is not None:
        _Reader(assembly, _titles(content)).flow(body)
    return assembly.parsed(media_type, title=title or assembly.first_heading())


def _content(data: bytes) -> tuple[Element, str]:
    """The tree of the content and the document's title.

    Raises `UnreadableDocument`: "hostile" (decompression bomb, entities), "encrypted", "malformed".
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = checked_members(archive)
            # Encrypted members are named in the manifest (ODF 1.3 part 2, 3.4.1), not in the archive's directory.
            if "META-INF/manifest.xml" in names and _ENCRYPTED in archive.read("META-INF/manifest.xml"):
                raise UnreadableDocument("encrypted", "The file is protected by a password; save it without one.")
            content = xml_tree(archive.read("content.xml"))
            meta = xml_tree(archive.read("meta.xml")) if "meta.xml" in names else None
    except DAMAGE as error:
        raise UnreadableDocument(
            "malformed",
            f"The OpenDocument file is damaged ({sign_of(error)}); repair it in LibreOffice and save it again.",
        ) from error
    return content, sensible_title((meta.findtext(f".//{_TITLE}") or "") if meta is not None else "")


def _titles(content: Element) -> frozenset[str]:
    """The automatic styles that are made from the style Title."""
    parents = content.iter(f"{_STYLE}style")
    return frozenset(
        {"Title"} | {s.get(f"{_STYLE}name", "") for s in parents if s.get(f"{_STYLE}parent-style-name") == "Title"}
    )


@dataclass
class _Reader:
    """Walks the body; frames and notes are read after the paragraph that holds them."""

    assembly: Assembly
    titles: frozenset[str]
    page: int | None = None
    prefix: str = ""
    """What the next block begins with."""
    budget: CellBudget = field(default_factory=CellBudget)

    def flow(self, container: Element, *, in_list: bool = False) -> None:
        for child in container:
            tag = child.tag
            if tag in _NOT_SHOWN or child.get(f"{_PRESENTATION}class") in _RUNNING:
                continue
            if tag == f"{_TEXT}h":
                self._heading(child)
            elif tag == f"{_TEXT}p":
                self._paragraph(child, in_list)
            elif tag == f"{_TEXT}list":
                self.flow(child, in_list=True)
            elif tag == f"{_OFFICE}spreadsheet":
                for sheet in child.findall(f"{_TABLE}table"):
                    add_sheet(self.assembly, sheet.get(f"{_TABLE}name", ""), _rows(sheet), self.budget)
            elif tag == f"{_TABLE}table":
                self._table(child)
            elif tag == f"{_DRAWING}page":
                self.page = (self.page or 0) + 1
                self.flow(child)
            elif tag == f"{_PRESENTATION}notes":
                self.prefix = "Notes: "
                self.flow(child)
                self.prefix = ""
            elif tag == f"{_DRAWING}frame" and child.get(f"{_PRESENTATION}class") == "title":
                lines = ("".join(_shown(paragraph)) for paragraph in child.iter(f"{_TEXT}p"))
                self._add(BlockKind.HEADING, " ".join(" ".join(lines).split()), level=2)
            else:
                self.flow(child, in_list=in_list or tag == f"{_TEXT}list-item")

    def _add(self, kind: BlockKind, text: str, *, level: int | None = None) -> None:
        if text.strip():
            self.assembly.add(kind, self.prefix + text, level=level, page=self.page)
            self.prefix = ""

    def _heading(self, heading: Element) -> None:
        level = heading.get(f"{_TEXT}outline-level", "1")
        text = " ".join("".join(_shown(heading)).split())
        self._add(BlockKind.HEADING, text, level=max(1, min(6, int(level))) if level.isdecimal() else 1)
        self._inside(heading)

    def _paragraph(self, paragraph: Element, in_list: bool) -> None:
        text = "".join(_shown(paragraph))
        if paragraph.get(f"{_TEXT}style-name") in self.titles:
            self._add(BlockKind.HEADING, " ".join(text.split()), level=1)
        else:
            self._add(BlockKind.LIST_ITEM if in_list else BlockKind.PARAGRAPH, text)
        self._inside(paragraph)

    def _inside(self, paragraph: Element) -> None:
        for held in _held(paragraph):
            self.flow(held)

    def _table(self, table: Element) -> None:
        rows = list(_rows(table))
        for row in rows:
            self.budget.spend(row)
        if max(map(len, rows), default=0) <= 1:
            # A table of one column frames text; it has no rows to compare.
            for row in rows:
                self._add(BlockKind.PARAGRAPH, "".join(row))
            return
        self._add(BlockKind.TABLE, "\n".join(filter(None, map(table_row, rows))))


def _shown(element: Element) -> Iterator[str]:
    """The text of a paragraph as it is shown; drawings and notes are left to `_held`."""
    yield element.text or ""
    for child in element:
        if child.tag == f"{_TEXT}s":
            yield " " * _count(child, f"{_TEXT}c", _SPACES)
        elif child.tag == f"{_TEXT}tab":
            yield "\t"
        elif child.tag == f"{_TEXT}line-break":
            yield "\n"
        elif not _is_apart(child) and child.tag not in _NOT_SHOWN:
            yield from _shown(child)
        yield child.tail or ""


def _held(paragraph: Element) -> Iterator[Element]:
    """The drawings and notes within a paragraph."""
    for child in paragraph:
        if _is_apart(child):
            yield child
        elif child.tag not in _NOT_SHOWN:
            yield from _held(child)


def _is_apart(element: Element) -> bool:
    is_drawing = element.tag.startswith(_DRAWING) and element.tag != f"{_DRAWING}a"
    return is_drawing or element.tag == _NOTE


def _rows(table: Element) -> Iterator[Row]:
    """The rows of a table itself, not of tables within its cells; repeated ones up to a bound."""
    for child in table:
        if child.tag in _ROW_GROUPS:
            yield from _rows(child)
        elif child.tag == f"{_TABLE}table-row":
            cells = _cells(child)
            repeated = _count(child, f"{_TABLE}number-rows-repeated", _REPEATED_ROWS) if any(cells) else 1
            for _ in range(repeated):
                yield list(cells)


def _cells(row: Element) -> Row:
    cells: Row = []
    for cell in row:
        if cell.tag in _CELLS:
            text = " ".join("".join(_shown(paragraph)) for paragraph in _cell_paragraphs(cell))
            cells += [text.strip()] * _count(cell, f"{_TABLE}number-columns-repeated", _REPEATED_CELLS)
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _cell_paragraphs(cell: Element) -> Iterator[Element]:
    for child in cell:
        if child.tag in (f"{_TEXT}p", f"{_TEXT}h"):
            yield child
        elif child.tag not in _NOT_SHOWN:
            yield from _cell_paragraphs(child)


def _count(element: Element, attribute: str, most: int) -> int:
    """A number of repetitions, 1 unless the file says otherwise, and never above `most`."""
    value = element.get(attribute, "1")
    return min(int(value), most) if value.isdecimal() and len(value) < 10 else most
