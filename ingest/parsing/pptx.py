"""PowerPoint presentations (ECMA-376): each slide a page with its title, text, tables, charts and speaker's notes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pptx
from pptx.chart.chart import Chart
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.exc import PythonPptxError
from pptx.opc.package import Part
from pptx.oxml.ns import qn
from pptx.oxml.text import CT_TextParagraph
from pptx.oxml.xmlchemy import BaseOxmlElement
from pptx.shapes.autoshape import Shape
from pptx.shapes.base import BaseShape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape
from pptx.slide import Slide
from pptx.table import Table
from pptx.text.text import TextFrame

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly, sensible_title, table_row
from ingest.parsing.detection import PPTX
from ingest.parsing.office_package import DAMAGE, damaged, vetted_package
from ingest.parsing.pictures import PictureReader
from ingest.parsing.xml_trees import xml_tree

_TITLES = (PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.VERTICAL_TITLE)
# Repeated on every slide: what stands in them says nothing about this one.
_RUNNING = (PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.HEADER)
_LISTS = (PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT, PP_PLACEHOLDER.VERTICAL_BODY, PP_PLACEHOLDER.VERTICAL_OBJECT)
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"
_DIAGRAM_DATA = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/diagramData"
_BLIP = "{http://schemas.openxmlformats.org/drawingml/2006/main}blip"
_GROUPS_DEEP = 50


def parse_pptx(data: bytes) -> Parsed:
    """Slides in their order, hidden ones too, with `page` their number; a slide's title is a heading of level 2.

    Shapes come in their order on the slide, groups and SmartArt opened, pictures with the text that is recognized in
    them; notes follow their slide. Macros and linked files are left alone; `unread` tells of pictures that were not
    looked at. Raises `UnreadableDocument`: "hostile", "encrypted", "malformed", "empty".
    """
    try:
        presentation = pptx.Presentation(io.BytesIO(vetted_package(data)))
        assembly, pictures = Assembly(), PictureReader()
        for number, slide in enumerate(presentation.slides, start=1):
            _SlideReader(assembly, pictures, number).read(slide)
        title = sensible_title(presentation.core_properties.title or "")
    except (*DAMAGE, PythonPptxError, AttributeError, TypeError, IndexError) as error:
        raise damaged("PowerPoint presentation", "PowerPoint", error) from error
    parsed = assembly.parsed(PPTX, title=title or assembly.first_heading())
    return replace(parsed, unread=pictures.cause())


@dataclass
class _SlideReader:
    assembly: Assembly
    pictures: PictureReader
    page: int

    def read(self, slide: Slide) -> None:
        title = slide.shapes.title
        if title is not None:
            self._add_links(title._element, slide.part)
            self._add(BlockKind.HEADING, title.text_frame.text, level=2)
        for shape in slide.shapes:
            if title is None or shape.shape_id != title.shape_id:
                self._shape(shape, depth=0)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            notes = slide.notes_slide.notes_text_frame.text.strip()
            self._add_links(slide.notes_slide.notes_text_frame._element, slide.notes_slide.part)
            self._add(BlockKind.PARAGRAPH, f"Notes: {notes}" if notes else "")

    def _add(self, kind: BlockKind, text: str, *, level: int | None = None) -> None:
        # A vertical tab is a line end within a paragraph.
        line = " ".join(text.split()) if kind is BlockKind.HEADING else text.replace("\v", "\n")
        self.assembly.add(kind, line, level=level, page=self.page)

    def _add_links(self, element: BaseOxmlElement, part: Part) -> None:
        """Tell of the links in what becomes the next block; those to other slides lead nowhere."""
        for click in element.iter(qn("a:hlinkClick")):
            run = click.getparent().getparent()
            relation = part.rels.get(click.get(qn("r:id"), ""))
            if relation is not None and relation.is_external:
                self.assembly.link(run.findtext(qn("a:t"), ""), relation.target_ref)

    def _shape(self, shape: BaseShape, depth: int) -> None:
        placeholder = shape.placeholder_format.type if shape.is_placeholder else None
        if placeholder in _RUNNING or depth > _GROUPS_DEEP:
            return
        if isinstance(shape, GroupShape):
            for member in shape.shapes:
                self._shape(member, depth + 1)
        elif isinstance(shape, GraphicFrame):
            self._graphic(shape)
        else:
            if isinstance(shape, Shape):
                self._text(shape.text_frame, is_list=placeholder in _LISTS, is_title=placeholder in _TITLES)
            self._pictures(shape)

    def _graphic(self, frame: GraphicFrame) -> None:
        if frame.has_table:
            self._add_links(frame._element, frame.part)
            self._table(frame.table)
        elif frame.has_chart:
            self._chart(frame.chart)
        else:
            for text in _diagram_texts(frame):
                self._add(BlockKind.LIST_ITEM, text)

    def _text(self, frame: TextFrame, *, is_list: bool, is_title: bool) -> None:
        for paragraph in frame.paragraphs:
            self._add_links(paragraph._p, frame.part)
            if is_title:
                self._add(BlockKind.HEADING, paragraph.text, level=2)
            else:
                listed = _has_bullet(paragraph._p, is_list)
                self._add(BlockKind.LIST_ITEM if listed else BlockKind.PARAGRAPH, paragraph.text)

    def _table(self, table: Table) -> None:
        # The lower and right parts of merged cells repeat nothing: they are empty or not shown.
        rows = [table_row(["" if cell.is_spanned else cell.text for cell in row.cells]) for row in table.rows]
        self._add(BlockKind.TABLE, "\n".join(row for row in rows if row))

    def _pictures(self, shape: BaseShape) -> None:
        for picture in shape._element.iter(_BLIP):
            relation = shape.part.rels.get(picture.get(qn("r:embed"), ""))
            if relation is not None and relation.reltype.endswith("/image") and not relation.is_external:
                self.pictures.add_to(self.assembly, relation.target_part.blob, page=self.page)

    def _chart(self, chart: Chart) -> None:
        if chart.has_title and chart.chart_title.has_text_frame:
            self._add(BlockKind.PARAGRAPH, chart.chart_title.text_frame.text)
        for plot in chart.plots:
            categories = [str(category) for category in plot.categories]
            series = list(plot.series)
            rows = [["", *(one.name for one in series)]]
            for index, category in enumerate(categories):
                rows.append([category, *(_point(one.values, index) for one in series)])
            self._add(BlockKind.TABLE, "\n".join(filter(None, map(table_row, rows))))


def _has_bullet(paragraph: CT_TextParagraph, by_default: bool) -> bool:
    """Whether a paragraph is a list's item: it says so itself, or its placeholder is one for lists."""
    properties = paragraph.find(qn("a:pPr"))
    if properties is None:
        return by_default
    if properties.find(qn("a:buNone")) is not None:
        return False
    return by_default or any(properties.find(qn(tag)) is not None for tag in ("a:buChar", "a:buAutoNum", "a:buBlip"))


def _point(values: tuple[float | None, ...], index: int) -> str:
    value = values[index] if index < len(values) else None
    return "" if value is None else f"{value:.11g}"


def _diagram_texts(frame: GraphicFrame) -> Iterator[str]:
    """The texts of a SmartArt diagram, which stand in a part of their own."""
    ids = next(frame._element.iter(_DIAGRAM), None)
    if ids is None:
        return
    relation = frame.part.rels[ids.get(qn("r:dm"))]
    if relation.reltype != _DIAGRAM_DATA or relation.is_external:
        return
    for paragraph in xml_tree(relation.target_part.blob).iter(qn("a:p")):
        yield "".join(run.text or "" for run in paragraph.iter(qn("a:t")))
