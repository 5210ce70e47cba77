"""Excel workbooks: what a reader of the sheets sees, table by table; nothing hidden, run or followed."""

from __future__ import annotations

import datetime
import io
import re
import zipfile

import openpyxl
import pytest
from archives import rewritten, with_member
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.workbook import Workbook

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing import sheets
from ingest.parsing.number_formats import shown
from ingest.parsing.sandbox import SandboxedParser
from ingest.parsing.xlsx import parse_xlsx

HEADING, PARAGRAPH, TABLE = BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.TABLE


def saved(workbook: Workbook) -> bytes:
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def texts(parsed: Parsed) -> list[tuple[BlockKind, str]]:
    return [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]


def workbook_of(*rows: tuple[object, ...], title: str = "Data") -> Workbook:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(row)
    return workbook


def test_sheets_become_headings_and_each_run_of_rows_a_table_below_its_caption() -> None:
    workbook = workbook_of(
        ("Leave entitlement",),
        ("Plan", None, "Days"),
        ("Basic", None, 20),
        ("Senior", None, 30),
        (),
        ("City", "Office"),
        ("Graz", "Main street"),
        title="Leave",
    )
    workbook.create_sheet("Empty")
    notes = workbook.create_sheet("Notes")
    notes["B3"] = "Ask the people team."
    workbook.properties.title = "Entitlements 2026"

    parsed = parse_xlsx(saved(workbook))

    assert parsed.title == "Entitlements 2026"
    assert texts(parsed) == [
        (HEADING, "Leave"),
        (PARAGRAPH, "Leave entitlement"),
        (TABLE, "Plan | Days\nBasic | 20\nSenior | 30"),
        (TABLE, "City | Office\nGraz | Main street"),
        (HEADING, "Notes"),
        (PARAGRAPH, "Ask the people team."),
    ]


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (0.125, "0.0%", "12.5%"),
        (1, "0%", "100%"),
        (1234.5, "#,##0.00", "1,234.50"),
        (-1234.5, '#,##0.00 "€"', "-1,234.50 €"),
        (-1234.5, "#,##0.00_);(#,##0.00)", "(1,234.50)"),
        (1234.5, "[$€-407]#,##0.00", "€1,234.50"),
        (1234.5, '_-* #,##0.00 "CHF"_-', "1,234.50 CHF"),
        (5, "[Red]0.0", "5.0"),
        (2.5, "0.##", "2.5"),
        (2.5, "0", "3"),
        (1.005, "0.00", "1.01"),
        (0.285, "0%", "29%"),
        (-0.4, "0", "0"),
        (-0.5, "0", "-1"),
        (1e308, "0", "1" + "0" * 308),
        (0.5, "0." + "0" * 300, "0.5" + "0" * 29),
        (3, "0.##", "3"),
        (7, "00000", "7"),
        (1_500_000, '0.0,,"M"', "1.5M"),
        (12345, "0.00E+00", "1.23E+04"),
        (0, '0;-0;"none"', "0"),
        (0.1 + 0.2, "General", "0.3"),
        (10**15, "General", "1000000000000000"),
        (0.5, "# ?/?", "0.5"),
        (True, "General", "TRUE"),
        (datetime.datetime(2026, 3, 1), "dd.mm.yyyy", "2026-03-01"),  # noqa: DTZ001 - a sheet's times have no zone
        (datetime.datetime(2026, 3, 1), "yyyy-mm-dd h:mm:ss", "2026-03-01 00:00:00"),  # noqa: DTZ001 - as above
        (datetime.datetime(2026, 3, 1), '[$-409]dd "hours" mmm', "2026-03-01"),  # noqa: DTZ001 - as above
        (datetime.datetime(2026, 3, 1, 14, 30), "General", "2026-03-01 14:30"),  # noqa: DTZ001 - as above
        (datetime.date(2026, 3, 1), "dd.mm.yyyy", "2026-03-01"),
        (datetime.time(8, 0), "hh:mm", "08:00"),
        (datetime.timedelta(hours=30), "[h]:mm", "1 day, 6:00"),
        ("text", "@", "text"),
        (None, "General", ""),
    ],
)
def test_values_stand_as_the_sheet_shows_them(value: object, number_format: str, text: str) -> None:
    assert shown(value, number_format) == text


def test_formats_reach_the_text_through_a_saved_file() -> None:
    workbook = workbook_of(("Item", "Price", "Share", "Since"), ("Desk", 1299.9, 0.4, datetime.date(2024, 2, 29)))
    sheet = workbook.worksheets[0]
    sheet["B2"].number_format = '#,##0.00 "EUR"'
    sheet["C2"].number_format = "0%"
    assert "Desk | 1,299.90 EUR | 40% | 2024-02-29" in parse_xlsx(saved(workbook)).text


def test_charts_and_comments_of_a_sheet_follow_its_tables() -> None:
    workbook = workbook_of(("Year", "Ducks"), (2024, 310), (2025, 280), title="Ponds")
    sheet = workbook.worksheets[0]
    sheet["B2"].comment = Comment("Counted twice?", "Jane Editor")
    for name, state in (("Chart", "visible"), ("Hidden", "hidden")):
        chart = BarChart()
        chart.title = "Ducks by year"
        chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3), titles_from_data=True)
        drawn_on = workbook.create_chartsheet(name)
        drawn_on.add_chart(chart)
        drawn_on.sheet_state = state

    # openpyxl writes no values into a chart, where Excel keeps those that it drew.
    drawn = b"<c:numCache><c:pt idx='0'><c:v>310</c:v></c:pt><c:pt idx='1'><c:v>280</c:v></c:pt></c:numCache>"
    data = rewritten(
        saved(workbook),
        lambda name, part: (
            re.sub(rb"(<(?:c:)?numRef>.*?</(?:c:)?f>)", rb"\1" + drawn.replace(b"c:", b""), part, flags=re.S)
            if name.startswith("xl/charts/")
            else part
        ),
    )
    assert texts(parse_xlsx(data)) == [
        (HEADING, "Ponds"),
        (TABLE, "Year | Ducks\n2024 | 310\n2025 | 280"),
        (BlockKind.LIST_ITEM, "Comment on B2 (Jane Editor): Counted twice?"),
        (HEADING, "Chart"),
        (PARAGRAPH, "Ducks by year"),
        (TABLE, "| 310\n | 280"),
    ]


def test_a_thread_of_comments_has_its_people_and_is_read_once() -> None:
    workbook = workbook_of(("Ducks",), (310,))
    workbook.worksheets[0]["A2"].comment = Comment("[Threaded comment] Your version of Excel", "tc={1}")
    data = saved(workbook)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        rels = archive.read("xl/worksheets/_rels/sheet1.xml.rels").decode()
    relation = (
        '<Relationship Id="t1" Type="http://x/threadedComment" Target="../threadedComments/threadedComment1.xml"/>'
    )
    data = with_member(data, "xl/worksheets/_rels/sheet1.xml.rels", rels.replace("</Rel", f"{relation}</Rel", 1))
    comment = '<threadedComment ref="A2" dT="2026-06-18T17:12" personId="p"><text>So few?</text></threadedComment>'
    thread = f"<ThreadedComments>{comment}</ThreadedComments>"
    data = with_member(data, "xl/threadedComments/threadedComment1.xml", thread)
    data = with_member(data, "xl/persons/person.xml", '<personList><person displayName="Ana" id="p"/></personList>')
    assert parse_xlsx(data).text.endswith("310\n\nComment on A2 (Ana, 2026-06-18): So few?")


def test_hidden_sheets_are_not_read() -> None:
    workbook = workbook_of(("seen",))
    for number, state in enumerate(("hidden", "veryHidden")):
        sheet = workbook.create_sheet(f"secret{number}")
        sheet["A1"] = "salaries"
        sheet.sheet_state = state
    assert "salaries" not in parse_xlsx(saved(workbook)).text


def test_a_formula_gives_its_last_value_and_is_never_text() -> None:
    def with_value(name: str, content: bytes) -> bytes:
        return content.replace(b"<v></v>", b"<v>42</v>").replace(b"<v />", b"<v>42</v>")

    workbook = workbook_of(("Sum", "Of"), ("=1+41", "two"))
    parsed = parse_xlsx(rewritten(saved(workbook), with_value))
    assert "42 | two" in parsed.text
    assert "1+41" not in parsed.text


def test_a_sheet_that_claims_a_million_columns_costs_what_it_holds() -> None:
    def inflated(name: str, content: bytes) -> bytes:
        return content.replace(b'ref="A1:B2"', b'ref="A1:XFD1048576"')

    data = rewritten(saved(workbook_of(("a", "b"), ("c", "d"))), inflated)
    assert texts(parse_xlsx(data))[1] == (TABLE, "a | b\nc | d")


def test_a_sheet_with_a_row_beyond_excels_last_is_hostile() -> None:
    def far(name: str, content: bytes) -> bytes:
        return content.replace(b'<row r="2"', b'<row r="999999999"').replace(b' r="A2"', b' r="A999999999"')

    with pytest.raises(UnreadableDocument) as failure:
        parse_xlsx(rewritten(saved(workbook_of(("a",), ("b",))), far))
    assert failure.value.verdict == "hostile"


def test_more_cells_than_the_limit_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(workbook_of(*[(1, 2)] * 5))
    budget = sheets.CellBudget(left=10)
    monkeypatch.setattr("ingest.parsing.xlsx.CellBudget", lambda: budget)
    parse_xlsx(data)
    budget.left = 9
    with pytest.raises(UnreadableDocument) as failure:
        parse_xlsx(data)
    assert failure.value.verdict == "too_large"


ENTITY = '<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><s>&x;</s>'
LAUGHS = '<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><sst><si><t>&b;</t></si></sst>'


@pytest.mark.parametrize("declared", [ENTITY, LAUGHS], ids=["external", "laughs"])
def test_a_workbook_that_declares_entities_is_hostile(declared: str) -> None:
    data = with_member(saved(workbook_of(("a",))), "xl/sharedStrings.xml", declared)
    with pytest.raises(UnreadableDocument, match="entities") as failure:
        parse_xlsx(data)
    assert failure.value.verdict == "hostile"


def test_a_sheet_that_unpacks_without_end_is_hostile() -> None:
    data = with_member(saved(workbook_of(("a",))), "xl/worksheets/sheet1.xml", b" " * (64 * 1024 * 1024))
    with pytest.raises(UnreadableDocument, match="bomb") as failure:
        parse_xlsx(data)
    assert failure.value.verdict == "hostile"


def test_macros_and_links_to_other_workbooks_are_carried_by_and_never_opened() -> None:
    data = with_member(saved(workbook_of(("a", "b"), ("c", "d"))), "xl/vbaProject.bin", b"Sub AutoOpen()")
    link = '<externalLink xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'
    data = with_member(data, "xl/externalLinks/externalLink1.xml", link)
    with SandboxedParser() as parser:
        parsed = parser.parse(data, "table.xlsm")
    assert "c | d" in parsed.text
    assert "AutoOpen" not in parsed.text


def test_the_strict_dialect_reads_like_the_transitional() -> None:
    def strict(name: str, content: bytes) -> bytes:
        for kind in (b"officeDocument", b"spreadsheetml"):
            there = b"http://schemas.openxmlformats.org/" + kind + b"/2006/"
            content = content.replace(there, b"http://purl.oclc.org/ooxml/" + kind + b"/")
        return content

    data = saved(workbook_of(("a", "b"), ("c", "d")))
    assert parse_xlsx(rewritten(data, strict)).text == parse_xlsx(data).text


def test_a_damaged_workbook_is_malformed() -> None:
    data = with_member(saved(workbook_of(("a",))), "xl/workbook.xml", b"<workbook")
    with pytest.raises(UnreadableDocument, match="damaged") as failure:
        parse_xlsx(data)
    assert failure.value.verdict == "malformed"
