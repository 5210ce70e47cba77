"""A page of a SharePoint site, written as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.documents import clean_text
from core.errors import UnreadableDocument
from ingest.connectors.hypertext import document, element, paragraph

PUBLISHED = "published"


def page_html(page: Mapping[str, Any]) -> bytes:
    """What a page shows: its title, who changed it last and when, and the words of its parts in their order.

    Raises `UnreadableDocument` for a page that has been changed and not published: its readers do not see the change.
    """
    if (page.get("publishingState") or {}).get("level") != PUBLISHED:
        raise UnreadableDocument("unreadable", "It has changes that are not published; publish it or discard them.")
    who = str(((page.get("lastModifiedBy") or {}).get("user") or {}).get("displayName") or "")
    changed = ", ".join(one for one in (who, str(page.get("lastModifiedDateTime") or "")[:10]) if one)
    parts = [_shown(part) for part in _parts(page.get("canvasLayout") or {})]
    return document(str(page.get("title") or page.get("name") or ""), paragraph(changed), *parts)


def _parts(layout: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts of a page, section by section, in each column by column; what stands at its side comes last."""
    for section in layout.get("horizontalSections") or ():
        for column in section.get("columns") or ():
            yield from column.get("webparts") or ()
    yield from (layout.get("verticalSection") or {}).get("webparts") or ()


def _shown(part: Mapping[str, Any]) -> str:
    if "innerHtml" in part:
        # Its author wrote HTML; as with any page that is read, nothing in it is run.
        return element("div", clean_text(str(part["innerHtml"] or "")))
    content = (part.get("data") or {}).get("serverProcessedContent") or {}
    words = [paragraph(str(one.get("value") or "")) for one in content.get("searchablePlainTexts") or ()]
    rich = [element("div", clean_text(str(one.get("value") or ""))) for one in content.get("htmlStrings") or ()]
    return "".join([*words, *rich])
