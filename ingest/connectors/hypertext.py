"""Records of other systems written as plain HTML: what they hold is always text, never structure of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import urlsplit

from core.documents import clean_text

_NAME_CHARACTERS = 120
_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f\ufffd]+")
_LINKED = frozenset({"http", "https", "mailto"})


def written(text: str) -> str:
    """Text as it stands in HTML, in attributes too."""
    return escape(clean_text(text), quote=True)


def element(tag: str, content: str, **attributes: str) -> str:
    """An element around HTML; attributes are text."""
    facts = "".join(f' {name}="{written(value)}"' for name, value in attributes.items())
    return f"<{tag}{facts}>{content}</{tag}>"


def paragraph(text: str) -> str:
    return element("p", written(text)) if text.strip() else ""


def link(address: str, content: str) -> str:
    """A link around HTML, where the address is one that a browser opens without running anything.

    Without content the address itself is shown, if it names its host; others begin at the root of the record's site.
    """
    try:
        scheme = urlsplit(address).scheme.lower()
    except ValueError:
        return content
    if scheme in _LINKED:
        return element("a", content or written(address), href=address)
    return element("a", content, href=address) if content and not scheme and address.startswith("/") else content


def listed(items: Iterable[str], ordered: bool = False) -> str:
    """A list of items that are HTML."""
    return element("ol" if ordered else "ul", "".join(element("li", item) for item in items))


def code(text: str, language: str = "") -> str:
    word = re.sub(r"[^\w+#.-]", "", language)
    return element("pre", element("code", written(text), **({"class": f"language-{word}"} if word else {})))


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and what they are, both text; rows without a value are left out."""
    lines = [
        element("tr", element("th", written(name)) + element("td", written(value)))
        for name, value in rows
        if value.strip()
    ]
    return element("table", "".join(lines)) if lines else ""


def document(title: str, *parts: str) -> bytes:
    """A page of its own; `parts` are HTML."""
    head = f'<head><meta charset="utf-8"><title>{written(title)}</title></head>'
    body = "\n".join(part for part in (element("h1", written(title)), *parts) if part)
    return f"<!DOCTYPE html>\n<html>{head}\n<body>\n{body}\n</body></html>\n".encode()


def file_name(title: str, suffix: str = ".html") -> str:
    """A title as a file's name, without what has no place in one."""
    words = " ".join(_NOT_IN_NAMES.sub(" ", clean_text(title)).split())
    return f"{words[:_NAME_CHARACTERS].strip('. ') or 'untitled'}{suffix}"
