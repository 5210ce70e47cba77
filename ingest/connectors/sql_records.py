"""Rows as documents: what a reader is shown of one, and the lists of who may read it."""

from __future__ import annotations

import html
import json
import re
from typing import Literal
from urllib.parse import urlsplit

from core.errors import WrongUsage
from core.principals import Grantee, parse_grantee
from governance.access.rules import AccessLists, Decision
from ingest.connectors.protocol import denied

Format = Literal["text", "markdown", "html", "file"]

SUFFIXES: dict[Format, str] = {"text": ".html", "markdown": ".md", "html": ".html", "file": ""}
NAME_LENGTH = 200

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~&!])")
_WHOLE_PAGE = re.compile(r"\s*(?:<!doctype\b|<html\b|<\?xml\b)", re.I)


def rendered(kind: Format, title: str, content: str | bytes) -> bytes:
    """A row as a document: its title as the heading, plain text escaped, markup as it is.

    Only what the operator has called HTML or Markdown can become structure.
    """
    if isinstance(content, bytes):
        return content
    if kind == "file":
        return content.encode()
    if kind == "markdown":
        name = _MARKDOWN.sub(r"\\\1", " ".join(title.split()))
        heading = f"# {name}\n\n" if title else ""
        return (heading + content).encode()
    if kind == "html" and _WHOLE_PAGE.match(content):
        return content.encode()
    body = content if kind == "html" else _paragraphs(content)
    name = html.escape(title)
    heading = f"<h1>{name}</h1>\n" if title else ""
    head = f'<head><meta charset="utf-8"><title>{name}</title></head>'
    return f"<!doctype html>\n<html>{head}\n<body>\n{heading}{body}\n</body></html>\n".encode()


def file_name(kind: Format, title: str, identity: str) -> str:
    """A name for a row's document, of one line and without slashes."""
    name = re.sub(r"[\s\x00-\x1f\x7f]+", " ", title or identity).strip().replace("/", "-").replace("\\", "-")
    return (name[:NAME_LENGTH] or "row") + SUFFIXES[kind]


def web_address(given: object) -> str | None:
    """An address that a browser opens as a page, else None: a row must not bring a script with it."""
    if not isinstance(given, str):
        return None
    try:
        parts = urlsplit(given.strip())
    except ValueError:
        return None
    return given.strip() if parts.scheme in ("http", "https") and parts.hostname else None


def decided(allow: object, deny: object) -> Decision:
    """Who may read a row, as it says itself: lists of principals, as a JSON array or separated by commas.

    A list that cannot be read in full lets nobody in, nor does a row that names nobody.
    """
    try:
        lists = AccessLists(_principals(allow), _principals(deny))
    except (WrongUsage, ValueError, RecursionError):
        return denied("its row holds a list of principals that cannot be read")
    if not lists.allow:
        return denied("its row names nobody")
    return Decision(lists, "the lists of its row")


def _principals(given: object) -> frozenset[Grantee]:
    names = given
    if names is None:
        return frozenset()
    if isinstance(names, str):
        names = names.strip()
        if not names:
            return frozenset()
        names = json.loads(names) if names.startswith("[") else [name.strip() for name in names.split(",")]
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("not a list of names")
    return frozenset(parse_grantee(name) for name in names)


def _paragraphs(content: str) -> str:
    pieces = re.split(r"\n[ \t]*\n+", content.replace("\r\n", "\n").replace("\r", "\n").strip("\n"))
    return "\n".join("<p>" + html.escape(piece).replace("\n", "<br>\n") + "</p>" for piece in pieces)
