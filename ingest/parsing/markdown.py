"""Markdown (CommonMark with tables): its text without its marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly, table_row
from ingest.parsing.charsets import decode
from ingest.parsing.html import add_html

_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_FRONT_TITLE = re.compile(r"^title\s*:\s*(.+?)\s*$", re.M)
# Control tags of Liquid, Hugo and ERB steer a site's generator and are never shown; `{{ name }}` placeholders stay.
_TEMPLATE_TAG = re.compile(r"\{%.*?%\}|\{\{[<%].*?[>%]\}\}|<%.*?%>", re.S)
# But one that stands where a link leads names a page: `[Travel]({% page "/travel/" %})`, `({{< ref "travel.md" >}})`.
_PAGE_TAG = re.compile(
    r"\]\(\s*(?:\{%-?\s*(?P<tag>page|link|url|ref|relref)\s+|\{\{[<%]\s*(?P<code>ref|relref|link|page|url)\s+"
    r"|\{\{-?\s*(?:site\.base_?url|site\.url)\s*(?=-?\}\})|\{\{-?\s*(?=[\"']))"
    r"[\"']?(?P<page>[^\s\"'|<>{}]*?)[\"']?\s*(?:\|[^{}()]*?)?-?[>%]?[%}]\}(?P<rest>[^\s()<>{}]*)\s*\)"
)
_HEADING_ATTRIBUTES = re.compile(r"\s*\{[:#.][^{}]*\}\s*$")
_ANCHOR = re.compile(r"<a\s(?:[^>]*?\s)?href\s*=\s*[\"']?([^\"'>\s]+)", re.I)
_FRONT_MATTER_BYTES = 64 * 1024
# Safe either way; that of libyaml is ten times as fast.
_SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_markdown(data: bytes) -> Parsed:
    """Headings, paragraphs, list items, tables (rows of `a | b`) and code; link texts stay, addresses go.

    YAML front matter is left out of the text, and its title is the document's; otherwise the first heading is.
    HTML in the text is reduced to what it shows. Raises `UnreadableDocument("empty")`.
    """
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    title, body = _front_matter(text)
    assembly = Assembly()
    add_markdown(assembly, body)
    if not assembly.blocks and title:
        assembly.add(BlockKind.HEADING, title, level=1)
    return assembly.parsed("text/markdown", title=title or assembly.first_heading())


def add_markdown(assembly: Assembly, text: str) -> None:
    """Add the blocks of Markdown without front matter."""
    text = _PAGE_TAG.sub(_page_address, text)
    _Reader(assembly).read(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text))


def _front_matter(text: str) -> tuple[str, str]:
    """The front matter's title, or nothing, and the text after it."""
    match = _FRONT_MATTER.match(text)
    if match is None or len(match[1]) > _FRONT_MATTER_BYTES or ":" not in match[1]:
        return "", text
    try:
        properties = yaml.load(match[1], Loader=_SAFE)  # noqa: S506 - a safe one
    except (yaml.YAMLError, ValueError, RecursionError):
        # Templates put their own tags into front matter; the title's line is still plain to see.
        found = _FRONT_TITLE.search(match[1])
        return found[1].strip("\"'") if found else "", text[match.end() :]
    if not isinstance(properties, dict):
        return "", text
    title = properties.get("title")
    return str(title) if isinstance(title, str | int | float) else "", text[match.end() :]


@dataclass
class _Reader:
    """One pass over markdown-it's flat tokens, remembering which lists, items and rows stand open."""

    assembly: Assembly
    lists: list[int | None] = field(default_factory=list)
    """For each open list the next number, None for bullets."""
    marker: str = ""
    items: int = 0
    rows: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    in_table: bool = False

    def read(self, tokens: Sequence[Token]) -> None:
        heading: int | None = None
        for token in tokens:
            kind = token.type
            if kind == "heading_open":
                heading = int(token.tag[1])
            elif kind == "heading_close":
                heading = None
            elif kind == "inline":
                for shown, target in _links(token.children or ()):
                    self.assembly.link(shown, target)
                self._inline(inline_text(token.children or ()), heading)
            elif kind in ("fence", "code_block"):
                self.assembly.add(BlockKind.CODE, token.content)
            elif kind == "html_block":
                self._html(token.content)
            elif "list" in kind:
                self._list(token)
            else:
                self._table(kind)

    def _inline(self, text: str, heading: int | None) -> None:
        if self.in_table:
            self.cells.append(text)
        elif heading is not None:
            self.assembly.add(BlockKind.HEADING, _HEADING_ATTRIBUTES.sub("", text), level=heading)
        elif self.items:
            self.assembly.add(BlockKind.LIST_ITEM, self.marker + text if text.strip() else "")
            self.marker = ""
        else:
            self.assembly.add(BlockKind.PARAGRAPH, text)

    def _list(self, token: Token) -> None:
        if token.type == "ordered_list_open":
            self.lists.append(int(token.attrGet("start") or 1))
        elif token.type == "bullet_list_open":
            self.lists.append(None)
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            self.lists.pop()
        elif token.type == "list_item_close":
            self.items -= 1
        elif token.type == "list_item_open":
            self.items += 1
            number = self.lists[-1]
            self.marker = "" if number is None else f"{number}. "
            self.lists[-1] = None if number is None else number + 1

    def _table(self, kind: str) -> None:
        if kind == "table_open":
            self.in_table, self.rows = True, []
        elif kind == "tr_open":
            self.cells = []
        elif kind == "tr_close":
            self.rows.append(table_row(self.cells))
        elif kind == "table_close":
            self.in_table = False
            self.assembly.add(BlockKind.TABLE, "\n".join(row for row in self.rows if row))

    def _html(self, content: str) -> None:
        kind = BlockKind.LIST_ITEM if self.items else BlockKind.PARAGRAPH
        add_html(self.assembly, LexborHTMLParser(_TEMPLATE_TAG.sub(" ", content)), kind=kind)


def _page_address(tag: re.Match[str]) -> str:
    """A link's destination, named by a tag of a site's generator: from the root, but for Hugo's `ref`."""
    page = f"{tag['page']}{tag['rest']}"
    from_here = (tag["tag"] or tag["code"] or "").endswith("ref")
    return f"](<{page if from_here else '/' + page.lstrip('/')}>)"


def _links(children: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """What leads where in inline tokens, written in Markdown or as a tag of HTML."""
    target, began = "", 0
    for at, child in enumerate(children):
        html = child.content if child.type == "html_inline" else ""
        anchor = _ANCHOR.match(html)
        if child.type == "link_open" or anchor:
            target, began = anchor[1] if anchor else str(child.attrGet("href") or ""), at + 1
        elif target and (child.type == "link_close" or html.lower().startswith("</a")):
            yield inline_text(children[began:at]), target
            target = ""


def inline_text(children: Sequence[Token]) -> str:
    """What inline tokens show: text, code and the descriptions of images, without marks, addresses and tags."""
    return _TEMPLATE_TAG.sub("", "".join(_pieces(children))).strip()


def _pieces(children: Sequence[Token]) -> Iterator[str]:
    for child in children:
        if child.type in ("text", "code_inline"):
            yield child.content
        elif child.type == "softbreak":
            yield " "
        elif child.type == "hardbreak" or (child.type == "html_inline" and child.content[:3].lower() == "<br"):
            yield "\n"
        elif child.type == "image":
            yield child.content
