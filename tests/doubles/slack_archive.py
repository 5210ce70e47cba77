"""Slack's Web API as far as what a workspace has written can be read with it, over real HTTP.

Written from https://docs.slack.dev/reference/methods: the methods of conversations, users and files that a bot's
token may call, their paging, their errors and their limits. An argument that a method does not document is refused.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TEAM, BOT = "T0HOME", "U0BOT"
_SIGN_IN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in | Slack</title></head></html>"
_ARGUMENTS = {
    "auth.test": set(),
    "users.list": {"cursor", "limit", "include_locale", "team_id"},
    "users.info": {"user", "include_locale"},
    "users.conversations": {"cursor", "exclude_archived", "limit", "team_id", "types", "user"},
    "conversations.info": {"channel", "include_locale", "include_num_members"},
    "conversations.members": {"channel", "cursor", "limit"},
    "conversations.history": {"channel", "cursor", "inclusive", "latest", "limit", "oldest", "include_all_metadata"},
    "conversations.replies": {"channel", "ts", "cursor", "inclusive", "latest", "limit", "oldest"},
    "files.list": {"channel", "count", "page", "show_files_hidden_by_limit", "team_id", "ts_from", "ts_to", "types"},
}


class SlackError(Exception):
    """An error by Slack's word for it."""


class SlackArchive:
    """One workspace; its people act through the methods below, its `now` is the time there."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.now = 1_767_780_000.0  # 7 January 2026, 10:00 UTC
        self.page = 3
        self.users: dict[str, dict[str, Any]] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = {}
        self.messages: dict[str, dict[str, dict[str, Any]]] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.broken: dict[tuple[str, str], str] = {}
        """Errors by method and channel."""
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.is_down = False
        self.may_read_files = True
        self._busy: list[float] = []
        self._count = 0
        self.base_url = self.files_url = ""
        self.user(BOT, "Footnote", is_bot=True)

    # What people do.

    def user(self, user_id: str, name: str, team: str = TEAM, **flags: Any) -> str:
        profile = {"real_name": name, "display_name": name, "email": f"{name.lower()}@example.com"}
        self.users[user_id] = {"id": user_id, "team_id": team, "name": name.lower(), "profile": profile, **flags}
        return user_id

    def channel(self, name: str, *members: str, **flags: Any) -> str:
        self._count += 1
        channel_id = f"C{self._count:03}"
        self.channels[channel_id] = {"id": channel_id, "name": name, "is_channel": True, "is_private": False, **flags}
        self.members[channel_id] = [BOT, *members]
        self.messages[channel_id] = {}
        return channel_id

    def archive(self, channel: str, token_is_a_bots: bool) -> None:
        """Nobody can write any more. Slack takes bots out of the channel; people stay in it."""
        self.channels[channel]["is_archived"] = True
        if token_is_a_bots:
            self.members[channel].remove(BOT)

    def post(self, channel: str, user: str, text: str, thread: str | None = None, **more: Any) -> str:
        self.now += 1
        self._count += 1
        ts = f"{int(self.now)}.{self._count:06}"
        message = {"type": "message", "user": user, "text": text, "ts": ts, "team": TEAM, **more}
        if thread is not None:
            message["thread_ts"] = thread
            parent = self.messages[channel][thread]
            parent.setdefault("thread_ts", thread)
        self.messages[channel][ts] = message
        return ts

    def edit(self, channel: str, ts: str, text: str) -> None:
        self.now += 1
        message = self.messages[channel][ts]
        message["text"] = text
        message["edited"] = {"user": message["user"], "ts": f"{int(self.now)}.000000"}

    def delete(self, channel: str, ts: str) -> None:
        """A message with replies leaves a tombstone; a thread without any is an ordinary message again."""
        message = self.messages[channel][ts]
        if self._replies(channel, ts):
            self.messages[channel][ts] = {
                "type": "message",
                "subtype": "tombstone",
                "hidden": True,
                "user": "USLACKBOT",
                "text": "This message was deleted.",
                "ts": ts,
                "thread_ts": ts,
            }
            return
        del self.messages[channel][ts]
        parent = self.messages[channel].get(message.get("thread_ts", ""))
        if parent is not None and not self._replies(channel, parent["ts"]):
            parent.pop("thread_ts", None)
            if parent.get("subtype") == "tombstone":
                del self.messages[channel][parent["ts"]]

    def share_file(self, name: str, data: bytes, *channels: str, **more: Any) -> str:
        self.now += 1
        self._count += 1
        file_id = f"F{self._count:03}"
        address = f"{self.files_url}files-pri/{TEAM}-{file_id}/{name}"
        self.files[file_id] = {
            "id": file_id,
            "created": int(self.now),
            "timestamp": int(self.now),
            "name": name,
            "title": name,
            "mode": "hosted",
            "size": len(data),
            "is_external": False,
            "url_private": address,
            "url_private_download": address,
            "permalink": f"https://home.slack.com/files/U1/{file_id}/{name}",
            "permalink_public": f"https://slack-files.com/{TEAM}-{file_id}-secret",
            "channels": [one for one in channels if not self.channels[one]["is_private"]],
            "groups": [one for one in channels if self.channels[one]["is_private"]],
            "ims": [],
            **more,
        }
        self.contents[file_id] = data
        return file_id

    def throttle(self, times: int, seconds: float) -> None:
        self._busy += [seconds] * times

    # What the Web API answers.

    def answer(self, method: str, given: dict[str, str]) -> dict[str, Any]:
        self.calls.append((method, given))
        if method not in _ARGUMENTS:
            raise SlackError("unknown_method")
        if set(given) - _ARGUMENTS[method]:
            raise SlackError("invalid_arguments")
        if error := self.broken.get((method, given.get("channel", ""))):
            raise SlackError(error)
        found: dict[str, Any] = getattr(self, "_" + method.replace(".", "_"))(given)
        return found

    def _auth_test(self, given: dict[str, str]) -> dict[str, Any]:
        return {"url": "https://home.slack.com/", "team": "Home", "team_id": TEAM, "user_id": BOT, "bot_id": "B0BOT"}

    def _users_list(self, given: dict[str, str]) -> dict[str, Any]:
        own = [user for user in self.users.values() if user["team_id"] == TEAM or user.get("is_stranger") is False]
        return self._paged("members", own, given)

    def _users_info(self, given: dict[str, str]) -> dict[str, Any]:
        if given["user"] not in self.users:
            raise SlackError("user_not_found")
        return {"user": self.users[given["user"]]}

    def _users_conversations(self, given: dict[str, str]) -> dict[str, Any]:
        kinds = set(given.get("types", "public_channel").split(","))
        if kinds - {"public_channel", "private_channel", "im", "mpim"}:
            raise SlackError("invalid_types")
        found = [
            channel
            for key, channel in self.channels.items()
            if BOT in self.members[key] and self._kind(channel) in kinds
        ]
        return self._paged("channels", found, given)

    def _conversations_info(self, given: dict[str, str]) -> dict[str, Any]:
        return {"channel": self._visible(given["channel"])}

    def _conversations_members(self, given: dict[str, str]) -> dict[str, Any]:
        channel = self._visible(given["channel"])
        return self._paged("members", self.members[channel["id"]], given)

    def _conversations_history(self, given: dict[str, str]) -> dict[str, Any]:
        channel = self._readable(given["channel"])
        shown = [
            self._with_thread(channel, message)
            for ts, message in sorted(self.messages[channel].items(), reverse=True)
            if (message.get("thread_ts", ts) == ts or message.get("subtype") == "thread_broadcast")
            and self._is_within(ts, given)
        ]
        return self._paged("messages", shown, given) | {"pin_count": 0}

    def _conversations_replies(self, given: dict[str, str]) -> dict[str, Any]:
        channel = self._readable(given["channel"])
        parent = self.messages[channel].get(given["ts"])
        if parent is None or parent.get("thread_ts", given["ts"]) != given["ts"]:
            raise SlackError("thread_not_found")
        replies = [message for message in self._replies(channel, given["ts"]) if self._is_within(message["ts"], given)]
        answer = self._paged("messages", replies, given)
        answer["messages"].insert(0, self._with_thread(channel, parent))
        return answer

    def _files_list(self, given: dict[str, str]) -> dict[str, Any]:
        found = [
            file
            for file in self.files.values()
            if float(given.get("ts_from", 0)) <= file["created"] <= float(given.get("ts_to", "inf"))
            and any(BOT in self.members[one] for one in (*file["channels"], *file["groups"]))
        ]
        found.sort(key=lambda file: (-file["created"], file["id"]))
        count, page = min(int(given.get("count", 100)), self.page), int(given.get("page", 1))
        pages = -(-len(found) // count)
        return {
            "files": found[(page - 1) * count : page * count],
            "paging": {"count": count, "total": len(found), "page": page, "pages": pages},
        }

    def _paged(self, key: str, found: list[Any], given: dict[str, str]) -> dict[str, Any]:
        limit = int(given.get("limit", 100))
        if not 1 <= limit < 1000:
            raise SlackError("invalid_limit")
        start = 0
        if cursor := given.get("cursor"):
            try:
                start = int(base64.b64decode(cursor, validate=True).removeprefix(b"at:"))
            except ValueError:
                raise SlackError("invalid_cursor") from None
        end = start + min(limit, self.page)
        following = base64.b64encode(b"at:%d" % end).decode() if end < len(found) else ""
        return {key: found[start:end], "has_more": bool(following), "response_metadata": {"next_cursor": following}}

    def _kind(self, channel: dict[str, Any]) -> str:
        if channel.get("is_im"):
            return "im"
        if channel.get("is_mpim"):
            return "mpim"
        return "private_channel" if channel["is_private"] else "public_channel"

    def _visible(self, channel_id: str) -> dict[str, Any]:
        channel = self.channels.get(channel_id)
        if channel is None or (channel["is_private"] and BOT not in self.members[channel_id]):
            raise SlackError("channel_not_found")
        return channel

    def _readable(self, channel_id: str) -> str:
        self._visible(channel_id)
        if BOT not in self.members[channel_id]:
            raise SlackError("not_in_channel")
        return channel_id

    def _replies(self, channel: str, ts: str) -> list[dict[str, Any]]:
        messages = self.messages[channel]
        return [messages[key] for key in sorted(messages) if key != ts and messages[key].get("thread_ts") == ts]

    def _with_thread(self, channel: str, message: dict[str, Any]) -> dict[str, Any]:
        replies = self._replies(channel, message["ts"])
        if not replies:
            return message
        people = list(dict.fromkeys(reply["user"] for reply in replies))
        told = {"reply_count": len(replies), "reply_users": people[:5], "latest_reply": replies[-1]["ts"]}
        return message | told | {"thread_ts": message["ts"]}

    def _is_within(self, ts: str, given: dict[str, str]) -> bool:
        whole = given.get("inclusive") in ("1", "true")
        oldest, latest = given.get("oldest", "0"), given.get("latest", "9999999999.999999")
        if ts in (oldest, latest):
            return whole
        return oldest.zfill(17) < ts < latest

    def handle(self, handler: BaseHTTPRequestHandler, serves_files: bool) -> None:
        if self.is_down:
            handler.close_connection = True
            handler.connection.close()
            return
        asked = urlsplit(handler.path)
        is_known = handler.headers.get("Authorization") == f"Bearer {self.token}"
        if serves_files:
            file_id = asked.path.split("/")[2].partition("-")[2]
            if not is_known or not self.may_read_files:
                _send(handler, 200, _SIGN_IN_PAGE, "text/html")
            elif file_id not in self.contents:
                _send(handler, 404, b"")
            else:
                _send(handler, 200, self.contents[file_id], "application/octet-stream")
            return
        if self._busy:
            wait = str(int(self._busy.pop(0)))
            _send(handler, 429, b'{"ok":false,"error":"ratelimited"}', headers={"Retry-After": wait})
            return
        method = asked.path.removeprefix("/api/")
        try:
            if not handler.headers.get("Authorization"):
                raise SlackError("not_authed")
            if not is_known:
                raise SlackError("invalid_auth")
            answer = {"ok": True, **self.answer(method, dict(parse_qsl(asked.query, keep_blank_values=True)))}
        except SlackError as error:
            answer = {"ok": False, "error": str(error)}
        _send(handler, 200, json.dumps(answer).encode(), "application/json; charset=utf-8")


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    data: bytes,
    media_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": media_type, "Content-Length": str(len(data)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def running(token: str) -> Iterator[SlackArchive]:
    """A workspace that answers for as long as the block lasts, its files on a host of their own."""
    archive = SlackArchive(token)

    def handler(serves_files: bool) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                archive.handle(self, serves_files)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler(serves_files)) for serves_files in (False, True)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    archive.base_url = f"http://127.0.0.1:{servers[0].server_port}/api/"
    archive.files_url = f"http://127.0.0.1:{servers[1].server_port}/"
    try:
        yield archive
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
