"""OpenDocument texts, spreadsheets and presentations (ODF 1.3): `content.xml` in its order."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, is_listing, sensible_title, table_row
from ingest.parsing.damage import sign_of
from ingest.parsing.detection import ODP, ODS, ODT
from ingest.parsing.odf_lists import Lists
from ingest.parsing.office_package import DAMAGE
from ingest.parsing.office_zip import checked_members
from ingest.parsing.pictures import PictureReader, packed_picture
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
# What LibreOffice calls a slide until somebody names it.
_GIVEN_NAME = re.compile(r"page\d+")
_RUNNING = frozenset(("date-time", "footer", "header", "page-number"))
# Drawings and notes within a paragraph are read after it.
_DRAWING = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_NOTE = f"{_TEXT}note"
_ROW_GROUPS = frozenset(f"{_TABLE}table-{name}" for name in ("header-rows", "rows", "row-group"))
_COVERED = f"{_TABLE}covered-table-cell"
_CELLS = frozenset((f"{_TABLE}table-cell", _COVERED))
# What the text of a cell alone does not show.
_RICH = frozenset((f"{_TEXT}list", f"{_TEXT}note", f"{_DRAWING}frame"))
_Above = dict[int, tuple[str, int]]
_CellText = Callable[[Element], str]
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
    content, styles, title = _content(data)
    assembly, pictures = Assembly(), PictureReader()
    body = content.find(f"{_OFFICE}body")
    if body is not None:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            reader = _Reader(assembly, _title_styles(content), Lists.of(*styles, content))
            reader.show = lambda name: pictures.add_to(assembly, packed_picture(archive, name), page=reader.page)
            reader.flow(body)
    parsed = assembly.parsed(media_type, title=title or assembly.first_heading())
    return replace(parsed, unread=pictures.cause())


def _content(data: bytes) -> tuple[Element, list[Element], str]:
    """The tree of the content, that of the styles where there is one, and the document's title.

    Raises `UnreadableDocument`: "hostile" (decompression bomb, entities), "encrypted", "malformed".
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = checked_members(archive)
            # Encrypted members are named in the manifest (ODF 1.3 part 2, 3.4.1), not in the archive's directory.
            if "META-INF/manifest.xml" in names and _ENCRYPTED in archive.read("META-INF/manifest.xml"):
                raise UnreadableDocument("encrypted", "The file is protected by a password; save it without one.")
            content = xml_tree(archive.read("content.xml"))
            styles = [xml_tree(archive.read("styles.xml"))] if "styles.xml" in names else []
            meta = xml_tree(archive.read("meta.xml")) if "meta.xml" in names else None
    except DAMAGE as error:
        raise UnreadableDocument(
            "malformed",
            f"The OpenDocument file is damaged ({sign_of(error)}); repair it in LibreOffice and save it again.",
        ) from error
    return content, styles, sensible_title((meta.findtext(f".//{_TITLE}") or "") if meta is not None else "")


def _title_styles(content: Element) -> dict[str, int]:
    """The levels of the styles Title and Subtitle, and of the automatic styles that are made from them."""
    levels = {"Title": 1, "Subtitle": 2}
    made = (
        (style.get(f"{_STYLE}name", ""), style.get(f"{_STYLE}parent-style-name", ""))
        for style in content.iter(f"{_STYLE}style")
    )
    return levels | {name: levels[parent] for name, parent in made if parent in levels}


@dataclass
class _Reader:
    """Walks the body; frames and notes are read after the paragraph that holds them."""

    assembly: Assembly
    titles: dict[str, int]
    lists: Lists = field(default_factory=Lists)
    page: int | None = None
    list_style: str = ""
    list_level: int = 0
    prefix: str = ""
    """What the next block begins with."""
    budget: CellBudget = field(default_factory=CellBudget)
    show: Callable[[str], None] = lambda name: None
    """Adds the text that a picture of this name in the package shows."""

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
                self._list(child)
            elif tag == f"{_TEXT}list-item":
                self._item(child)
            elif tag == f"{_OFFICE}spreadsheet":
                for sheet in child.findall(f"{_TABLE}table"):
                    add_sheet(self.assembly, sheet.get(f"{_TABLE}name", ""), _rows(sheet, _plain_cell), self.budget)
                    self._show_pictures(sheet)
            elif tag == f"{_TABLE}table":
                self._table(child)
            elif tag == f"{_DRAWING}page":
                self.page = (self.page or 0) + 1
                self._name_slide(child)
                self.flow(child)
            elif tag == f"{_PRESENTATION}notes":
                self.prefix = "Notes: "
                self.flow(child)
                self.prefix = ""
            elif tag == f"{_DRAWING}frame" and child.get(f"{_PRESENTATION}class") == "title":
                lines = ("".join(_shown(paragraph)) for paragraph in child.iter(f"{_TEXT}p"))
                for paragraph in child.iter(f"{_TEXT}p"):
                    self._add_links(paragraph)
                self._add(BlockKind.HEADING, " ".join(" ".join(lines).split()), level=2)
            else:
                self.flow(child, in_list=in_list)
                if tag == f"{_DRAWING}frame":
                    self._describe(child)

    def _describe(self, frame: Element) -> None:
        """What a picture shows, for who cannot see it, and the text in it."""
        if frame.find(f"{_DRAWING}image") is not None:
            text = frame.findtext(f"{_SVG}desc") or frame.findtext(f"{_SVG}title") or ""
            self._add(BlockKind.PARAGRAPH, text)
            self._show_pictures(frame)

    def _show_pictures(self, container: Element) -> None:
        for image in container.iter(f"{_DRAWING}image"):
            self.show(image.get(_HREF, "").removeprefix("./"))

    def _name_slide(self, slide: Element) -> None:
        """Head a slide that has no title by the name that somebody gave it."""
        name = slide.get(f"{_DRAWING}name", "")
        has_title = any(frame.get(f"{_PRESENTATION}class") == "title" for frame in slide.iter(f"{_DRAWING}frame"))
        if not has_title and not _GIVEN_NAME.fullmatch(name):
            self._add(BlockKind.HEADING, name, level=2)

    def _list(self, element: Element) -> None:
        outer_style = self.list_style
        self.list_style = element.get(f"{_TEXT}style-name", "") or outer_style
        self.list_level += 1
        if self.list_level == 1:
            self.lists.begin(self.list_style, element)
        self.flow(element, in_list=True)
        self.list_level -= 1
        self.list_style = outer_style

    def _item(self, item: Element) -> None:
        """An item's own first paragraph bears its number; one that only holds a deeper list has none."""
        before = self.prefix
        if any(child.tag in (f"{_TEXT}p", f"{_TEXT}h") for child in item):
            self.prefix += self.lists.next_label(self.list_style, self.list_level, item)
        numbered = self.prefix
        self.flow(item, in_list=True)
        if self.prefix == numbered:
            # An empty item leaves its number to nobody.
            self.prefix = before

    def _add(self, kind: BlockKind, text: str, *, level: int | None = None) -> None:
        if text.strip():
            self.assembly.add(kind, self.prefix + text, level=level, page=self.page)
            self.prefix = ""

    def _add_links(self, element: Element) -> None:
        """Tell of the links in what becomes the next block."""
        for link in _anchors(element):
            self.assembly.link("".join(_shown(link)), link.get(_HREF, ""))

    def _heading(self, heading: Element) -> None:
        level = heading.get(f"{_TEXT}outline-level", "1")
        text = " ".join("".join(_shown(heading)).split())
        self._add_links(heading)
        self._add(BlockKind.HEADING, text, level=max(1, min(6, int(level))) if level.isdecimal() else 1)
        self._inside(heading)

    def _paragraph(self, paragraph: Element, in_list: bool) -> None:
        text = "".join(_shown(paragraph))
        level = self.titles.get(paragraph.get(f"{_TEXT}style-name", ""))
        self._add_links(paragraph)
        if level is not None:
            self._add(BlockKind.HEADING, " ".join(text.split()), level=level)
        else:
            self._add(BlockKind.LIST_ITEM if in_list else BlockKind.PARAGRAPH, text)
        self._inside(paragraph)

    def _inside(self, paragraph: Element) -> None:
        for held in _held(paragraph):
            self.flow(held)
            self._describe(held)

    def _table(self, table: Element) -> None:
        rows = list(_rows(table, self._cell))
        for row in rows:
            self.budget.spend(row)
        if max(map(len, rows), default=0) <= 1 and not is_listing(row[0] for row in rows if row):
            for row in rows:
                self._add(BlockKind.PARAGRAPH, "".join(row))
            self._show_pictures(table)
            return
        self._add_links(table)
        self._add(BlockKind.TABLE, "\n".join(filter(None, map(table_row, rows))))
        self._show_pictures(table)

    def _cell(self, cell: Element) -> str:
        """All that a cell shows, on one line: numbers of lists, tables within it, what its pictures are of."""
        if not any(inner.tag in _RICH for inner in cell.iter()):
            return _plain_cell(cell)
        inner = _Reader(Assembly(), {}, self.lists, budget=self.budget)
        inner.flow(cell)
        return " ".join("".join(inner.assembly.parts).replace(" | ", " ").split())


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


def _anchors(element: Element) -> Iterator[Element]:
    """The links in what is shown of an element itself, drawings and notes left out."""
    for child in element:
        if child.tag == f"{_TEXT}a":
            yield child
        elif not _is_apart(child) and child.tag not in _NOT_SHOWN:
            yield from _anchors(child)


def _is_apart(element: Element) -> bool:
    is_drawing = element.tag.startswith(_DRAWING) and element.tag != f"{_DRAWING}a"
    return is_drawing or element.tag == _NOTE


def _rows(table: Element, text_of: _CellText, above: _Above | None = None) -> Iterator[Row]:
    """The rows of a table itself, not of tables within its cells; repeated ones up to a bound.

    What spans several rows stands in each, so that every row can be understood by itself.
    """
    above = {} if above is None else above
    for child in table:
        if child.tag in _ROW_GROUPS:
            yield from _rows(child, text_of, above)
        elif child.tag == f"{_TABLE}table-row":
            cells = _cells(child, text_of, above)
            repeated = _count(child, f"{_TABLE}number-rows-repeated", _REPEATED_ROWS) if any(cells) else 1
            for _ in range(repeated):
                yield list(cells)


def _cells(row: Element, text_of: _CellText, above: _Above) -> Row:
    """The texts of a row's cells; `above` holds what reaches down into it, by column, and into how many rows."""
    cells: Row = []
    for cell in row:
        if cell.tag not in _CELLS:
            continue
        text = text_of(cell)
        spanned = _count(cell, f"{_TABLE}number-rows-spanned", _REPEATED_ROWS)
        for _ in range(_count(cell, f"{_TABLE}number-columns-repeated", _REPEATED_CELLS)):
            down, left = above.pop(len(cells), ("", 0))
            if spanned > 1:
                down, left = text, spanned
            if left > 1:
                above[len(cells)] = (down, left - 1)
            cells.append(text or (down if cell.tag == _COVERED and left else ""))
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _plain_cell(cell: Element) -> str:
    return " ".join("".join(_shown(paragraph)) for paragraph in _cell_paragraphs(cell)).strip()


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
