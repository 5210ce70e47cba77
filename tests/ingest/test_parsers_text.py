"""Markdown, HTML, plain text, CSV and TSV: what a reader sees comes out, marks and boilerplate do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.documents import BlockKind, Parsed, clean_text
from core.errors import UnreadableDocument
from ingest.parsing.assembly import TITLE_CHARACTERS
from ingest.parsing.delimited import parse_csv, parse_tsv
from ingest.parsing.html import parse_html
from ingest.parsing.markdown import parse_markdown
from ingest.parsing.plain_text import parse_plain_text

HEADING, PARAGRAPH, ITEM = BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.LIST_ITEM
TABLE, CODE = BlockKind.TABLE, BlockKind.CODE


def texts(parsed: Parsed) -> list[tuple[BlockKind, str]]:
    return [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]


MARKDOWN = b"""---
title: Leave policy
tags: [hr, "people"]
---
# Leave

Everyone has **20 days** of [paid leave](https://example.org/leave "rules"); see `hr.yaml`.
It is
wrapped.

- Ask *early*
  - in writing
1. First
2. Second

| Kind | Days |
|------|------|
| Paid | 20   |
| Sick | **10** |

```python
def days():
    return 20
```

## Unpaid &amp; other {#unpaid}

<details><summary>More</summary><script>alert(1)</script>Ask <b>HR</b>.</details>

{{< youtube abc >}} {% if x %}Dear {{companyName}}{% endif %} ![A chart of leave](chart.png)
"""


def test_markdown_becomes_text_without_marks() -> None:
    parsed = parse_markdown(MARKDOWN)

    assert parsed.title == "Leave policy"
    assert texts(parsed) == [
        (HEADING, "Leave"),
        (PARAGRAPH, "Everyone has 20 days of paid leave; see hr.yaml. It is wrapped."),
        (ITEM, "Ask early"),
        (ITEM, "in writing"),
        (ITEM, "1. First"),
        (ITEM, "2. Second"),
        (TABLE, "Kind | Days\nPaid | 20\nSick | 10"),
        (CODE, "def days():\n    return 20"),
        (HEADING, "Unpaid & other"),
        (PARAGRAPH, "More"),
        (PARAGRAPH, "Ask HR."),
        (PARAGRAPH, "Dear {{companyName}} A chart of leave"),
    ]
    assert [block.level for block in parsed.blocks if block.kind is HEADING] == [1, 2]


def test_a_cell_that_spans_rows_stands_in_each_and_columns_keep_their_places() -> None:
    page = (
        "<table><tr><th>Year<th colspan=2>Sales<th>Note<tr><td rowspan=3>2025<td>4<td>5<td rowspan=999999999>ok"
        "<tr><td>6<td>7<tr><td colspan=999999999>8</table>"
    )
    expected = "Year | Sales |  | Note\n2025 | 4 | 5 | ok\n2025 | 6 | 7 | ok\n2025 | 8"
    assert parse_html(page.encode()).text.startswith(expected)


def test_a_number_that_is_raised_behind_a_digit_is_no_more_of_it() -> None:
    page = "<html><body><p>10<sup>6</sup> on the 1<sup>st</sup> of 5 m<sup>2</sup><table><tr><td>10<sup>-3</sup><td>b"
    assert parse_html(page.encode()).text == "10^6 on the 1st of 5 m2\n\n10^-3 | b"


def test_headings_over_columns_and_numbers_within_cells_belong_to_the_table() -> None:
    head = "<table><tr><td><h2>Plan</h2><td><h2>Steps</h2></tr>"
    steps = "<td><ol start=3><li>Ask<li>Wait<ul><li>long</ul></ol></td>"
    parsed = parse_html(f"<html><body>{head}<tr><td>Basic{steps}</tr></table>".encode())
    assert parsed.text == "Plan | Steps\nBasic | 3. Ask 4. Wait long"
    framed = parse_html(f"<html><body>{head}<tr><td>Basic<td><h3>Inner</h3>words</tr></table>".encode())
    assert BlockKind.TABLE not in {block.kind for block in framed.blocks}


def test_a_table_with_heads_may_hold_another_in_a_cell() -> None:
    inner = "<table><tr><td>Short<td>Long</table>"
    page = f"<table><tr><th>Action<th>How<tr><td>Quack<td>{inner}</table><table><tr><td>{inner}</table>"
    assert parse_html(page.encode()).text == "Action | How\nQuack | Short Long\n\nShort | Long"


@pytest.mark.parametrize(
    ("front", "title"),
    [
        (b"---\ntitle: {{ broken: yaml\n---\n# Heading\n", "{{ broken: yaml"),
        (b"---\nlayout: page\n---\n# Heading\n", "Heading"),
        (b"---\n\nA rule, not front matter\n\n---\n\n# Heading\n", "Heading"),
        (b"Text\n\n## Second\n\n# First\n", "First"),
    ],
)
def test_a_markdown_title_comes_from_front_matter_or_else_the_first_of_the_highest_headings(
    front: bytes, title: str
) -> None:
    assert parse_markdown(front).title == title


PAGE = """<!doctype html><html><head><title> Travel
 policy </title><style>p {}</style></head><body>
<nav><a href=/>Home</a></nav><header><h1>Travel</h1></header>
<p>Book <a href="https://x.org">early</a>.<br>Keep receipts.<p hidden>secret</p>
<p style="display: none">invisible</p><div aria-hidden="true">icon</div><script>evil()</script>
Loose <em>text</em><ul><li>Train<ul><li>first class</li></ul></li><li><p>Plane</p></li></ul>
<ol start="3"><li>Third</li><li>Fourth</li></ol>
<pre>a
  b</pre>
<table><caption>Rates</caption><tr><th>City<th>Rate<tr><td rowspan=2>Rome<td>90 &euro;<tr><td><p>95</p> &euro;</table>
<table><tr><td><h2>In a layout table</h2><p>Framed.</p></td></tr></table>
<footer>Imprint</footer></body></html>"""


def test_html_becomes_what_a_reader_sees() -> None:
    parsed = parse_html(PAGE.encode())

    assert parsed.title == "Travel policy"
    assert texts(parsed) == [
        (HEADING, "Travel"),
        (PARAGRAPH, "Book early.\nKeep receipts."),
        (PARAGRAPH, "Loose text"),
        (ITEM, "Train"),
        (ITEM, "first class"),
        (ITEM, "Plane"),
        (ITEM, "3. Third"),
        (ITEM, "4. Fourth"),
        (CODE, "a\n  b"),
        (PARAGRAPH, "Rates"),
        (TABLE, "City | Rate\nRome | 90 €\nRome | 95 €"),
        (HEADING, "In a layout table"),
        (PARAGRAPH, "Framed."),
    ]


def test_a_page_that_is_all_navigation_keeps_it() -> None:
    assert parse_html(b"<nav><a href=/a>Payroll</a></nav>").text == "Payroll"


def test_html_nested_deeper_than_any_stack_is_read() -> None:
    assert parse_html(b"<div>" * 20_000 + b"deep" + b"</div>" * 20_000).text == "deep"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "windows-1252", "iso-8859-1"]
)
def test_html_is_read_in_the_encoding_it_declares_or_shows(encoding: str) -> None:
    page = f'<html><head><meta charset="{encoding}"></head><body><p>Überstunden für Bücher</p></body></html>'
    assert parse_html(page.encode(encoding)).text == "Überstunden für Bücher"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_plain_text_is_read_in_its_encoding(encoding: str) -> None:
    text = "Überstunden\n\nDie Regelung für Überstunden gilt für alle.\nAusnahmen genehmigt die Führungskraft."
    parsed = parse_plain_text(text.encode(encoding))
    assert (parsed.text, parsed.title) == (text, "Überstunden")


def test_a_text_that_opens_with_a_sentence_has_no_title() -> None:
    assert parse_plain_text(b"It rains.\n\nIt pours.").title == ""


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_in_text_keeps_a_row_on_a_line_whatever_its_delimiter(delimiter: str) -> None:
    rows = [["name", "city", "note"], ["Ana", "Rome", '"says ""hi, all""; twice\nor more"'], ["Ben", "", "x"]]
    parsed = parse_csv("\r\n".join(delimiter.join(row) for row in rows).encode())

    assert texts(parsed) == [(TABLE, 'name | city | note\nAna | Rome | says "hi, all"; twice or more\nBen |  | x')]


def test_a_row_longer_than_pythons_own_limit_is_read() -> None:
    parsed = parse_csv(b"id,page\n1," + b"word " * 40_000)

    assert len(parsed.text) > 131_072


def test_the_line_that_tells_excel_the_delimiter_is_obeyed_and_not_shown() -> None:
    assert parse_csv(b"sep=;\r\na,b;c\r\n1,5;2\r\n").text == "a,b | c\n1,5 | 2"


@pytest.mark.parametrize("parse", [parse_plain_text, parse_markdown, parse_csv])
def test_characters_that_nobody_sees_are_no_text(parse: object) -> None:
    with pytest.raises(UnreadableDocument) as failure:
        parse("\u200b\u2060 \u00a0\n\ufeff".encode())  # type: ignore[operator]
    assert failure.value.verdict == "empty"


def test_tabs_part_the_cells_of_tsv_only() -> None:
    assert parse_tsv(b"a,b\tc\n1,2\t3\n").text == "a,b | c\n1,2 | 3"


@given(
    st.lists(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=2, max_size=5), min_size=1)
)
def test_every_cell_of_a_table_comes_out_in_its_row(rows: list[list[str]]) -> None:
    parsed = parse_tsv("\n".join("\t".join(row) for row in rows).encode("utf-16"))
    assert [line.split(" | ") for line in parsed.text.split("\n")] == [
        [clean_text(cell) for cell in row] for row in rows
    ]


@pytest.mark.parametrize("parse", [parse_markdown, parse_html, parse_plain_text, parse_csv, parse_tsv])
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_give_clean_text_with_blocks_in_order_or_are_empty(parse: object, data: bytes) -> None:
    try:
        parsed: Parsed = parse(data)  # type: ignore[operator]
    except UnreadableDocument as failure:
        assert failure.verdict in ("empty", "malformed")
        return
    assert parsed.text == clean_text(parsed.text)
    edges = [edge for block in parsed.blocks for edge in (block.start, block.end)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= len(parsed.text)
    for block in parsed.blocks:
        text = parsed.text[block.start : block.end]
        assert text.strip() and text == text.rstrip()
    inside = {place for block in parsed.blocks for place in range(block.start, block.end)}
    assert all(parsed.text[place].isspace() for place in range(len(parsed.text)) if place not in inside)


def test_a_long_title_is_cut_so_that_chunks_have_room_under_it() -> None:
    title = parse_markdown(b"# " + b"very " * 200 + b"long\n\nText.\n").title
    assert len(title) <= TITLE_CHARACTERS
    assert title.endswith("very…")
