"""The links of a document: found by the parsers, checked on their way, kept with the chunks that show them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from organization import bring_in, write_files
from sqlalchemy import func, select

from catalog.links import LinkRow
from catalog.models import ChunkRow, Document
from core.documents import BlockKind, Chunk, Link, Parsed
from core.errors import UnreadableDocument
from ingest.linking import shown_whole
from ingest.parsing.assembly import Assembly
from ingest.parsing.html import parse_html
from ingest.parsing.markdown import parse_markdown
from ingest.parsing.wire import LENGTHS, frame, parsed_frame, read_reply
from wiring.home import Home


def links(parsed: Parsed) -> list[tuple[str, str]]:
    return [(parsed.text[one.start : one.end], one.target) for one in parsed.links]


def test_markdown_keeps_what_a_link_shows_and_where_it_leads() -> None:
    text = """# See the [guide](./guide.md#start)

Read [how we **travel**](/travel), [it][ref] and <https://example.org/a>. [Not this](#here), [nor](mailto:a@b.org).

| form | for |
|---|---|
| [F1](forms/f1.md) | leave |

- an [item](item.md) with <a class="x" href="page.html">a page</a>

[ref]: /the/ref.md "A title"
"""
    assert links(parse_markdown(text.encode())) == [
        ("guide", "./guide.md#start"),
        ("how we travel", "/travel"),
        ("it", "/the/ref.md"),
        ("https://example.org/a", "https://example.org/a"),
        ("F1", "forms/f1.md"),
        ("item", "item.md"),
        ("a page", "page.html"),
    ]


@pytest.mark.parametrize(
    ("tag", "target"),
    [
        ('{% page "/travel/#trains" %}', "/travel/#trains"),
        ("{% link _docs/travel.md %}", "/_docs/travel.md"),
        ('{{< ref "travel.md" >}}', "travel.md"),
        ('{{% relref "../travel.md" %}}', "../travel.md"),
        ("{{ site.baseurl }}/travel", "/travel"),
        ("{{ '/travel' | relative_url }}", "/travel"),
    ],
)
def test_a_tag_of_a_site_s_generator_that_names_a_page_is_a_link(tag: str, target: str) -> None:
    parsed = parse_markdown(f"Read [how we travel]({tag}), please.".encode())
    assert (parsed.text, links(parsed)) == ("Read how we travel, please.", [("how we travel", target)])


def test_html_keeps_what_a_link_shows_and_where_it_leads() -> None:
    page = """<h1><a href="/home">Our home</a></h1>
    <p>Read <a href="travel">how we
       <b>travel</b></a>.<a href="#x">Not this</a><a>nor this</a></p>
    <table><tr><th>form</th><th>for</th></tr><tr><td><a href="f1">F1</a></td><td>leave</td></tr></table>
    <a href="card"><div><h2>A card</h2><p>and more</p></div></a><a href="icon"><img src="i.png" alt="An icon"></a>"""
    assert links(parse_html(page.encode())) == [
        ("Our home", "/home"),
        ("how we travel", "travel"),
        ("F1", "f1"),
        ("An icon", "icon"),
    ]


def test_a_link_that_is_not_shown_is_none() -> None:
    parsed = parse_html(b'<p>Shown <a href="a" hidden>hidden</a></p><p>Later: hidden, and <a href="b">this</a></p>')
    assert links(parsed) == [("this", "b")]


def test_a_block_that_shows_none_of_its_links_is_soon_left() -> None:
    hidden = "".join(f'<a href="{number}"><span hidden>hidden {number}</span></a>' for number in range(60))
    assert links(parse_html(f"<p>{hidden}<a href='last'>shown</a></p>".encode())) == [("shown", "last")]
    assembly = Assembly()
    for number in range(60):
        assembly.link(f"not {number}", "a.md")
    assembly.link("this", "b.md")
    assembly.add(BlockKind.PARAGRAPH, "Read this.")
    assert assembly.links == []


def answered(parsed: Parsed, **changed: Any) -> Parsed:
    """What is read of a parser process's answer, some fields of its header changed."""
    head, body = parsed_frame(parsed)
    if changed:
        head, body = frame(json.loads(head[LENGTHS.size :]) | changed, body)
    return read_reply(head[LENGTHS.size :], body)


def test_links_pass_from_the_parser_process_as_they_are() -> None:
    parsed = parse_markdown("Read [this](a.md) and [that](b/ü.md).".encode())
    assert answered(parsed) == parsed
    assert parsed.links == (Link(5, 9, "a.md"), Link(14, 18, "b/%C3%BC.md"))


@pytest.mark.parametrize(
    "fields",
    [
        [0, 99, "a"],
        [3, 3, "a"],
        [-1, 3, "a"],
        [0, 2, "a", 1, 3, "b"],
        [0, 2],
        [0, 2, 7],
        ["0", 2, "a"],
        [0, 2, "a\x00"],
        [0, 2, "a" * 3_000],
    ],
)
def test_links_that_no_parser_gives_are_refused(fields: list[Any]) -> None:
    with pytest.raises(UnreadableDocument, match="nonsense"):
        answered(parse_markdown(b"Read this."), links=fields)


def kept(home: Home) -> list[tuple[str, int, str]]:
    """Each kept link: the document's external id, the number in its chunk, the target."""
    query = (
        select(Document.external_id, LinkRow.number, LinkRow.target)
        .join(ChunkRow, ChunkRow.id == LinkRow.chunk_id)
        .join(Document, Document.version_id == ChunkRow.version_id)
        .order_by(Document.external_id, LinkRow.number)
    )
    with home.catalog.read() as session:
        return [tuple(row) for row in session.execute(query)]


def in_all(home: Home) -> int:
    with home.catalog.read() as session:
        return session.scalars(select(func.count()).select_from(LinkRow)).one()


def test_links_come_and_go_with_the_version_that_has_them(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {"a.md": "[one](b.md) and [two](c.md)\n", "b.md": "# B\n\nNothing.\n"})
    bring_in(home, folder)
    assert kept(home) == [("a.md", 1, "b.md"), ("a.md", 2, "c.md")]

    (folder / "a.md").write_text("Now [three](b.md).\n")
    bring_in(home, folder)
    assert kept(home) == [("a.md", 1, "b.md")]

    (folder / "a.md").unlink()
    bring_in(home, folder, prune="yes")
    assert in_all(home) == 0


def test_a_document_that_moves_is_found_at_its_new_place(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {"hr/leave.md": "# Leave\n\nThirty days.\n"})
    bring_in(home, folder)
    (folder / "people").mkdir()
    (folder / "hr/leave.md").rename(folder / "people/Leave.md")
    assert bring_in(home, folder).moved == 1

    with home.catalog.read() as session:
        assert session.scalars(select(Document.place_key)).all() == ["people/leave"]


def test_a_link_that_a_chunk_shows_half_is_kept_with_none() -> None:
    chunks = [Chunk(0, 0, 10, (), None), Chunk(1, 12, 20, (), None)]
    whole, cut, second = Link(2, 6, "a"), Link(8, 13, "b"), Link(12, 20, "c")
    assert list(shown_whole([71, 72], chunks, [whole, cut, second])) == [(71, whole), (72, second)]
