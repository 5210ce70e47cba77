"""Notion's blocks, rich text and properties as plain HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ingest.connectors.hypertext import code, element, link, listed, paragraph, written

_MARKS = {"bold": "strong", "italic": "em", "strikethrough": "s", "underline": "u", "code": "code"}
_HEADINGS = {"heading_1": "h2", "heading_2": "h3", "heading_3": "h4", "heading_4": "h5"}
_LISTS = {"bulleted_list_item": "ul", "numbered_list_item": "ol", "to_do": "ul"}
_FILES = frozenset({"image", "video", "audio", "file", "pdf"})
_LINKS = frozenset({"bookmark", "embed", "link_preview"})
_UNSAID = frozenset({"divider", "breadcrumb", "table_of_contents", "unsupported", "link_to_page", "template"})


@dataclass
class Block:
    """A block as the API tells it, and the blocks within it."""

    kind: str
    facts: Mapping[str, Any]
    within: list[Block] = field(default_factory=list)


def block_of(found: Mapping[str, Any]) -> Block:
    kind = str(found.get("type") or "")
    facts = found.get(kind)
    return Block(kind, facts if isinstance(facts, dict) else {})


def blocks_html(blocks: Sequence[Block]) -> str:
    """Blocks in their order; items that follow each other are one list, headings stand below the page's title."""
    parts = []
    for kind, run in groupby(blocks, key=lambda block: _LISTS.get(block.kind) and block.kind):
        if kind is None:
            parts += [_shown(block) for block in run]
        else:
            parts.append(listed((_item(block) for block in run), ordered=_LISTS[kind] == "ol"))
    return "\n".join(part for part in parts if part)


def rich_text(found: Any) -> str:
    """Rich text as HTML: words and marks, links, people by name."""
    return "".join(map(_marked, _texts(found)))


def plain(found: Any) -> str:
    return "".join(str(one.get("plain_text") or "") for one in _texts(found))


def title_of(page: Mapping[str, Any]) -> str:
    """The title of a page, which is one of its properties, or of a data source."""
    for one in _properties(page).values():
        if isinstance(one, dict) and one.get("type") == "title" and isinstance(one.get("title"), list):
            return plain(one["title"])
    return plain(page.get("title"))


def property_rows(page: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The properties of a row by name, but its title."""
    return [
        (name, value_of(one))
        for name, one in _properties(page).items()
        if isinstance(one, dict) and one.get("type") != "title"
    ]


def value_of(one: Any) -> str:
    """A property's value as text; "" for none and for kinds that hold ids alone."""
    if not isinstance(one, dict):
        return ""
    kind = str(one.get("type") or "")
    value = one.get(kind)
    if value is None:
        return ""
    if kind in _VALUES:
        return _VALUES[kind](value)
    return str(value) if isinstance(value, str | int | float) else ""


def _item(block: Block) -> str:
    box = ""
    if block.kind == "to_do":
        box = "[x] " if block.facts.get("checked") else "[ ] "
    return box + rich_text(block.facts.get("rich_text")) + blocks_html(block.within)


def _shown(block: Block) -> str:
    kind, facts = block.kind, block.facts
    text = rich_text(facts.get("rich_text"))
    if kind in _UNSAID:
        return blocks_html(block.within)
    if kind in _HEADINGS:
        return element(_HEADINGS[kind], text) + blocks_html(block.within)
    if kind == "code":
        return code(plain(facts.get("rich_text")), str(facts.get("language") or "")) + _caption(facts)
    if kind == "equation":
        return code(str(facts.get("expression") or ""), "latex")
    if kind in ("quote", "callout"):
        return element("blockquote", element("p", text) + blocks_html(block.within))
    if kind == "table":
        return _table(block)
    if kind in ("child_page", "child_database"):
        return paragraph(str(facts.get("title") or ""))
    if kind in _LINKS:
        return element("p", link(str(facts.get("url") or ""), "")) + _caption(facts)
    if kind in _FILES:
        # Never their address: it holds a signature and is another one an hour later.
        return paragraph(str(facts.get("name") or "")) + _caption(facts)
    return (element("p", text) if text else "") + blocks_html(block.within)


def _table(block: Block) -> str:
    rows = []
    for number, row in enumerate(block.within):
        cells = row.facts.get("cells")
        shown = []
        for place, cell in enumerate(cells if isinstance(cells, list) else []):
            heads = (not number and block.facts.get("has_column_header")) or (
                not place and block.facts.get("has_row_header")
            )
            shown.append(element("th" if heads else "td", rich_text(cell)))
        rows.append(element("tr", "".join(shown)))
    return element("table", "".join(rows))


def _caption(facts: Mapping[str, Any]) -> str:
    text = rich_text(facts.get("caption"))
    return element("p", text) if text else ""


def _marked(one: Mapping[str, Any]) -> str:
    shown = written(str(one.get("plain_text") or ""))
    annotations = one.get("annotations")
    for mark, tag in _MARKS.items():
        if isinstance(annotations, dict) and annotations.get(mark) is True:
            shown = element(tag, shown)
    return link(str(one["href"]), shown) if one.get("href") else shown


def _texts(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _properties(page: Mapping[str, Any]) -> Mapping[str, Any]:
    found = page.get("properties")
    return found if isinstance(found, dict) else {}


def _names(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return ", ".join(str(one.get("name") or "") for one in values if isinstance(one, dict) and one.get("name"))


def _dates(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    return " – ".join(str(value[name]) for name in ("start", "end") if value.get(name))


def _rollup(value: Any) -> str:
    if isinstance(value, dict) and value.get("type") == "array":
        values = value.get("array")
        return ", ".join(filter(None, map(value_of, values if isinstance(values, list) else ())))
    return value_of(value)


def _number_of_row(value: Any) -> str:
    if not isinstance(value, dict) or value.get("number") is None:
        return ""
    return "-".join(str(value[name]) for name in ("prefix", "number") if value.get(name) is not None)


_VALUES: Mapping[str, Callable[[Any], str]] = {
    "rich_text": plain,
    "title": plain,
    "select": _names,
    "status": _names,
    "multi_select": _names,
    "people": _names,
    "created_by": _names,
    "last_edited_by": _names,
    "files": _names,
    "date": _dates,
    "checkbox": lambda value: "yes" if value is True else "no",
    "formula": value_of,
    "rollup": _rollup,
    "unique_id": _number_of_row,
    # A formula's own yes or no.
    "boolean": lambda value: "yes" if value is True else "no",
}
