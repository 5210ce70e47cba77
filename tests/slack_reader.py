"""Slack's messages as the least careful client would show them: every address that it would link to or fetch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from slack_double import Message, strings

_LINKED_BY_ITSELF = re.compile(
    r"[a-z][a-z0-9+.-]*://|\b(?:https?|ftp|wss?|data|javascript|vbscript|file|mailto|tel|slack|blob):[^\s)]|\bwww\d?\."
    r"|(?<![\w.@-])[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|co|dev|app|xyz)\b|(?<![\w.-])[\w.-]+\.[a-z]{2,}/",
    re.IGNORECASE,
)
_FETCHING = {
    "image_url",
    "thumb_url",
    "slack_file",
    "attachments",
    "video_url",
    "icon_url",
    "files",
    "provider_icon_url",
}


def reached_from(message: Message) -> set[str]:
    """Every address that the least careful client would link to, preview or fetch for a message.

    It obeys all markup of Slack's in every string that is not said to be plain, and links whatever looks like an
    address in any string at all.
    """
    found = {str(value) for key, value in _entries(message.payload) if key in _FETCHING}
    found |= {str(value) for key, value in _entries(message.blocks) if key == "url"}
    if message.only_for is None and (message.payload.get("unfurl_links"), message.payload.get("unfurl_media")) not in (
        ("0", "0"),
        (False, False),
        ("false", "false"),
    ):
        found.add("a preview")
    shown = [str(message.payload["text"]), *_runs(message.blocks)]
    for text in shown:
        found |= {match[0] for match in _LINKED_BY_ITSELF.finditer(text)}
    if re.search(r"<[^<>]*>", shown[0]):
        found.add(shown[0])
    return found


def _runs(blocks: list[dict[str, Any]]) -> Iterator[str]:
    """Words that stand together: neighbouring texts of a part read as one, and labels as themselves."""
    for block in blocks:
        for part in block["elements"]:
            run = ""
            for element in part.get("elements", [part]):
                if element["type"] == "text":
                    run += element["text"]
                    continue
                yield run
                run = ""
                yield from strings(element)
            yield run


def _entries(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, list):
        for one in node:
            yield from _entries(one)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield key, value
            yield from _entries(value)
