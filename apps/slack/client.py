"""The few calls of Slack's Web API that the bot makes, and what their answers mean."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry import HttpRequest, HttpResponse, RetryState
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.web import SlackResponse

from core.errors import FootnoteError

Blocks = Sequence[dict[str, Any]]
TIMEOUT_SECONDS = 10
LONGEST_WAIT_SECONDS = 60
"""A longer `Retry-After` is not waited for: the person who asked is told instead."""
_TRIES_AFTER_LIMIT = 3
_PAGE = 200
# Slack's words for having failed somewhere on the way.
_PERHAPS_DONE = frozenset(("internal_error", "fatal_error", "service_unavailable", "request_timeout"))


class SlackRefused(FootnoteError):
    """Slack did not do what was asked of it; `code` is its own word for why, or ours where it said nothing.

    `nothing_done` is True where Slack says so: after any other failure it may have been done all the same.
    """

    def __init__(self, method: str, code: str, *, nothing_done: bool = False) -> None:
        super().__init__(f"Slack's {method} failed ({code}). Look the word up in docs/slack.md.")
        self.code = code
        self.nothing_done = nothing_done


@dataclass(frozen=True)
class Channel:
    """What matters of a conversation. `foreign`: people of another organization are in it, or are invited."""

    channel_id: str
    foreign: bool
    archived: bool


@dataclass(frozen=True)
class Member:
    """What matters of a user. `team_id` is the workspace they belong to."""

    team_id: str
    person: bool


class PatientWithLimits(RateLimitErrorRetryHandler):
    """Waits as long as Slack's 429 says and tries again; not where that is too long to wait."""

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if response is None or response.status_code != 429:
            return False
        waits = [value for name, value in response.headers.items() if name.lower() == "retry-after"]
        seconds = str(waits[0][0]) if waits else "1"
        return seconds.isdecimal() and int(seconds) <= LONGEST_WAIT_SECONDS


def silent_logger() -> logging.Logger:
    """A logger that says nothing: what Slack's libraries log may hold what people wrote, and tokens."""
    return logging.Logger("slack", logging.CRITICAL + 1)


def web_client(token: str, base_url: str) -> WebClient:
    """A client that tries again only where Slack says that it did nothing: else a message could be posted twice."""
    return WebClient(
        token=token,
        base_url=base_url,
        timeout=TIMEOUT_SECONDS,
        logger=silent_logger(),
        retry_handlers=[PatientWithLimits(_TRIES_AFTER_LIMIT)],
    )


@dataclass(frozen=True)
class Slack:
    """Slack, as the bot uses it. Every call raises `SlackRefused` where Slack refuses or cannot be reached."""

    web: WebClient

    def post(self, channel: str, notice: str, blocks: Blocks, thread_ts: str | None = None) -> str:
        """Post a message; returns its time stamp. `notice` is what a notification shows: no content.

        Nothing in it is parsed for links, names or markup, and nothing is fetched for a preview.
        """
        answer = self._call(
            "chat.postMessage",
            lambda: self.web.chat_postMessage(
                channel=channel,
                text=notice,
                blocks=blocks,
                thread_ts=thread_ts,
                parse="none",
                mrkdwn=False,
                link_names=False,
                unfurl_links=False,
                unfurl_media=False,
            ),
        )
        return _text(answer, "ts")

    def whisper(self, channel: str, user: str, notice: str, blocks: Blocks, thread_ts: str | None = None) -> None:
        """Show a message in a channel to one of its members alone."""
        self._call(
            "chat.postEphemeral",
            lambda: self.web.chat_postEphemeral(
                channel=channel,
                user=user,
                text=notice,
                blocks=blocks,
                thread_ts=thread_ts,
                parse="none",
                link_names=False,
            ),
        )

    def direct_channel(self, user: str) -> str:
        """The conversation of direct messages with a user."""
        opened = self._call("conversations.open", lambda: self.web.conversations_open(users=[user]))
        return _text(_mapping(opened, "channel"), "id")

    def channel(self, channel: str) -> Channel:
        """One conversation, as it is now."""
        found = _mapping(
            self._call("conversations.info", lambda: self.web.conversations_info(channel=channel)), "channel"
        )
        shared_beyond = bool(found.get("is_shared")) and not found.get("is_org_shared")
        foreign = shared_beyond or any(found.get(key) for key in ("is_ext_shared", "is_pending_ext_shared"))
        return Channel(channel, foreign, bool(found.get("is_archived")))

    def member(self, user: str) -> Member:
        """One user, as they are now."""
        found = _mapping(self._call("users.info", lambda: self.web.users_info(user=user)), "user")
        person = not any(found.get(key) for key in ("is_bot", "deleted", "is_stranger"))
        return Member(_text(found, "team_id"), person)

    def members(self, channel: str, most: int) -> list[str] | None:
        """The users in a conversation, all pages of them; None where they are more than `most`."""
        users: list[str] = []
        cursor = ""
        while True:
            page = self._page(channel, cursor)
            users += [str(user) for user in page.get("members") or ()]
            cursor = _text(page.get("response_metadata") or {}, "next_cursor")
            if len(users) > most:
                return None
            if not cursor:
                return users

    def _page(self, channel: str, cursor: str) -> Mapping[str, Any]:
        return self._call(
            "conversations.members",
            lambda: self.web.conversations_members(channel=channel, cursor=cursor or None, limit=_PAGE),
        )

    def _call(self, method: str, call: Callable[[], SlackResponse]) -> Mapping[str, Any]:
        try:
            data = call().data
        except SlackClientError as error:
            response = getattr(error, "response", None)
            code = response.get("error") if isinstance(response, SlackResponse) else None
            nothing_done = bool(code) and code not in _PERHAPS_DONE
            raise SlackRefused(method, str(code or type(error).__name__), nothing_done=nothing_done) from error
        except (OSError, HTTPException) as error:
            raise SlackRefused(method, type(error).__name__) from error
        return data if isinstance(data, Mapping) else {}


def _mapping(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""
