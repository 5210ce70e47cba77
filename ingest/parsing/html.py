"""HTML: what a reader of the page sees, without its navigation, scripts and hidden parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly, table_row
from ingest.parsing.charsets import decode


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


_NEVER_SHOWN = _tags(
    "script style template noscript head iframe object embed svg canvas audio video map select datalist dialog button "
    "input textarea -comment"
)
_NAVIGATION = _tags("nav menu")
_NAVIGATION_ROLES = _tags("navigation search contentinfo")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = _tags(
    "address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer form "
    "header hgroup html hr legend li main ol p section summary table tbody td tfoot th thead tr ul"
)
_LAYOUT_CELL = "td h1, td h2, td h3, td pre"
# A heading that stands over a column, and no more than that.
_COLUMN_HEAD = "tr:first-child h1, tr:first-child h2, tr:first-child h3"
_COLUMN_CHARACTERS = 100
_LAYOUT_CELL_CHARACTERS = 1_000
# Tables within tables within tables: looking at all that each one holds takes the square of their number.
_LAYOUT_TABLES = 20
# HTML's own limits (Living Standard, 4.9.11) would let a page of a few bytes fill the memory.
_ROWS_SPANNED = 1_000
_COLUMNS_SPANNED = 100
# A power or a note's number, which behind a digit would be read as more of it.
_RAISED = re.compile(r"[-+−–]?\d{1,3}")
_META_CHARSET = re.compile(rb"<meta[^>]*?charset\s*=\s*[\"']?\s*([-\w:.]+)", re.I)
_XML_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([-\w:.]+)", re.I)
_BREAK = "\u2028"  # a `br` inside a block, until white space is folded


def parse_html(data: bytes) -> Parsed:
    """Headings, paragraphs, list items, tables and code in the page's order; the title is `<title>`, else a heading.

    Where leaving out navigation would leave nothing, navigation is read too. Raises `UnreadableDocument("empty")`.
    """
    head = data[:4096]
    declared = _META_CHARSET.search(head) or _XML_ENCODING.search(head)
    page = LexborHTMLParser(decode(data, declared[1].decode("ascii", "replace") if declared else ""))
    assembly = Assembly()
    add_html(assembly, page)
    title = page.css_first("head title")
    return assembly.parsed("text/html", title=title.text() if title else assembly.first_heading())


def add_html(assembly: Assembly, page: LexborHTMLParser, *, kind: BlockKind = BlockKind.PARAGRAPH) -> None:
    """Add the visible blocks of `page`; loose text becomes blocks of `kind`."""
    if page.root is None:
        return
    before = len(assembly.blocks)
    _Walk(assembly, kind).walk(page.root, skip_navigation=True)
    if len(assembly.blocks) == before:
        _Walk(assembly, kind).walk(page.root, skip_navigation=False)


@dataclass
class _Walk:
    """One pass over a page: inline text gathers until a block begins or ends."""

    assembly: Assembly
    loose: BlockKind
    inline: list[str] = field(default_factory=list)
    item: str | None = None
    """The marker of the list item whose first line is still to come, empty for a bullet; None outside of items."""
    numbers: dict[int, int] = field(default_factory=dict)
    tables: int = 0
    """Tables that lay out the page, around where we are."""

    def walk(self, root: LexborNode, *, skip_navigation: bool) -> None:
        """Depth first without recursion, since pages may nest thousands of elements deep."""
        stack: list[tuple[LexborNode, bool]] = [(root, False)]
        items = 0
        while stack:
            node, leaving = stack.pop()
            tag = node.tag or ""
            if leaving:
                self.flush(items)
                items -= tag == "li"
                self.tables -= tag == "table"
                continue
            if node.is_text_node:
                self.inline.append(node.text_content or "")
                continue
            if not node.is_element_node or _is_left_out(node, tag, skip_navigation) or self._whole(node, tag, items):
                continue
            if tag == "sup":
                self.inline.append(_mark_of_power(node, self.inline))
            elif tag == "a":
                self._link(node)
            if tag in _BLOCKS:
                self.flush(items)
                self.tables += tag == "table"
                if tag == "li":
                    items += 1
                    self.item = _marker(node, self.numbers)
                stack.append((node, True))
            stack.extend((child, False) for child in reversed(_children(node)))
        self.flush(0)

    def _whole(self, node: LexborNode, tag: str, items: int) -> bool:
        """Handle an element that is one block or one inline piece of its own; False for all others."""
        if tag in _HEADINGS:
            self.flush(items)
            self._links(node)
            self.assembly.add(BlockKind.HEADING, _inline_text(node), level=_HEADINGS[tag])
        elif tag in ("pre", "listing", "xmp"):
            self.flush(items)
            self.assembly.add(BlockKind.CODE, _visible_text(node))
        elif tag == "table" and self.tables < _LAYOUT_TABLES and _is_data_table(node):
            self.flush(items)
            self._table(node)
        elif tag == "br":
            self.inline.append(_BREAK)
        elif tag == "img":
            self.inline.append(f" {node.attributes.get('alt') or ''} ")
        else:
            return False
        return True

    def _table(self, table: LexborNode) -> None:
        caption = table.css_first("caption")
        if caption is not None:
            self.assembly.add(BlockKind.PARAGRAPH, _inline_text(caption))
        self._links(table)
        rows = (table_row(cells).rstrip(" |") for cells in _grid(table))
        self.assembly.add(BlockKind.TABLE, "\n".join(row for row in rows if row))

    def _links(self, node: LexborNode) -> None:
        for anchor in node.css("a[href]"):
            self._link(anchor)

    def _link(self, anchor: LexborNode) -> None:
        self.assembly.link(_inline_text(anchor), anchor.attributes.get("href") or "")

    def flush(self, items: int) -> None:
        text = _folded("".join(self.inline))
        self.inline.clear()
        if not text:
            return
        marker, self.item = self.item or "", None
        self.assembly.add(BlockKind.LIST_ITEM if items > 0 else self.loose, marker + text)


def _children(node: LexborNode) -> list[LexborNode]:
    children = []
    child = node.child
    while child is not None:
        children.append(child)
        child = child.next
    return children


def _is_left_out(node: LexborNode, tag: str, skip_navigation: bool) -> bool:
    if tag in _NEVER_SHOWN:
        return True
    attributes = node.attributes
    if tag not in ("html", "body") and (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or _HIDDEN_STYLE.search(attributes.get("style") or "")
    ):
        return True
    if not skip_navigation:
        return False
    role = attributes.get("role") or ""
    page_footer = tag == "footer" and node.parent is not None and node.parent.tag == "body"
    return tag in _NAVIGATION or role in _NAVIGATION_ROLES or page_footer


def _grid(table: LexborNode) -> Iterator[list[str]]:
    """The cells of each row by column: one that spans rows stands in each of them, one that spans columns once."""
    above: dict[int, tuple[str, int]] = {}
    for row in _own_rows(table):
        cells: list[str] = []

        def reach_down(cells: list[str] = cells) -> None:
            while len(cells) in above:
                text, left = above.pop(len(cells))
                if left > 1:
                    above[len(cells)] = (text, left - 1)
                cells.append(text)

        for cell in _children(row):
            if cell.tag in ("td", "th"):
                reach_down()
                text, down = _inline_text(cell), _span(cell, "rowspan", _ROWS_SPANNED)
                for at in range(_span(cell, "colspan", _COLUMNS_SPANNED)):
                    if down > 1:
                        above[len(cells)] = (text if at == 0 else "", down - 1)
                    cells.append(text if at == 0 else "")
        reach_down()
        yield cells


def _own_rows(table: LexborNode) -> Iterator[LexborNode]:
    """The rows of a table itself, not of tables within its cells."""
    for child in _children(table):
        if child.tag in ("thead", "tbody", "tfoot") and not _is_left_out(child, "tbody", False):
            yield from _own_rows(child)
        elif child.tag == "tr" and not _is_left_out(child, "tr", True):
            yield child


def _span(cell: LexborNode, attribute: str, most: int) -> int:
    value = cell.attributes.get(attribute) or "1"
    return max(1, min(int(value), most)) if value.isdecimal() and len(value) < 10 else 1


def _is_data_table(table: LexborNode) -> bool:
    """Whether a table is to be read in rows; one that lays out a page has one column, long cells or tables in it."""
    if table.attributes.get("role") == "presentation":
        return False
    heads = [cell for row in _own_rows(table) for cell in _children(row) if cell.tag == "th"]
    if any(inner.mem_id != table.mem_id for inner in table.css("table")):
        # A table with heads of its own may hold another one in a cell; one without lays them out.
        return bool(heads) and len(table.text()) <= _LAYOUT_CELL_CHARACTERS
    if heads:
        return True
    cells = [[cell for cell in _children(row) if cell.tag == "td"] for row in _own_rows(table)]
    columns = max((len(row) for row in cells), default=0)
    longest = max((len(cell.text()) for row in cells for cell in row), default=0)
    if columns <= 1 or longest > _LAYOUT_CELL_CHARACTERS:
        return False
    laid_out = len(table.css(_LAYOUT_CELL))
    has_heads = len(cells) > 1 and longest <= _COLUMN_CHARACTERS and laid_out == len(table.css(_COLUMN_HEAD))
    return not laid_out or has_heads


def _marker(item: LexborNode, numbers: dict[int, int]) -> str:
    """The number of a list's item, which counts on in `numbers`; nothing for a bullet."""
    parent = item.parent
    if parent is None or parent.tag != "ol":
        return ""
    start = parent.attributes.get("start") or "1"
    number = numbers.get(parent.mem_id, int(start) if start.isdecimal() and len(start) < 10 else 1)
    numbers[parent.mem_id] = number + 1
    return f"{number}. "


def _visible_text(node: LexborNode) -> str:
    """All text under `node` as written, without what is never shown; `br` is a line end."""
    parts: list[str] = []
    numbers: dict[int, int] = {}
    stack = [node]
    while stack:
        current = stack.pop()
        tag = current.tag or ""
        if current.is_text_node:
            parts.append(current.text_content or "")
        elif tag == "br":
            parts.append("\n")
        elif tag == "img":
            parts.append(f" {current.attributes.get('alt') or ''} ")
        elif current is node or (current.is_element_node and not _is_left_out(current, tag, False)):
            if tag == "sup":
                parts.append(_mark_of_power(current, parts))
            separate = tag in _BLOCKS and current is not node
            parts.append(" " if separate else "")
            parts.append(_marker(current, numbers) if tag == "li" and current is not node else "")
            stack.extend(reversed(_children(current)))
    return "".join(parts)


def _mark_of_power(raised: LexborNode, before: list[str]) -> str:
    """`^` between a digit and a number that is raised behind it (10⁶ is not 106); nothing elsewhere."""
    after_digit = bool(before) and before[-1][-1:].isdigit()
    return "^" if after_digit and _RAISED.fullmatch(raised.text(deep=True).strip()) else ""


def _inline_text(node: LexborNode) -> str:
    return " ".join(_visible_text(node).split())


def _folded(text: str) -> str:
    """White space folded as a browser does, with line ends only where the page breaks the line itself."""
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.split(_BREAK))))
