"""Slack's messages as documents: a thread is one, and so are the messages of a channel's day outside threads.

What a message is made of is the same from the Web API and in an export.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import Any

Message = Mapping[str, Any]

# Who came and went, and what a channel is called: https://docs.slack.dev/reference/events/message#subtypes
_NOTICES = frozenset(
    f"{kind}_{what}"
    for kind in ("channel", "group")
    for what in ("join", "leave", "topic", "purpose", "name", "archive", "unarchive", "convert_to_private")
) | {
    "bot_add",
    "bot_remove",
    "pinned_item",
    "unpinned_item",
    "reminder_add",
    "tombstone",
    "channel_posting_permissions",
}
_FENCE = re.compile(r"```(.*?)```", re.S)
_CODE = re.compile(r"`([^`\n]+)`")
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_MARKED = re.compile(r"<([^<>]*)>")
_ID = re.compile(r"[A-Z0-9]{1,32}")
_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f]+")
_TITLE_CHARACTERS = 80
_NAME_CHARACTERS = 120


@dataclass(frozen=True)
class Names:
    """How people and channels are called, by their ids; an id that nobody knows stands for itself."""

    people: Mapping[str, str]
    channels: Mapping[str, str]

    def person(self, user_id: str) -> str:
        return self.people.get(user_id) or user_id

    def channel(self, channel_id: str) -> str:
        return self.channels.get(channel_id) or channel_id


def is_shown(message: Message) -> bool:
    """Whether people wrote it: neither a notice nor what is left of a deleted message."""
    return message.get("subtype") not in _NOTICES and not message.get("hidden")


def is_reply(message: Message) -> bool:
    """Whether it stands in a thread that another message has begun."""
    return bool(message.get("thread_ts")) and message["thread_ts"] != message["ts"]


def begins_thread(message: Message) -> bool:
    """Whether others have replied to it. One that is deleted still holds its thread together."""
    return not is_reply(message) and bool(message.get("reply_count"))


def moment(ts: str) -> datetime:
    """When a message was written; its `ts` is its id in the channel too."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(ts.partition(".")[0]))


def day_of(ts: str) -> date:
    """The day of a message, by UTC: the same wherever this runs."""
    return moment(ts).date()


def starts_at(day: date) -> int:
    """The first second of a day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def digest(messages: Sequence[Message], *more: object) -> str:
    """What differs when the document of these messages does. Display names are left out: nobody wrote them."""
    facts = [
        [
            message["ts"],
            message.get("user") or message.get("bot_id"),
            message.get("subtype"),
            message.get("text"),
            (message.get("edited") or {}).get("ts"),
            [(file.get("id"), file.get("name")) for file in _files(message)],
            list(_beside(message)),
        ]
        for message in messages
    ]
    return hashlib.sha256(json.dumps([facts, more]).encode()).hexdigest()[:32]


def title_of(message: Message, names: Names) -> str:
    """The first words of a message, on one line; a thread whose first message was deleted has no others."""
    words = _words(message).replace("```", " ") if is_shown(message) else ""
    words = " ".join(_told(words, names).split()) or "Thread"
    return words if len(words) <= _TITLE_CHARACTERS else words[: _TITLE_CHARACTERS - 1].rstrip() + "…"


def file_name(*parts: str) -> str:
    """A name ending in .html for a document of messages."""
    words = " ".join(_NOT_IN_NAMES.sub(" ", " ".join(parts)).split())
    return f"{words[:_NAME_CHARACTERS].strip('. ') or 'messages'}.html"


def page(title: str, messages: Sequence[Message], names: Names) -> bytes:
    """Messages in their order as HTML, each with its author and time."""
    shown = [message for message in messages if is_shown(message)]
    body = "\n".join(_message(message, names) for message in shown)
    heading = escape(title)
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{heading}</title></head>\n'
        f"<body><h1>{heading}</h1>\n{body}\n</body></html>\n"
    ).encode()


def author(message: Message, names: Names) -> str:
    """Who wrote it, as others see them."""
    if message.get("user"):
        return names.person(str(message["user"]))
    profile = message.get("bot_profile") or {}
    return str(message.get("username") or profile.get("name") or message.get("bot_id") or "somebody")


def is_person(user: Mapping[str, Any]) -> bool:
    """Whether somebody signs in with it now: not a program, and not deactivated."""
    return not user.get("deleted") and not user.get("is_bot") and user.get("id") != "USLACKBOT"


def display_name(user: Mapping[str, Any]) -> str:
    """What others see; who has chosen no name is known by their id."""
    profile = user.get("profile") or {}
    names = (profile.get("display_name"), profile.get("real_name"), user.get("real_name"), user.get("name"))
    return next((str(name) for name in names if name), str(user["id"]))


def _message(message: Message, names: Names) -> str:
    when = moment(message["ts"])
    edited = " (edited)" if message.get("edited") else ""
    head = (
        f"<strong>{escape(author(message, names))}</strong>, "
        f'<time datetime="{when:%Y-%m-%dT%H:%M:%SZ}">{when:%Y-%m-%d %H:%M} UTC</time>{edited}: '
    )
    parts = [_html(_words(message), names, head)]
    # What stands beside the text is all there is where the text is missing.
    beside = _beside(message) if str(message.get("text") or "").strip() else ()
    parts += [_html(text, names, "") for text in beside]
    parts += [f"<p>Attached: {escape(str(file.get('name') or file['id']))}</p>" for file in _files(message)]
    return "\n".join(filter(None, parts))


def _words(message: Message) -> str:
    text = str(message.get("text") or "")
    return text if text.strip() else "\n".join([*_beside(message), *_in_blocks(message.get("blocks"))])


def _beside(message: Message) -> Iterator[str]:
    """The text of attachments, as programs write them: a preview of a link, an alarm's fields."""
    for attachment in message.get("attachments") or ():
        lines = [attachment.get("pretext"), attachment.get("title"), attachment.get("text")]
        lines += [f"{field.get('title')}: {field.get('value')}" for field in attachment.get("fields") or ()]
        lines += _in_blocks(attachment.get("blocks"))
        text = "\n".join(str(line) for line in lines if line) or str(attachment.get("fallback") or "")
        if text.strip():
            yield text


def _in_blocks(blocks: object) -> list[str]:
    """The text of blocks in their order: https://docs.slack.dev/reference/block-kit/blocks"""
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, dict):
            if isinstance(value.get("text"), str):
                found.append(value["text"])
            elif value.get("type") == "user" and isinstance(value.get("user_id"), str):
                found.append(f"<@{value['user_id']}>")
            for key in ("text", "fields", "elements"):
                if not isinstance(value.get(key), str):
                    walk(value.get(key))

    walk(blocks)
    return found


def _files(message: Message) -> list[Mapping[str, Any]]:
    return [file for file in message.get("files") or () if file.get("id") and file.get("mode") != "tombstone"]


def _html(text: str, names: Names, head: str) -> str:
    """Slack's marked text (mrkdwn) as HTML; nothing in it becomes more than emphasis, a link or code."""
    parts = []
    for number, piece in enumerate(_FENCE.split(text)):
        if number % 2:
            parts.append(f"<pre><code>{escape(_told(piece, names))}</code></pre>")
        elif piece.strip() or (number == 0 and head):
            body = _told(piece.strip(), names, escape, _link)
            body = _BOLD.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", body))
            parts.append(f"<p>{head if number == 0 else ''}{body}</p>".replace("\n", "<br>\n"))
    return "\n".join(parts)


def _link(label: str, address: str) -> str:
    if not re.match(r"(https?|mailto):", address):
        return escape(label)
    # What marks text must not mark an address.
    target = escape(address).replace("*", "%2A").replace("`", "%60")
    return f'<a href="{target}">{escape(label)}</a>'


def _told(
    text: str,
    names: Names,
    write: Callable[[str], str] = str,
    link: Callable[[str, str], str] = lambda label, _address: label,
) -> str:
    """Text with what Slack marks with `<…>` told in words (https://docs.slack.dev/messaging/formatting-message-text).

    `write` writes all of it but links.
    """
    told, end = [], 0
    for found in _MARKED.finditer(text):
        told.append(write(_unescaped(text[end : found.start()])))
        target, _, label = (_unescaped(part) for part in found[1].partition("|"))
        kind, rest = target[:1], target[1:]
        if kind == "@" and _ID.fullmatch(rest):
            told.append(write(f"@{names.people.get(rest) or label.removeprefix('@') or rest}"))
        elif kind == "#" and _ID.fullmatch(rest):
            told.append(write(f"#{label or names.channel(rest)}"))
        elif kind == "!":
            told.append(write(label or f"@{rest.partition('^')[0]}"))
        else:
            told.append(link(label or target, target))
        end = found.end()
    return "".join([*told, write(_unescaped(text[end:]))])


def _unescaped(text: str) -> str:
    """Slack escapes three characters and no other."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
