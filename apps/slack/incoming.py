"""Slack's payloads, read: who said what to the bot and where, or why it is none of its business."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from governance.slack_accounts import SlackUser

# What Slack calls itself: ids of workspaces, users and channels, and the time stamps that name messages.
_ID = re.compile(r"[A-Z0-9]{1,32}")
_TS = re.compile(r"[0-9]{1,16}\.[0-9]{1,10}")
# A message as such, with a file beside it, and from a thread to the channel too.
_SAID_BY_PERSONS = (None, "", "file_share", "thread_broadcast")
_EVENT_ID = re.compile(r"[A-Za-z0-9]{1,64}")
_REFERENCE = re.compile(r"<(?P<kind>[@#!]?)(?P<target>[^<>|]*)(?:\|(?P<label>[^<>]*))?>")


@dataclass(frozen=True)
class Place:
    """A message: its channel and its time stamp; `thread_ts` is the message at the top of its thread."""

    channel: str
    ts: str
    thread_ts: str

    @property
    def direct(self) -> bool:
        """Whether it is a direct message to the bot; Slack's ids of those begin with D."""
        return self.channel.startswith("D")


@dataclass(frozen=True)
class Said:
    """Words for the bot, in a direct message or beside its name in a channel, as a person would read them."""

    event_id: str
    account: SlackUser
    place: Place
    text: str


@dataclass(frozen=True)
class Pressed:
    """A button of the bot's, pressed; `place` is the message it stands on."""

    action: str
    value: str
    account: SlackUser
    place: Place


def said(body: Mapping[str, Any]) -> Said | None:
    """What a person said to the bot; None for anything else.

    Edits, deletions and everything else with a subtype are nothing that was said; neither is what a bot wrote, or
    what came from another workspace or through a channel shared with one (Slack Connect).
    """
    event = body.get("event")
    if body.get("type") != "event_callback" or not isinstance(event, Mapping):
        return None
    channel, ts = _text(event, "channel"), _text(event, "ts")
    account = SlackUser(_text(body, "team_id"), _text(event, "user"))
    place = Place(channel, ts, _text(event, "thread_ts") or ts)
    if not _EVENT_ID.fullmatch(_text(body, "event_id")) or not _is_named(account, place):
        return None
    to_the_bot = place.direct if event.get("type") == "message" else event.get("type") == "app_mention"
    if not to_the_bot or _is_foreign(body, event, account.team_id) or _is_no_persons(event):
        return None
    return Said(_text(body, "event_id"), account, place, readable(_text(event, "text"), bot_of(body)))


def pressed(body: Mapping[str, Any]) -> Pressed | None:
    """The button that was pressed; None for any other interaction, and for one from another workspace."""
    actions = body.get("actions")
    if body.get("type") != "block_actions" or not isinstance(actions, list) or len(actions) != 1:
        return None
    user, container, action = body.get("user"), body.get("container"), actions[0]
    if not all(isinstance(part, Mapping) for part in (user, container, body.get("team"), action)):
        return None
    team_id = _text(body["team"], "id")
    account = SlackUser(team_id, _text(body["user"], "id"))
    ts = _text(body["container"], "message_ts")
    place = Place(_text(body["container"], "channel_id"), ts, _text(body["container"], "thread_ts") or ts)
    if not _is_named(account, place) or body["user"].get("team_id", team_id) != team_id:
        return None
    return Pressed(_text(action, "action_id"), _text(action, "value"), account, place)


def readable(text: str, bot: str) -> str:
    """A message's source as a person reads it: without the bot's name, references by their labels, unescaped."""
    mentioned = re.sub(rf"<@{re.escape(bot)}(\|[^<>]*)?>", " ", text) if bot else text
    return " ".join(html.unescape(_REFERENCE.sub(_label, mentioned)).split())


def bot_of(body: Mapping[str, Any]) -> str:
    """The bot's own user id, as the delivery names it; empty where it does not."""
    authorizations = body.get("authorizations")
    if not isinstance(authorizations, list) or not authorizations or not isinstance(authorizations[0], Mapping):
        return ""
    return _text(authorizations[0], "user_id")


def _label(reference: re.Match[str]) -> str:
    kind, target, label = reference["kind"], reference["target"], reference["label"]
    if kind == "!":
        return label or f"@{target.split('^')[0]}"
    return f"{kind}{label or target}"


def _is_named(account: SlackUser, place: Place) -> bool:
    ids = (account.team_id, account.user_id, place.channel)
    return all(map(_ID.fullmatch, ids)) and all(map(_TS.fullmatch, (place.ts, place.thread_ts)))


def _is_foreign(body: Mapping[str, Any], event: Mapping[str, Any], team_id: str) -> bool:
    elsewhere = {event.get(key) or team_id for key in ("team", "user_team", "source_team")}
    return bool(body.get("is_ext_shared_channel")) or elsewhere != {team_id}


def _is_no_persons(event: Mapping[str, Any]) -> bool:
    if event.get("subtype") not in _SAID_BY_PERSONS:
        return True
    return any(event.get(key) for key in ("bot_id", "bot_profile", "app_id", "hidden", "edited"))


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""
