"""Notion, against a double that was written from its API's documentation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from conformance import SECRET, ConnectorContract, listing, synced
from doubles.hosted import Reply
from doubles.notion_api import Node, NotionApi, text
from hosted_site import HostedContract, HostedSite
from linked import links
from pydantic import SecretStr, ValidationError

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors.api import Patience
from ingest.connectors.notion import Notion, NotionSettings, open_notion
from ingest.connectors.notion_blocks import Block, blocks_html, value_of
from ingest.connectors.protocol import CursorExpired
from ingest.parsing.html import parse_html


class Workspace(HostedSite):
    """Pages that were shared with an integration, as their people use them; time passes between what they do."""

    def __init__(self, double: NotionApi) -> None:
        super().__init__(double)
        self.double = double

    def connect(self, secret: str = SECRET, **settings: object) -> Notion:
        base = {"base_url": self.double.url, "page_documents": 3}
        patience = Patience(sleep=self.waits.append)
        return Notion(NotionSettings.model_validate(base | settings), SecretStr(secret), patience, 2000)

    def connect_unwelcome(self) -> Notion:
        return self.connect(secret="wrong")

    def add(self, name: str, words: str) -> str:
        page = self.double.page(name)
        self.double.block(page, "paragraph", rich_text=text(words))
        self.double.later(minutes=10)
        return external(page)

    def change(self, external_id: str, words: str) -> None:
        page = self.node(external_id)
        self.double.block(page, "paragraph", rich_text=text(words))
        self.double.edit(page)
        self.double.later(minutes=10)

    def rename(self, external_id: str, name: str) -> bool:
        page = self.node(external_id)
        page.facts["properties"]["Name"]["title"] = text(name)
        self.double.edit(page)
        self.double.later(minutes=10)
        return True

    def remove(self, external_id: str) -> None:
        self.node(external_id).in_trash = True
        self.double.later(minutes=10)

    def node(self, external_id: str) -> Node:
        plain = external_id.partition("/")[2]
        return next(node for node in self.double.nodes.values() if node.id.replace("-", "") == plain)

    def found(self, **settings: object) -> set[str]:
        with closing(self.connect(**settings)) as connector:
            return set(listing(connector)[0])


def external(node: Node, kind: str = "pages") -> str:
    return f"{kind}/{node.id.replace('-', '')}"


@pytest.fixture
def site() -> Iterator[Workspace]:
    with NotionApi(SECRET).running() as double, double.storage.running():
        yield Workspace(double)


class TestNotion(ConnectorContract, HostedContract):
    pass


# What is brought in


def test_a_page_is_read_with_all_that_is_nested_in_it(site: Workspace) -> None:
    page = site.double.page("Plan & <budget>", site.double.page("Handbook"))
    toggle = site.double.block(page, "toggle", rich_text=text("More"))
    items = [site.double.block(toggle, "bulleted_list_item", rich_text=text(f"item{number}")) for number in range(5)]
    site.double.block(items[2], "to_do", rich_text=text("do it"), checked=True)
    site.double.page("A page below", page)
    with closing(site.connect()) as connector:
        found = listing(connector)[0][external(page)]
        parsed = parse_html(connector.fetch(found))
    assert parsed.title == "Plan & <budget>" and found.name == "Plan & <budget>.html"
    assert found.uri == f"https://www.notion.so/{page.id.replace('-', '')}"
    wanted = ["Handbook", "More", "item0", "item1", "item2", "[x] do it", "item3", "item4", "A page below"]
    places = [parsed.text.index(words) for words in wanted]
    assert places == sorted(places)


def test_rows_of_a_database_are_pages_with_their_properties(site: Workspace) -> None:
    rows = site.double.database("Invoices", site.double.page("Finance"))
    row = site.double.page(
        "Rent",
        rows,
        Sum={"id": "a", "type": "number", "number": 900.5},
        Paid={"id": "b", "type": "status", "status": {"name": "Done"}},
    )
    hidden = site.double.page("New", rows)
    hidden.unsearched = True
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        html = connector.fetch(found[external(row)]).decode()
    assert "<tr><th>Sum</th><td>900.5</td></tr><tr><th>Paid</th><td>Done</td></tr>" in html
    assert "Finance › Invoices" in html
    assert external(hidden) in found, "the search lags behind, the table does not"


def test_files_are_documents_of_their_own_fetched_where_they_lie_at_the_moment(site: Workspace) -> None:
    files = [
        {"name": "bill.pdf", "type": "file"},
        {"name": "elsewhere", "type": "external", "external": {"url": "http://169.254.169.254/"}},
    ]
    page = site.double.page("Bills", Papers={"id": "p", "type": "files", "files": files})
    site.double.storage.files["bill.pdf"] = b"the bill"
    column = site.double.block(page, "column")
    report = site.double.file_block(column, "pdf", "report.pdf", b"the report")
    site.double.block(page, "pdf", type="external", external={"url": "http://169.254.169.254/x.pdf"}, caption=[])
    big = site.double.file_block(page, "file", "big.bin", b"x" * 2001)
    site.double.later(minutes=10)
    with closing(site.connect()) as connector:
        found, cursor, _ = listing(connector)
        named = {one.name: one for one in found.values()}
        assert set(named) == {"Bills.html", "bill.pdf", "report.pdf", "big.bin"}
        assert connector.fetch(named["report.pdf"]) == b"the report"
        assert connector.fetch(named["bill.pdf"]) == b"the bill"
        assert connector.fetch(named["bill.pdf"]) == b"the bill"
        with pytest.raises(UnreadableDocument):
            connector.fetch(named["big.bin"])
        page_text = connector.fetch(found[external(page)]).decode()
        again, _ = synced(connector, found, cursor)
        kept = repr((found, cursor, page_text))
        big.in_trash = True
        files.pop(0)
        site.double.edit(page)
        site.double.later(minutes=10)
        after, _ = synced(connector, again, cursor)
        with pytest.raises(NotFound):
            connector.fetch(named["bill.pdf"])
    assert "report.pdf" in page_text
    assert "ignature" not in kept and site.double.storage.url not in kept and "169.254" not in kept
    assert again == found
    assert set(after) == {external(page), external(report, "files")}
    assert site.found(files=False) == {external(page)}


def test_pages_in_the_bin_or_taken_from_the_integration_go_and_come_back(site: Workspace) -> None:
    pages = [site.double.page(name) for name in ("kept", "binned", "taken")]
    site.double.file_block(pages[2], "file", "its.txt", b"text")
    site.double.later(minutes=10)
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        pages[1].in_trash, pages[2].shared = True, False
        without, cursor = synced(connector, before, cursor)
        pages[1].lingers = True
        assert synced(connector, without, cursor)[0] == without, "the search lags behind"
        pages[1].in_trash, pages[2].shared = False, True
        after, _ = synced(connector, without, cursor)
    assert set(without) == {external(pages[0])}
    assert len(before) == 4 and set(after) == set(before)


def test_what_another_integration_does_not_see_is_not_gone_page_by_page(site: Workspace) -> None:
    site.add("page", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        site.double.bot = "5b2f1f30-0000-4000-8000-000000000000"
        with pytest.raises(CursorExpired):
            listing(connector, cursor)


def test_a_page_that_the_search_leaves_out_is_asked_for_before_it_counts_as_gone(site: Workspace) -> None:
    page = site.double.page("page")
    site.double.later(minutes=10)
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        page.unsearched = True
        after, cursor = synced(connector, before, cursor)
        assert after == before
        site.change(external(page), "numbat")
        changed, _ = synced(connector, after, cursor)
    assert changed[external(page)].revision != before[external(page)].revision


def test_two_changes_in_one_minute_are_both_read(site: Workspace) -> None:
    page = site.double.page("page")
    with closing(site.connect()) as connector:
        first, cursor, _ = listing(connector)
        site.double.later(seconds=20)
        site.double.block(page, "paragraph", rich_text=text("numbat"))
        site.double.edit(page)
        second, cursor = synced(connector, first, cursor)
        site.double.later(minutes=5)
        third, cursor = synced(connector, second, cursor)
        fourth, _ = synced(connector, third, cursor)
    revisions = [one[external(page)].revision for one in (first, second, third, fourth)]
    assert len(set(revisions)) == 3 and revisions[2] == revisions[3]


def test_a_page_that_a_list_of_changes_does_not_concern_is_not_named_again(site: Workspace) -> None:
    for number in range(5):
        site.add(f"page {number}", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        site.add("new", "text")
        pages = list(connector.changes(cursor))
    assert [one.name for page in pages for one in page.listed] == ["new.html"]
    assert not any(page.whole for page in pages) and pages[-1].last


def test_a_page_below_one_that_is_renamed_is_read_again(site: Workspace) -> None:
    above = site.double.page("Handbook")
    below, other = site.double.page("Leave", above), site.double.page("Other")
    site.double.later(minutes=10)
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.rename(external(above), "Staff")
        after, _ = synced(connector, before, cursor)
        assert "Staff" in connector.fetch(after[external(below)]).decode()
    assert after[external(other)].revision == before[external(other)].revision


def test_only_what_stands_below_a_root_is_brought_in(site: Workspace) -> None:
    root, other = site.double.page("root"), site.double.page("other")
    column = site.double.block(site.double.block(root, "column_list"), "column")
    nested = site.double.page("nested", column)
    rows = site.double.database("table", nested)
    row = site.double.page("row", rows)
    lost = site.double.page("lost", other)
    lost.parent = {"type": "block_id", "block_id": "00000000-0000-0000-0000-00000000dead"}
    database = rows.parent["database_id"]
    assert site.found(roots=[root.id]) == {external(root), external(nested), external(row)}
    assert site.found(roots=[database]) == {external(row)}
    assert site.found(roots=[other.id]) == {external(other)}
    assert len(site.found()) == 5


def test_a_page_that_is_too_large_is_refused(site: Workspace) -> None:
    identity = site.add("page", "word " * 500)
    with closing(site.connect()) as connector, pytest.raises(UnreadableDocument, match="2,000"):
        connector.fetch(listing(connector)[0][identity])


def test_what_the_api_cannot_tell_of_one_page_keeps_no_other_from_being_read(site: Workspace) -> None:
    dumb, plain = site.double.page("dumb"), site.double.page("plain")
    rows = site.double.database("rows", plain)
    site.double.later(minutes=10)
    refusal = Reply(400, {"object": "error", "status": 400, "code": "validation_error"})
    site.double.instead = {
        f"/v1/blocks/{dumb.id.replace('-', '')}/children": refusal,
        f"/v1/data_sources/{rows.id.replace('-', '')}/query": refusal,
    }
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        with pytest.raises(UnreadableDocument, match="does not tell"):
            connector.fetch(found[external(dumb)])
        assert b"plain" in connector.fetch(found[external(plain)])


def test_an_answer_without_a_list_is_not_taken_for_an_empty_one(site: Workspace) -> None:
    site.add("page", "text")
    site.double.instead = {"/v1/search": Reply(200, {"object": "maintenance"})}
    with closing(site.connect()) as connector, pytest.raises(Transient):
        listing(connector)


def test_the_operator_decides_who_may_read(site: Workspace) -> None:
    identity = site.add("page", "text")
    with closing(site.connect()) as connector:
        assert not connector.mirrors_permissions
        assert listing(connector)[0][identity].access is None
        assert not list(connector.permissions()) and not list(connector.groups())


# Blocks and properties


def test_what_a_reader_sees_of_blocks_is_kept() -> None:
    cells = [[text("Item"), text("Price")], [text("Tea"), text("<3>")]]
    blocks = [
        Block("heading_1", {"rich_text": text("Deploying")}, [Block("paragraph", {"rich_text": text("folded")})]),
        Block("paragraph", {"rich_text": text("Ask ") + text("@Ana", kind="mention") + text("now", bold=True)}),
        Block("paragraph", {"rich_text": text("there", "https://example.com/?a=1&b=2")}),
        Block(
            "numbered_list_item", {"rich_text": text("one")}, [Block("numbered_list_item", {"rich_text": text("in")})]
        ),
        Block("numbered_list_item", {"rich_text": text("two")}),
        Block("bulleted_list_item", {"rich_text": text("dot")}),
        Block("to_do", {"rich_text": text("done"), "checked": True}),
        Block("to_do", {"rich_text": text("open"), "checked": False}),
        Block("callout", {"rich_text": text("mind the gap")}, [Block("paragraph", {"rich_text": text("please")})]),
        Block("code", {"rich_text": text("if a < b:\n  pass"), "language": "python", "caption": text("Listing")}),
        Block("equation", {"expression": "e=mc^2"}),
        Block(
            "table",
            {"has_column_header": True, "has_row_header": False},
            [Block("table_row", {"cells": row}) for row in cells],
        ),
        Block("column_list", {}, [Block("column", {}, [Block("paragraph", {"rich_text": text("in a column")})])]),
        Block("bookmark", {"url": "https://example.com/page", "caption": text("worth it")}),
        Block("image", {"type": "file", "file": {"url": "https://x/secret?sig=1"}, "caption": text("our office")}),
        Block("something_new", {"rich_text": text("unknown yet kept")}),
        Block("divider", {}),
    ]
    html = blocks_html(blocks)
    for part in (
        "<h2>Deploying</h2><p>folded</p>",
        "<p>Ask @Ana<strong>now</strong></p>",
        '<a href="https://example.com/?a=1&amp;b=2">there</a>',
        "<ol><li>one<ol><li>in</li></ol></li><li>two</li></ol>\n<ul><li>dot</li></ul>",
        "<ul><li>[x] done</li><li>[ ] open</li></ul>",
        "<blockquote><p>mind the gap</p><p>please</p></blockquote>",
        '<pre><code class="language-python">if a &lt; b:\n  pass</code></pre><p>Listing</p>',
        "e=mc^2",
        "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>&lt;3&gt;</td></tr></table>",
        "in a column",
        "https://example.com/page</a></p><p>worth it</p>",
        "<p>our office</p>",
        "unknown yet kept",
    ):
        assert part in html, part
    assert "secret" not in html


def test_links_of_blocks_are_kept_with_where_they_lead() -> None:
    words = text("See ") + text("the site", "https://example.com/a", bold=True) + text(" or ")
    words += text("a page", "/0123456789abcdef0123456789abcdef") + text(".")
    parsed = parse_html(blocks_html([Block("paragraph", {"rich_text": words})]).encode())
    assert parsed.text == "See the site or a page."
    assert links(parsed) == [("the site", "https://example.com/a"), ("a page", "/0123456789abcdef0123456789abcdef")]


def test_nothing_that_a_block_holds_becomes_structure() -> None:
    evil = "<script>alert(1)</script>"
    html = blocks_html(
        [
            Block("paragraph", {"rich_text": text(evil, "javascript:alert(2)")}),
            Block("code", {"rich_text": text(evil), "language": '"><script>'}),
            Block("child_page", {"title": evil}),
            Block("bookmark", {"url": "javascript:alert(3)"}),
            Block("table", {}, [Block("table_row", {"cells": [text(evil)]}), Block("table_row", {"cells": 3})]),
            Block("paragraph", {"rich_text": "no list"}),
        ]
    )
    assert "<script" not in html and "href" not in html


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("rich_text", text("words"), "words"),
        ("number", 0, "0"),
        ("number", None, ""),
        ("select", {"name": "Red"}, "Red"),
        ("multi_select", [{"name": "Red"}, {"name": "Blue"}], "Red, Blue"),
        ("status", {"name": "Done"}, "Done"),
        ("date", {"start": "2026-01-02", "end": "2026-01-05"}, "2026-01-02 – 2026-01-05"),
        ("date", {"start": "2026-01-02", "end": None}, "2026-01-02"),
        ("people", [{"object": "user", "id": "1", "name": "Ana"}, {"object": "user", "id": "2"}], "Ana"),
        ("files", [{"name": "a.pdf", "type": "file", "file": {"url": "https://x?sig=1"}}], "a.pdf"),
        ("checkbox", False, "no"),
        ("url", "https://example.com", "https://example.com"),
        ("formula", {"type": "boolean", "boolean": True}, "yes"),
        ("formula", {"type": "number", "number": 5}, "5"),
        (
            "rollup",
            {"type": "array", "array": [{"type": "number", "number": 1}, {"type": "title", "title": text("x")}]},
            "1, x",
        ),
        ("relation", [{"id": "1"}], ""),
        ("unique_id", {"prefix": "INV", "number": 7}, "INV-7"),
        ("created_by", {"object": "user", "id": "1", "name": "Ana"}, "Ana"),
        ("something_new", {"id": "1"}, ""),
    ],
)
def test_a_property_is_shown_as_its_reader_sees_it(kind: str, value: Any, shown: str) -> None:
    assert value_of({"id": "x", "type": kind, kind: value}) == shown


@pytest.mark.parametrize("settings", [{"roots": ["../x"]}, {"base_url": "http://example.com"}, {"unknown": 1}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NotionSettings.model_validate(settings)


def test_a_workspace_without_a_token_is_not_opened() -> None:
    with pytest.raises(SourceRefused, match="token"):
        open_notion(NotionSettings(), None)
