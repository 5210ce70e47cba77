"""Messages as Slack's blocks: rich text, whose words are words, so that no markup of an answer ever acts.

The only links are the footnotes, to the cited documents at our own address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from apps.rendering import ABSTENTIONS
from core.answers import Answer, Citation
from governance.safety.links import inert

Block = dict[str, Any]
HELPFUL, NOT_HELPFUL, SHARE = "footnote_helpful", "footnote_not_helpful", "footnote_share"
"""What the buttons are called."""
MOST_CHARACTERS = 8_000
"""Of an answer's text; a Slack message holds little more in all."""
_QUOTE_CHARACTERS = 300
_MOST_FOOTNOTES = 20
_MARKER = re.compile(r"\[(\d{1,4})\]")
_SHARE_VALUE = re.compile(r"([0-9a-f]{32}) ([0-9a-f-]{1,36}) ([A-Z0-9]{1,32}) ([0-9]{1,16}\.[0-9]{1,10})")


@dataclass(frozen=True)
class Shareable:
    """One turn of a conversation, and the message in a channel under which its answer may be shared."""

    conversation_id: str
    audit_id: str
    channel: str
    thread_ts: str

    def value(self) -> str:
        """As a button carries it."""
        return f"{self.conversation_id} {self.audit_id} {self.channel} {self.thread_ts}"


def parse_shareable(value: str) -> Shareable | None:
    """Read what a button carried."""
    found = _SHARE_VALUE.fullmatch(value)
    return Shareable(*found.groups()) if found else None


def document_url(public_url: str, citation: Citation) -> str:
    """Where the page shows the cited passage in its document, to whoever may read it."""
    place = {
        "document": citation.document_id,
        "version": citation.version,
        "start": citation.start,
        "end": citation.end,
    }
    return f"{public_url.rstrip('/')}/#{urlencode(place)}"


def plain(text: str) -> list[Block]:
    """One paragraph of words."""
    return [_rich(_section([_words(text)]))]


def question_blocks(question: str, channel: str) -> list[Block]:
    """The head of a thread of direct messages: what its owner asked, and where."""
    asked = [_words("You asked in "), {"type": "channel", "channel_id": channel}, _words(":")]
    return [_rich(_section(asked), {"type": "rich_text_quote", "elements": [_words(question)]})]


def answer_blocks(answer: Answer, public_url: str) -> list[Block]:
    """An answer with its footnotes, or what is said in place of one."""
    if answer.abstained:
        return plain(ABSTENTIONS[answer.reason or "no_evidence"])
    urls = {citation.marker: document_url(public_url, citation) for citation in answer.citations}
    parts = [_section(_with_links(_cut(answer.text, MOST_CHARACTERS), urls))]
    for citation in answer.citations[:_MOST_FOOTNOTES]:
        parts.append(_section([_link(f"[{citation.marker}] {_named(citation)}", urls[citation.marker])]))
        parts.append({"type": "rich_text_quote", "elements": [_words(_cut(citation.quote, _QUOTE_CHARACTERS))]})
    return [_rich(*parts)]


def buttons(answer: Answer, shareable: Shareable | None) -> list[Block]:
    """What can be said of an answer and done with it; an abstention holds nothing to share."""
    pressed = [_button("Helpful", HELPFUL, answer.audit_id), _button("Not helpful", NOT_HELPFUL, answer.audit_id)]
    if shareable and not answer.abstained:
        pressed.append(_button("Share in the channel", SHARE, shareable.value()))
    return [{"type": "actions", "elements": pressed}]


def shared_blocks(answer: Answer, public_url: str, user: str) -> list[Block]:
    """An answer for a whole channel, and who shares it."""
    by = _section([_words("Shared by "), {"type": "user", "user_id": user}, _words(" from Footnote:")])
    return [_rich(by), *answer_blocks(answer, public_url)]


def _with_links(text: str, urls: Mapping[int, str]) -> list[Block]:
    """The words, with each marker as a link to what it cites."""
    shown, at = inert(text), 0
    elements: list[Block] = []
    for marker in _MARKER.finditer(shown):
        if url := urls.get(int(marker[1])):
            elements += [*_some_words(shown[at : marker.start()]), _link(marker[0], url)]
            at = marker.end()
    return [*elements, *_some_words(shown[at:])]


def _named(citation: Citation) -> str:
    page = f", page {citation.page}" if citation.page else ""
    return _cut(f"{citation.title} ({citation.external_id}{page})", _QUOTE_CHARACTERS)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _words(text: str) -> Block:
    # Slack refuses an element without words.
    return {"type": "text", "text": inert(text) or " "}


def _some_words(text: str) -> Sequence[Block]:
    return [_words(text)] if text else []


def _link(text: str, url: str) -> Block:
    return {"type": "link", "text": inert(text), "url": url}


def _section(elements: Sequence[Block]) -> Block:
    return {"type": "rich_text_section", "elements": elements or [_words(" ")]}


def _rich(*parts: Block) -> Block:
    return {"type": "rich_text", "elements": parts}


def _button(label: str, action: str, value: str) -> Block:
    text = {"type": "plain_text", "text": label, "emoji": False}
    return {"type": "button", "text": text, "action_id": action, "value": value}
