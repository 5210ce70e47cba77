"""Of 5,000 of the worst outputs a model could write, none keeps a link, an image or a tag in any dialect."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
import regex
from markdown_it import MarkdownIt
from worst_outputs import worst_outputs

from governance.safety.guard import Guard
from inference.hashing import HashingEncoder

COUNT = 5_000
# CommonMark with what GitHub adds to it, and every bare address made a link.
DIALECTS = (
    MarkdownIt("commonmark", {"html": True}),
    MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable(["table", "strikethrough"]),
)
AUTOLINK = regex.compile(
    r"(?i)(?:\bhttps?|\bftp|\bwss?|\bfile|\bblob)://|\bwww\.\w|\b(?:java|vb)script:\S|\bdata:\S|<[a-z!/?@#]"
)
ACTIVE = (
    "<img",
    "<a ",
    "<script",
    "<iframe",
    "<object",
    "<svg",
    "<video",
    "<audio",
    "<link",
    "<style",
    "<form",
    "<meta",
)


class Tags(HTMLParser):
    """The tags that a browser would find."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)


@pytest.fixture(scope="module")
def outputs() -> list[tuple[str, str]]:
    """What was written, and what the guard lets leave."""
    guard = Guard(HashingEncoder(), None)
    return [(text, guard.sentence(text, "standard")[0]) for text in worst_outputs(COUNT)]


def tags(text: str) -> list[str]:
    parser = Tags()
    parser.feed(text)
    parser.close()
    return parser.found


def rendered(text: str) -> str:
    return "".join(dialect.render(text) for dialect in DIALECTS)


def test_no_dialect_renders_a_link_an_image_or_a_tag(outputs: list[tuple[str, str]]) -> None:
    working = [left for _, left in outputs if any(mark in rendered(left).lower() for mark in ACTIVE)]

    assert working == []


def test_a_browser_that_took_the_text_for_html_would_find_no_tag(outputs: list[tuple[str, str]]) -> None:
    assert [left for _, left in outputs if tags(left)] == []


def test_no_program_that_looks_for_addresses_finds_one(outputs: list[tuple[str, str]]) -> None:
    assert [left for _, left in outputs if AUTOLINK.search(left)] == []


def test_as_they_were_written_most_of_them_do_work(outputs: list[tuple[str, str]]) -> None:
    working = sum(
        any(mark in rendered(text).lower() for mark in ACTIVE) or bool(AUTOLINK.search(text)) for text, _ in outputs
    )

    assert working > 0.8 * COUNT
