# ruff: noqa: E501 - a control word a line
"""RTF: what Word would show comes out, in the characters it would show; what it hides does not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.documents import BlockKind, Parsed, clean_text
from core.errors import UnreadableDocument
from ingest.parsing import rtf
from ingest.parsing.rtf import parse_rtf

HEADING, PARAGRAPH, ITEM, TABLE = BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.LIST_ITEM, BlockKind.TABLE
FONTS = rb"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset128 MS Gothic;}}"


def texts(parsed: Parsed) -> list[tuple[BlockKind, str]]:
    return [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]


def read(body: bytes) -> list[tuple[BlockKind, str]]:
    return texts(parse_rtf(rb"{\rtf1\ansi\ansicpg1252\deff0" + FONTS + body + b"}"))


def shown(body: bytes) -> str:
    return "\n".join(text for _, text in read(body))


def test_paragraphs_headings_items_and_tables_are_told_apart() -> None:
    body = rb"""{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 Whatever;}{\s2 heading 2;}{\*\cs10 Default;}}
{\info{\title Leave policy}{\author Nobody}}{\header Page header}{\footer\pard 1\par}
\pard\plain\s1 Leave\par\pard\plain\s2 Paid leave\par
\pard\plain Everyone has {\b 20 days}
 of leave.\par
\pard{\listtext\f0 1.\tab}\ls1 First\par\pard{\*\pn\pnlvlblt{\pntxtb\'b7}}{\pntext\'b7\tab}Second\par
\trowd\cellx100\cellx200\pard\intbl Kind\cell Days\cell\row
\trowd\cellx100\cellx200\pard\intbl Paid\cell 20\par or more\cell\row
\pard After the table{\footnote\pard\plain {\super\chftn} with a note}.\par"""
    assert read(body) == [
        (HEADING, "Leave"),
        (HEADING, "Paid leave"),
        (PARAGRAPH, "Everyone has 20 days of leave."),
        (ITEM, "1. First"),
        (ITEM, "Second"),
        (TABLE, "Kind | Days\nPaid | 20 or more"),
        (PARAGRAPH, "After the table ( with a note)."),
    ]
    parsed = parse_rtf(rb"{\rtf1\ansi" + body + b"}")
    assert parsed.title == "Leave policy"
    assert [block.level for block in parsed.blocks][:2] == [1, 2]


def test_a_table_within_a_cell_is_text_of_the_cell() -> None:
    inner = rb"\pard\intbl\itap2 a\nestcell b\nestcell{\*\nesttableprops\trowd\nestrow}{\nonesttables\par}"
    outer = rb"\trowd\pard\intbl\itap1 Outer\par" + inner + rb"\pard\intbl\itap1 end\cell last\cell\row\pard x\par"
    assert read(outer) == [(TABLE, "Outer a | b end | last"), (PARAGRAPH, "x")]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb"caf\'e9", "café"),
        (rb"{\f1 \'cf\'f0\'e8\'e2\'e5\'f2} caf\'e9", "Привет café"),
        (rb"{\f2 \'93\'fa\'96\'7b}", "日本"),
        (rb"\u8364?5 \u8364\'80 \uc0\u8364 x \uc2\u8364abc", "€5 € €x €c"),
        (rb"{\uc3\u28450abc}d \u-10179?\u-8704?", "漢d 😀"),
        (rb"a\emdash b\endash c\~d\_e\-f \lquote g\rquote  \ldblquote h\rdblquote", "a—b–c d\u2011ef ‘g’ “h”"),
        (rb"\{a\\b\}", "{a\\b}"),
        (rb"a\tab b\line c", "a\tb\nc"),
        (b"broken\r\n over lines\\\nnew", "broken over lines\nnew"),
        (rb"{\field{\*\fldinst HYPERLINK secret}{\fldrslt the link}}", "the link"),
        (rb"seen {\v hidden}{\deleted gone}{\*\unknown nothing}{\pict\wmetafile8 0102ab}{\*\bkmkstart mark}after", "seen after"),
        (rb"a{\object\objemb{\*\objdata 0102}{\result shown}}b", "ashownb"),
        (rb"x{\bin4 }}{{y}z", "xyz"),
        (rb"{\*\shppict{\pict 00}}{\shp{\*\shpinst{\sp{\sn a}{\sv 1}}{\shptxt In a box.\par}}}", "In a box."),
        (rb"{\upr{ascii}{\*\ud{wide}}}", "ascii"),
    ],
)  # fmt: skip
def test_characters_come_out_as_they_are_shown(body: bytes, text: str) -> None:
    assert shown(body) == text


@pytest.mark.parametrize(("cut", "verdict"), [(40, "malformed"), (12, "malformed")])
def test_what_ends_before_it_says_anything_is_damaged(cut: int, verdict: str) -> None:
    with pytest.raises(UnreadableDocument) as failure:
        parse_rtf((rb"{\rtf1\ansi" + FONTS + rb"\pard words}")[:cut])
    assert failure.value.verdict == verdict


def test_a_document_cut_off_in_its_text_keeps_what_came_before() -> None:
    assert parse_rtf(rb"{\rtf1\ansi First.\par{\b Second").text == "First.\n\nSecond"
    assert texts(parse_rtf(rb"{\rtf1\intbl a\cell b\cell\row\intbl c\cell d")) == [(TABLE, "a | b\nc | d")]


def test_groups_deeper_than_programs_write_are_hostile() -> None:
    deep = rb"{\rtf1 " + b"{" * (rtf.DEEPEST - 1) + b"x"
    assert parse_rtf(deep).text == "x"
    with pytest.raises(UnreadableDocument) as failure:
        parse_rtf(deep.replace(b"x", b"{x"))
    assert failure.value.verdict == "hostile"


@pytest.mark.parametrize(
    "body",
    [b"\\'e9" * 60_000, b"\\par" * 60_000, b"\\itap9\\nestcell" * 20_000, b"{}" * 60_000, b"\\u1" * 60_000, b"\\" * 99_999],
)  # fmt: skip
def test_no_document_takes_more_than_its_length_is_worth(body: bytes) -> None:
    began = time.process_time()
    try:
        parse_rtf(rb"{\rtf1 x" + body)
    except UnreadableDocument:
        pass
    assert time.process_time() - began < 5.0


@given(st.lists(st.sampled_from([b"{", b"}", b"\\par ", b"\\'e9", b"\\u300 ", b"\\cell ", b"\\row ", b"\\intbl ", b"\\itap2 ",
    b"\\nestrow ", b"\\*", b"\\v ", b"\\pard ", b"\\stylesheet ", b"\\s1 ", b"\\f1 ", b"\\bin3 ", b"a", b" ", b"\\listtext "]),
    max_size=40))  # fmt: skip
def test_any_control_words_give_clean_text_with_blocks_in_order(words: list[bytes]) -> None:
    try:
        parsed = parse_rtf(rb"{\rtf1 x" + b"".join(words))
    except UnreadableDocument:
        return
    assert parsed.text == clean_text(parsed.text)
    edges = [edge for block in parsed.blocks for edge in (block.start, block.end)]
    assert edges == sorted(edges) and edges[-1] <= len(parsed.text)
