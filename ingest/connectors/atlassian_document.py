"""The Atlassian Document Format (ADF, version 1), in which Jira keeps texts, as plain HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ingest.connectors.hypertext import code, element, link, listed, paragraph, written

_DEEPEST = 100
_MARKS = {"strong": "strong", "em": "em", "strike": "s", "underline": "u", "code": "code"}
_TAGS = {
    "paragraph": "p",
    "blockquote": "blockquote",
    "panel": "div",
    "listItem": "li",
    "bulletList": "ul",
    "orderedList": "ol",
    "decisionList": "ul",
    "decisionItem": "li",
    "table": "table",
    "tableRow": "tr",
    "layoutSection": "div",
    "layoutColumn": "div",
    "caption": "p",
}


def document_html(document: Any, below: int = 1) -> str:
    """A text as HTML, its headings standing `below` as many levels; plain text, as old issues have, is paragraphs."""
    if isinstance(document, str):
        return "".join(paragraph(part) for part in document.split("\n"))
    return _shown(document, below, 0)


def _shown(node: Any, below: int, depth: int) -> str:
    if not isinstance(node, dict) or depth > _DEEPEST:
        return ""
    kind, facts = str(node.get("type") or ""), node.get("attrs")
    attributes: Mapping[str, Any] = facts if isinstance(facts, dict) else {}
    if kind == "text":
        return _marked(node)
    if kind in _WORDS:
        return written(_WORDS[kind](attributes))
    if kind == "codeBlock":
        return code(_text(node, 0), str(attributes.get("language") or ""))
    if kind in ("inlineCard", "blockCard", "embedCard"):
        return link(str(attributes.get("url") or ""), "")
    if kind in ("hardBreak", "rule"):
        return "<br>" if kind == "hardBreak" else "<hr>"
    children = node.get("content")
    inside = [_shown(child, below, depth + 1) for child in children] if isinstance(children, list) else []
    if kind == "taskList":
        return listed(inside)
    if kind == "taskItem":
        return ("[x] " if attributes.get("state") == "DONE" else "[ ] ") + "".join(inside)
    if kind == "heading":
        level = attributes.get("level")
        return element(f"h{min((level if isinstance(level, int) else 1) + below, 6)}", "".join(inside))
    if kind in ("tableHeader", "tableCell"):
        spans = {
            name: str(attributes[name])
            for name in ("colspan", "rowspan")
            if isinstance(attributes.get(name), int) and attributes[name] > 1
        }
        return element("th" if kind == "tableHeader" else "td", "".join(inside), **spans)
    if kind in _TAGS:
        return element(_TAGS[kind], "".join(inside))
    # What we do not know keeps its title and its text.
    return paragraph(str(attributes.get("title") or "")) + (
        "".join(inside) or written(str(attributes.get("text") or ""))
    )


def _marked(node: Mapping[str, Any]) -> str:
    shown = written(str(node.get("text") or ""))
    marks = node.get("marks")
    for mark in marks if isinstance(marks, list) else []:
        facts = mark.get("attrs") if isinstance(mark, dict) else None
        kind = mark.get("type") if isinstance(mark, dict) else None
        if kind in _MARKS:
            shown = element(_MARKS[kind], shown)
        elif kind == "subsup" and isinstance(facts, dict) and facts.get("type") in ("sub", "sup"):
            shown = element(facts["type"], shown)
        elif kind == "link" and isinstance(facts, dict):
            shown = link(str(facts.get("href") or ""), shown)
    return shown


def _text(node: Mapping[str, Any], depth: int) -> str:
    if depth > _DEEPEST:
        return ""
    children = node.get("content")
    inside = [_text(child, depth + 1) for child in children or () if isinstance(child, dict)]
    return str(node.get("text") or "") + "".join(inside)


def _mention(facts: Mapping[str, Any]) -> str:
    return "@" + (str(facts.get("text") or "").removeprefix("@") or "somebody")


def _date(facts: Mapping[str, Any]) -> str:
    """A day, which is kept in milliseconds since 1970."""
    try:
        return datetime.fromtimestamp(int(facts["timestamp"]) / 1000, UTC).date().isoformat()
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return ""


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "mention": _mention,
    "date": _date,
    "emoji": lambda facts: str(facts.get("text") or facts.get("shortName") or ""),
    "status": lambda facts: str(facts.get("text") or ""),
    "media": lambda facts: str(facts.get("alt") or ""),
    "mediaInline": lambda facts: str(facts.get("alt") or ""),
    "placeholder": lambda facts: "",
}
