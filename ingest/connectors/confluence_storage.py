"""Confluence's storage format as plain HTML: what a reader of the page sees, macros as what they show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from html.entities import html5
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree

from ingest.connectors.hypertext import code, element, link, listed, paragraph, written

_SPACES = {name: f"urn:confluence:{name}" for name in ("ac", "ri", "at")}
_AC, _RI = (f"{{{_SPACES[name]}}}" for name in ("ac", "ri"))
_OPENING = "<storage " + " ".join(f'xmlns:{name}="{place}"' for name, place in _SPACES.items()) + ">"
_ENTITY = re.compile(r"<!\[CDATA\[.*?\]\]>|&([A-Za-z][A-Za-z0-9]*);", re.S)
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TAG = re.compile(r"<!\[CDATA\[|\]\]>|<[^<>]*>")
_DEEPEST = 150
"""How deep elements may stand in each other; what is deeper counts as text."""
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
_MARKS = frozenset({"strong", "em", "b", "i", "u", "s", "del", "ins", "sub", "sup", "code", "small", "cite", "q"})
_LISTS = frozenset({"ul", "ol", "li", "dl", "dt", "dd"})
_TABLES = frozenset({"table", "caption", "thead", "tbody", "tfoot", "tr"})
_KEPT = _MARKS | _LISTS | _TABLES | {"p", "pre", "blockquote"}
_HEADINGS = {f"h{level}": f"h{min(level + 1, 6)}" for level in range(1, 7)}
_BLOCKS = frozenset({"div", "section", "article", "figure"})
_VERBATIM = frozenset({"code", "noformat"})
_BOXES = frozenset({"panel", "info", "note", "warning", "tip", "expand", "excerpt", "details", "section", "column"})
_SHOWS_TITLE = frozenset({"status"})
_UNSAID = frozenset({f"{_AC}parameter", f"{_AC}placeholder", f"{_AC}task-id", f"{_AC}task-uuid", f"{_AC}adf-attribute"})

People = Mapping[str, str]
"""Display names by account id."""


def storage_html(storage: str, people: People) -> str:
    """A body in storage format as HTML; its headings stand below the page's own title.

    Of markup that is no XML the text is kept. Nothing outside the text is fetched, and no entity is expanded.
    """
    root = _read(storage)
    return _inside(root, people) if root is not None else paragraph(unescape(_TAG.sub(" ", storage)))


def mentioned(storage: str) -> set[str]:
    """The account ids of everybody whom a body names."""
    root = _read(storage)
    if root is None:
        return set()
    found = (user.get(f"{_RI}account-id") for user in root.iter(f"{_RI}user"))
    return {account for account in found if account}


def _read(storage: str) -> Element | None:
    text = _NOT_IN_XML.sub(" ", _ENTITY.sub(_character, storage))
    try:
        root: Element = ElementTree.fromstring(f"{_OPENING}{text}</storage>")
    except (ParseError, ValueError):
        return None
    return root


def _character(match: re.Match[str]) -> str:
    """HTML's names of characters, which XML does not know; code is left as it is written."""
    name = match[1]
    if name is None or name in _XML_ENTITIES or f"{name};" not in html5:
        return match[0]
    return "".join(f"&#{ord(character)};" for character in html5[f"{name};"])


def _inside(node: Element, people: People, depth: int = 0) -> str:
    if depth > _DEEPEST:
        return written("".join(node.itertext()))
    parts = [written(node.text or "")]
    for child in node:
        parts += [_shown(child, people, depth + 1), written(child.tail or "")]
    return "".join(parts)


def _shown(node: Element, people: People, depth: int) -> str:
    tag = node.tag
    if tag in _UNSAID:
        return ""
    if tag in _HEADINGS:
        return element(_HEADINGS[tag], _inside(node, people, depth))
    if tag in ("td", "th"):
        spans = {name: str(node.get(name)) for name in ("colspan", "rowspan") if str(node.get(name, "")).isdecimal()}
        return element(tag, _inside(node, people, depth), **spans)
    if tag in _KEPT:
        return element(tag, _inside(node, people, depth))
    if tag in _BLOCKS:
        return element("div", _inside(node, people, depth))
    if tag in ("br", "hr"):
        return f"<{tag}>"
    if tag == "a":
        return link(str(node.get("href", "")), _inside(node, people, depth))
    if tag == "time":
        return written(node.text or str(node.get("datetime", "")))
    if tag in (f"{_AC}structured-macro", f"{_AC}macro"):
        return _macro(node, people, depth)
    if tag == f"{_AC}link":
        return _link(node, people, depth)
    if tag == f"{_AC}image":
        return written(str(node.get(f"{_AC}alt") or node.get(f"{_AC}title") or "")) + _caption(node, people, depth)
    if tag == f"{_AC}emoticon":
        return written(str(node.get(f"{_AC}emoji-fallback") or ""))
    if tag == f"{_AC}task-list":
        return listed(_task(task, people, depth) for task in node.findall(f"{_AC}task"))
    if tag == f"{_AC}adf-extension":
        fallback = node.find(f"{_AC}adf-fallback")
        return _inside(fallback if fallback is not None else node, people, depth)
    if tag == f"{_RI}user":
        return _person(node, people)
    return _inside(node, people, depth)


def _macro(node: Element, people: People, depth: int) -> str:
    """What a macro shows: its text, whatever it is called; what others compute, such as lists of pages, has none."""
    name = str(node.get(f"{_AC}name", ""))
    said = {
        str(one.get(f"{_AC}name", "")): "".join(map(str, one.itertext())) for one in node.findall(f"{_AC}parameter")
    }
    plain, rich = node.find(f"{_AC}plain-text-body"), node.find(f"{_AC}rich-text-body")
    title = element("p", element("strong", written(said["title"]))) if said.get("title") else ""
    if name in _SHOWS_TITLE:
        return written(said.get("title", ""))
    if name == "jira":
        return written(said.get("key", ""))
    if plain is not None:
        return title + code("".join(map(str, plain.itertext())), said.get("language", "") if name in _VERBATIM else "")
    if rich is None:
        return title
    inside = _inside(rich, people, depth)
    return title + (element("div", inside) if name in _BOXES else inside)


def _link(node: Element, people: People, depth: int) -> str:
    """The words of a link, else the name of what it leads to."""
    for name in ("link-body", "plain-text-link-body"):
        body = node.find(f"{_AC}{name}")
        if body is not None:
            return _inside(body, people, depth)
    for target in node:
        if target.tag == f"{_RI}user":
            return _person(target, people)
        for name in ("content-title", "filename", "space-key", "value"):
            if target.get(f"{_RI}{name}"):
                return written(str(target.get(f"{_RI}{name}")))
    return written(str(node.get(f"{_AC}anchor") or ""))


def _caption(node: Element, people: People, depth: int) -> str:
    caption = node.find(f"{_AC}caption")
    return _inside(caption, people, depth) if caption is not None else ""


def _task(task: Element, people: People, depth: int) -> str:
    done = task.findtext(f"{_AC}task-status") == "complete"
    body = task.find(f"{_AC}task-body")
    return ("[x] " if done else "[ ] ") + (_inside(body, people, depth) if body is not None else "")


def _person(node: Element, people: People) -> str:
    return written("@" + people.get(str(node.get(f"{_RI}account-id") or ""), "somebody"))
