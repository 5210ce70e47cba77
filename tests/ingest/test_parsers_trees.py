"""JSON and XML: every value after the path that leads to it, records as tables, running text as it runs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.json_text import parse_json, parse_json_lines
from ingest.parsing.sandbox import SandboxedParser
from ingest.parsing.xml_text import parse_xml

PARAGRAPH, TABLE = BlockKind.PARAGRAPH, BlockKind.TABLE


def blocks(parsed: Parsed) -> list[tuple[BlockKind, str]]:
    return [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]


def read(value: object) -> Parsed:
    return parse_json(json.dumps(value).encode())


def test_values_stand_after_the_path_of_their_keys() -> None:
    parsed = read({"title": "Limits", "retries": {"max": 5, "on": ["error", "timeout"]}, "off": None, "strict": True})
    assert parsed.title == "Limits"
    assert blocks(parsed) == [(PARAGRAPH, "title: Limits\nretries.max: 5\nretries.on: error, timeout\nstrict: true")]


def test_records_alike_are_a_table_and_a_large_document_is_cut_part_by_part() -> None:
    plans = [{"plan": "Basic", "days": 20}, {"plan": "Senior", "days": 30}]
    settings = {f"key{n}": n for n in range(30)}
    parsed = read({"version": 2, "plans": plans, "settings": settings, "steps": [{"do": {"what": "a"}}, ["b", ["c"]]]})
    assert blocks(parsed) == [
        (PARAGRAPH, "version: 2"),
        (PARAGRAPH, "plans:"),
        (TABLE, "plan | days\nBasic | 20\nSenior | 30"),
        (PARAGRAPH, "\n".join(f"settings.key{n}: {n}" for n in range(30))),
        (PARAGRAPH, "steps[0].do.what: a"),
        (PARAGRAPH, "steps[1][0]: b"),
        (PARAGRAPH, "steps[1][1]: c"),
    ]


def test_lines_of_json_are_records_of_their_own_under_either_name() -> None:
    lines = b'{"q": "What?", "a": {"text": "This."}}\n\n{"q": "Why?", "a": {"text": "That."}}\n'
    expected = [(PARAGRAPH, "q: What?\na.text: This."), (PARAGRAPH, "q: Why?\na.text: That.")]
    assert blocks(parse_json_lines(lines)) == expected
    assert blocks(parse_json(lines)) == expected


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_of_json_ends_where_json_says_and_a_damaged_one_is_named(end: str) -> None:
    record = '{"q": "one\u2028two"}'
    assert "one" in parse_json_lines(end.join((record, record)).encode()).text
    with pytest.raises(UnreadableDocument, match=r"line 3, column 2\b"):
        parse_json_lines(end.join((record, record, "{bad")).encode())


VALUES = st.recursive(
    st.text(st.characters(categories=("L", "N")), min_size=1) | st.integers() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=60,
)


def leaves(value: object) -> list[str]:
    if isinstance(value, dict | list):
        return [leaf for item in (value.values() if isinstance(value, dict) else value) for leaf in leaves(item)]
    return [value if isinstance(value, str) else json.dumps(value)]


@given(st.dictionaries(st.text("abc", min_size=1), VALUES, min_size=1))
def test_no_value_of_a_document_is_lost(value: dict[str, object]) -> None:
    wanted = leaves(value)
    text = read(value).text if wanted else ""
    assert all(parse_json(json.dumps([leaf]).encode()).text in text for leaf in wanted)


@pytest.mark.parametrize("data", [b"{", b'{"a": 1', b"[1, 2", b'{"a": 1}\n{"b"'])
def test_cut_off_json_is_malformed(data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="line") as failure:
        parse_json(data)
    assert failure.value.verdict == "malformed"


def test_records_become_lines_with_attributes_and_running_text_stays_whole() -> None:
    source = b"""<?xml version="1.0"?><!-- draft --><staff><title>People</title>
    <person id="7"><name>Ana</name><office floor="2">Graz</office></person>
    <note>Call <b>before</b> noon.<!-- not this --> Always.</note></staff>"""
    parsed = parse_xml(source)
    assert parsed.title == "People"
    assert blocks(parsed) == [
        (PARAGRAPH, "title: People"),
        (PARAGRAPH, "person.id: 7\nperson.name: Ana\nperson.office.floor: 2\nperson.office: Graz"),
        (PARAGRAPH, "Call before noon. Always."),
    ]


def test_xml_whose_bytes_are_not_in_the_encoding_it_names_is_read_as_what_it_is() -> None:
    source = '<?xml version="1.0" encoding="UTF-8"?><a>Übung</a>'
    for encoding in ("utf-8", "utf-16", "utf-16-le"):
        assert parse_xml(source.encode(encoding)).text == "Übung"
    assert parse_xml(source.replace("UTF-8", "ISO-8859-1").encode("latin-1")).text == "Übung"


def laughs(levels: int) -> str:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, levels))
    return f'<!DOCTYPE a [<!ENTITY l0 "ha">{entities}]><a>&l{levels - 1};</a>'


@pytest.mark.parametrize(
    "source",
    [
        laughs(10),
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p.dtd"> %p;]><a/>',
        '<!DOCTYPE a [<!ENTITY unused "x">]><a>harmless</a>',
    ],
    ids=["laughs", "file", "parameter", "unused"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_that_declares_entities_is_hostile(source: str, encoding: str) -> None:
    with pytest.raises(UnreadableDocument, match="entities") as failure:
        parse_xml(f'<?xml version="1.0" encoding="{encoding}"?>{source}'.encode(encoding))
    assert failure.value.verdict == "hostile"


def test_a_document_type_without_entities_is_read_and_never_fetched() -> None:
    source = b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a>words</a>'
    assert parse_xml(source).text == "words"


def test_nesting_without_end_is_hostile_in_the_sandbox_and_the_next_document_is_read() -> None:
    deep = 200_000
    with SandboxedParser() as parser:
        for data, name in (
            (b"[" * deep + b"]" * deep, "deep.json"),
            (b"<a>" * deep + b"x" + b"</a>" * deep, "deep.xml"),
        ):
            with pytest.raises(UnreadableDocument) as failure:
                parser.parse(data, name)
            assert failure.value.verdict == "hostile"
            assert parser.parse(b'{"a": "fine"}', "fine.json").text == "a: fine"
