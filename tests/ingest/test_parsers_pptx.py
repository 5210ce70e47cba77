"""Presentations: each slide a page, with what its shapes, tables, charts and notes say."""

from __future__ import annotations

import io

import pptx
import pytest
from archives import rewritten, with_member
from linked import links
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.constants import CONTENT_TYPE as CT
from pptx.opc.constants import RELATIONSHIP_TYPE as RT
from pptx.oxml.ns import qn
from pptx.presentation import Presentation
from pptx.text.text import TextFrame
from pptx.util import Inches

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.pptx import parse_pptx

HEADING, PARAGRAPH, ITEM, TABLE = BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.LIST_ITEM, BlockKind.TABLE
BOX = (Inches(1), Inches(1), Inches(4), Inches(2))


def saved(presentation: Presentation) -> bytes:
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def blocks(parsed: Parsed) -> list[tuple[int | None, BlockKind, str]]:
    return [(block.page, block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]


def review() -> Presentation:
    presentation = pptx.Presentation()
    first = presentation.slides.add_slide(presentation.slide_layouts[1])
    first.shapes.title.text = "Annual review"
    first.placeholders[1].text = "Revenue grew\nCosts fell"
    first.notes_slide.notes_text_frame.text = "Mention the new plant."
    second = presentation.slides.add_slide(presentation.slide_layouts[5])
    second.shapes.title.text = "Figures"
    table = second.shapes.add_table(2, 2, *BOX).table
    for row, cells in enumerate((("Plan", "Days"), ("Basic", "20"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(*BOX).text_frame.text = "Grouped words"
    return presentation


def test_slides_are_pages_in_order_with_titles_lists_tables_groups_and_notes() -> None:
    parsed = parse_pptx(saved(review()))

    assert parsed.title == "Annual review"
    assert blocks(parsed) == [
        (1, HEADING, "Annual review"),
        (1, ITEM, "Revenue grew"),
        (1, ITEM, "Costs fell"),
        (1, PARAGRAPH, "Notes: Mention the new plant."),
        (2, HEADING, "Figures"),
        (2, TABLE, "Plan | Days\nBasic | 20"),
        (2, PARAGRAPH, "Grouped words"),
    ]


def test_a_chart_gives_its_title_and_its_figures() -> None:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[6])
    data = CategoryChartData()
    data.categories = ["2024", "2025"]
    data.add_series("Sales", (1.5, 2))
    data.add_series("Costs", (1, None))
    chart = slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *BOX, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Sales and costs"
    assert blocks(parse_pptx(saved(presentation))) == [
        (1, PARAGRAPH, "Sales and costs"),
        (1, TABLE, "| Sales | Costs\n2024 | 1.5 | 1\n2025 | 2 |"),
    ]


def test_merged_cells_are_read_once() -> None:
    presentation = review()
    table = presentation.slides[1].shapes[1].table
    table.cell(0, 0).merge(table.cell(0, 1))
    assert parse_pptx(saved(presentation)).text.count("Plan") == 1


def test_a_bullet_of_its_own_makes_a_list_and_its_absence_none() -> None:
    def changed(name: str, content: bytes) -> bytes:
        if name != "ppt/slides/slide1.xml":
            return content
        return content.replace(b"<a:p><a:r><a:t>Costs", b"<a:p><a:pPr><a:buNone/></a:pPr><a:r><a:t>Costs")

    parsed = parse_pptx(rewritten(saved(review()), changed))
    assert (1, PARAGRAPH, "Costs fell") in blocks(parsed)
    assert (1, ITEM, "Revenue grew") in blocks(parsed)


SMART_ART = (
    '<p:graphicFrame xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    '<p:nvGraphicFramePr><p:cNvPr id="99" name="Diagram"/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr>'
    '<p:xfrm><a:off x="0" y="0"/><a:ext cx="1" cy="1"/></p:xfrm>'
    '<a:graphic><a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/diagram">'
    '<dgm:relIds xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" r:dm="rId77"/>'
    "</a:graphicData></a:graphic></p:graphicFrame></p:spTree>"
)
DIAGRAM = (
    '<dgm:dataModel xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"'
    ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><dgm:ptLst><dgm:pt><dgm:t><a:bodyPr/>'
    "<a:p><a:r><a:t>Plan </a:t></a:r><a:r><a:t>first</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>"
)


def with_diagram(target: str, mode: str = "") -> bytes:
    relation = (
        '<Relationship Id="rId77" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/diagramData"'
        f' Target="{target}"{mode}/></Relationships>'
    )

    def changed(name: str, content: bytes) -> bytes:
        if name == "ppt/slides/slide1.xml":
            return content.replace(b"</p:spTree>", SMART_ART.encode())
        if name == "ppt/slides/_rels/slide1.xml.rels":
            return content.replace(b"</Relationships>", relation.encode())
        if name == "[Content_Types].xml":
            kind = b'<Override PartName="/ppt/diagrams/data1.xml" ContentType="application/xml"/></Types>'
            return content.replace(b"</Types>", kind)
        return content

    return with_member(rewritten(saved(review()), changed), "ppt/diagrams/data1.xml", DIAGRAM)


def test_the_texts_of_a_diagram_are_read_and_those_of_a_linked_file_are_not_sought() -> None:
    assert (1, ITEM, "Plan first") in blocks(parse_pptx(with_diagram("../diagrams/data1.xml")))
    linked = parse_pptx(with_diagram("file:///etc/hostname", ' TargetMode="External"'))
    assert linked.text == parse_pptx(saved(review())).text


def test_links_are_kept_with_where_they_lead() -> None:
    presentation = review()
    first, second = presentation.slides

    def link(frame: TextFrame, shown: str, target: str) -> None:
        run = frame.paragraphs[-1].add_run()
        run.text, run.hyperlink.address = shown, target

    link(first.shapes.title.text_frame, " here", "review.pptx")
    link(first.placeholders[1].text_frame, " again", "https://example.org/costs")
    link(first.notes_slide.notes_text_frame, " Or else.", "../notes.docx")
    link(second.shapes[1].table.cell(1, 1).text_frame, " days", "days.xlsx")
    link(second.shapes[1].table.cell(0, 0).text_frame, "s", "mailto:a@example.org")
    link(second.shapes[2].shapes[0].text_frame, " on a slide", "replaced.pptx")
    jump = next(second.shapes[2]._element.iter(qn("a:hlinkClick")))
    jump.set(qn("r:id"), second.part.relate_to(first.part, RT.SLIDE))
    assert links(parse_pptx(saved(presentation))) == [
        ("here", "review.pptx"),
        ("again", "https://example.org/costs"),
        ("Or else.", "../notes.docx"),
        ("days", "days.xlsx"),
    ]


def test_macros_and_pictures_are_carried_by_and_never_opened() -> None:
    data = with_member(saved(review()), "ppt/vbaProject.bin", b"Sub AutoOpen()")
    assert parse_pptx(data).text == parse_pptx(saved(review())).text


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml",
        "application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml",
        "application/vnd.openxmlformats-officedocument.presentationml.slideshow.main+xml",
        "application/vnd.openxmlformats-officedocument.presentationml.template.main+xml",
    ],
)
def test_shows_templates_and_presentations_with_macros_read_like_presentations(media_type: str) -> None:
    plain = saved(review())
    other = rewritten(plain, lambda _, content: content.replace(CT.PML_PRESENTATION_MAIN.encode(), media_type.encode()))

    assert other != plain
    assert parse_pptx(other) == parse_pptx(plain)


def test_a_presentation_that_declares_entities_is_hostile() -> None:
    declared = '<?xml version="1.0"?><!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>&x;</p>'
    with pytest.raises(UnreadableDocument, match="entities") as failure:
        parse_pptx(with_member(saved(review()), "ppt/slides/slide1.xml", declared))
    assert failure.value.verdict == "hostile"


def test_a_slide_that_unpacks_without_end_is_hostile() -> None:
    with pytest.raises(UnreadableDocument, match="bomb") as failure:
        parse_pptx(with_member(saved(review()), "ppt/slides/slide1.xml", b" " * (64 * 1024 * 1024)))
    assert failure.value.verdict == "hostile"


def test_a_damaged_presentation_is_malformed_and_an_empty_one_empty() -> None:
    with pytest.raises(UnreadableDocument, match="damaged") as failure:
        parse_pptx(with_member(saved(review()), "ppt/presentation.xml", b"<p:presentation"))
    assert failure.value.verdict == "malformed"
    with pytest.raises(UnreadableDocument) as failure:
        parse_pptx(saved(pptx.Presentation()))
    assert failure.value.verdict == "empty"
