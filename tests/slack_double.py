"""Slack, as far as a bot can tell: its Web API, its signed events and its Socket Mode, over real sockets.

It is strict where Slack is (tokens, blocks, membership, rate limits), delivers again what is not acknowledged, and
keeps every message that it was given.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import secrets
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

BOT_TOKEN, APP_TOKEN, SIGNING_SECRET = "xoxb-double", "xapp-double", "8f742231b10e8888abcd99yyyzzz85a5"
TEAM, BOT = "T0HOME", "U0BOT"
ACK_SECONDS = 3.0
_PAGE = 2
"""Members on a page at most, whatever is asked for: Slack may return fewer than the limit too."""

_ELEMENTS = {
    "rich_text_section": {"text", "link", "user", "channel", "emoji", "broadcast"},
    "rich_text_quote": {"text", "link"},
}


@dataclass(frozen=True)
class Message:
    """What somebody sees in a channel; `only_for` is set where nobody else does."""

    channel: str
    ts: str
    thread_ts: str | None
    only_for: str | None
    payload: Mapping[str, Any]

    @property
    def blocks(self) -> list[dict[str, Any]]:
        return list(self.payload.get("blocks") or [])

    def words(self) -> str:
        """Every word of the blocks, in order."""
        return "".join(strings(self.blocks))

    def buttons(self) -> dict[str, dict[str, Any]]:
        """The buttons by their labels."""
        actions = [block for block in self.blocks if block["type"] == "actions"]
        return {element["text"]["text"]: element for block in actions for element in block["elements"]}


class SlackError(Exception):
    """An error of the Web API, by Slack's word for it."""


@dataclass
class SlackDouble:
    """One workspace. `users` and `channels` are what the Web API says of them; change them as a test needs."""

    port: int
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    limited: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By method: for how many seconds its next calls are refused with 429 each."""
    failing: dict[str, str] = field(default_factory=dict)
    before_answering: Callable[[str], None] = lambda method: None
    """Called with each method before it is answered; may wait."""
    acks: dict[str, float] = field(default_factory=dict)
    connections: list[WebSocket] = field(default_factory=list)
    opened: int = 0
    """How many connections there have been."""
    tickets: set[str] = field(default_factory=set)
    loop: asyncio.AbstractEventLoop | None = None
    _counter: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.person(BOT, is_bot=True)

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    # The workspace

    def person(self, user: str, **facts: Any) -> None:
        self.users[user] = {"id": user, "team_id": TEAM, "is_bot": False, "deleted": False, **facts}

    def channel(self, channel: str, *members: str, **facts: Any) -> None:
        self.channels[channel] = {"id": channel, "is_channel": True, "is_archived": False, **facts}
        self.members[channel] = [BOT, *members]

    def direct(self, user: str) -> str:
        """The id of the conversation of direct messages between a user and the bot."""
        channel = f"D{user}"
        if channel not in self.channels:
            self.channel(channel, user, is_im=True, is_channel=False)
        return channel

    def ts(self) -> str:
        return f"1700000000.{next(self._counter):06d}"

    def seen_by(self, user: str, channel: str) -> list[Message]:
        """What a member sees in a channel of what the bot sent."""
        return [one for one in self.messages if one.channel == channel and one.only_for in (None, user)]

    # Events

    def mention(self, user: str, channel: str, text: str, **more: Any) -> dict[str, Any]:
        """The delivery of a message in a channel that names the bot."""
        return self.event({"type": "app_mention", "user": user, "channel": channel, "text": f"<@{BOT}> {text}"} | more)

    def direct_message(self, user: str, text: str, **more: Any) -> dict[str, Any]:
        """The delivery of a direct message to the bot."""
        channel = self.direct(user)
        event = {"type": "message", "channel_type": "im", "user": user, "channel": channel, "text": text}
        return self.event(event | more)

    def event(self, event: dict[str, Any], **more: Any) -> dict[str, Any]:
        ts = self.ts()
        return {
            "token": "unused",
            "team_id": TEAM,
            "api_app_id": "A0APP",
            "event": {"ts": ts, "event_ts": ts, "team": TEAM} | event,
            "type": "event_callback",
            "event_id": f"Ev{secrets.token_hex(6).upper()}",
            "event_time": 1700000000,
            "is_ext_shared_channel": False,
            "authorizations": [{"team_id": TEAM, "user_id": BOT, "is_bot": True}],
        } | more

    def press(self, user: str, message: Message, label: str) -> dict[str, Any]:
        """The delivery of a button pressed on a message."""
        button = message.buttons()[label]
        container = {"type": "message", "message_ts": message.ts, "channel_id": message.channel}
        if message.thread_ts:
            container["thread_ts"] = message.thread_ts
        return {
            "type": "block_actions",
            "team": {"id": TEAM, "domain": "home"},
            "user": {"id": user, "username": user.lower(), "team_id": TEAM},
            "api_app_id": "A0APP",
            "trigger_id": "1.2.3",
            "response_url": "https://hooks.example/never-used",
            "container": container,
            "channel": {"id": message.channel},
            "actions": [{**button, "action_ts": self.ts(), "block_id": "b"}],
        }

    # Socket Mode

    def connected(self, count: int = 1, seconds: float = 20) -> bool:
        """Whether the bot comes to hold this many connections in time."""
        return wait_for(lambda: len(self.connections) >= count, seconds)

    def send(self, payload: dict[str, Any], kind: str = "events_api", attempt: int = 0) -> str:
        """Send an envelope over the newest connection; its id."""
        envelope = {
            "envelope_id": secrets.token_hex(8),
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind == "interactive",
            "retry_attempt": attempt,
            "retry_reason": "timeout" if attempt else "",
        }
        self._send_text(json.dumps(envelope))
        return str(envelope["envelope_id"])

    def deliver(self, payload: dict[str, Any], kind: str = "events_api", tries: int = 4, pause: float = 1.0) -> bool:
        """Send until it is acknowledged, as Slack does; whether it was."""
        for attempt in range(tries):
            envelope = self.send(payload, kind, attempt)
            if wait_for(lambda at=envelope: at in self.acks, ACK_SECONDS if attempt == 0 else pause):
                return True
        return False

    def ask_to_reconnect(self) -> None:
        """What Slack sends before it closes a connection."""
        self._send_text(json.dumps({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}}))

    def drop(self) -> None:
        """Cut the newest connection without a word."""
        self._run(self.connections.pop().close(1011))

    def _send_text(self, text: str) -> None:
        self._run(self.connections[-1].send_text(text))

    def _run(self, work: Any) -> Any:
        assert self.loop
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    async def _link(self, websocket: WebSocket) -> None:
        ticket = websocket.query_params.get("ticket", "")
        if ticket not in self.tickets:
            await websocket.close()
            return
        self.tickets.discard(ticket)
        await websocket.accept()
        await websocket.send_text(json.dumps({"type": "hello", "num_connections": 1, "debug_info": {}}))
        self.connections.append(websocket)
        self.opened += 1
        try:
            while True:
                answer = json.loads(await websocket.receive_text())
                self.acks[answer["envelope_id"]] = time.monotonic()
        except WebSocketDisconnect:
            if websocket in self.connections:
                self.connections.remove(websocket)

    # The Web API

    async def _api(self, request: Request) -> Response:
        method = request.path_params["method"]
        params = await _parameters(request)
        return await asyncio.get_running_loop().run_in_executor(None, self._answered, method, params, request)

    def _answered(self, method: str, params: dict[str, Any], request: Request) -> Response:
        self.before_answering(method)
        with self._lock:
            self.calls.append((method, params))
            if self.limited[method]:
                wait = self.limited[method].pop(0)
                refused = {"ok": False, "error": "ratelimited"}
                return JSONResponse(refused, status_code=429, headers={"Retry-After": str(wait)})
            try:
                self._authorize(method, request)
                if method in self.failing:
                    raise SlackError(self.failing[method])
                handler = getattr(self, "_" + method.replace(".", "_"), None)
                if handler is None:
                    raise SlackError("unknown_method")
                return JSONResponse({"ok": True, **handler(params)})
            except SlackError as error:
                return JSONResponse({"ok": False, "error": str(error)})

    def _authorize(self, method: str, request: Request) -> None:
        wanted = APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN
        given = request.headers.get("authorization", "")
        if not given:
            raise SlackError("not_authed")
        if not hmac.compare_digest(given, f"Bearer {wanted}"):
            raise SlackError("invalid_auth")

    def _auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "url": "https://home.slack.com/",
            "team_id": TEAM,
            "user_id": BOT,
            "bot_id": "B0BOT",
            "user": "footnote",
        }

    def _apps_connections_open(self, _: dict[str, Any]) -> dict[str, Any]:
        ticket = secrets.token_hex(8)
        self.tickets.add(ticket)
        return {"url": f"ws://127.0.0.1:{self.port}/link/?ticket={ticket}&app_id=A0APP"}

    def _users_info(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("user") not in self.users:
            raise SlackError("user_not_found")
        return {"user": self.users[params["user"]]}

    def _conversations_info(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"channel": self._known(params)}

    def _conversations_open(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("users") not in self.users:
            raise SlackError("user_not_found")
        return {"channel": {"id": self.direct(params["users"])}}

    def _conversations_members(self, params: dict[str, Any]) -> dict[str, Any]:
        members = self.members[self._known(params)["id"]]
        at = int(params.get("cursor") or 0)
        size = min(int(params.get("limit") or 100), _PAGE)
        following = at + size
        cursor = str(following) if following < len(members) else ""
        return {"members": members[at:following], "response_metadata": {"next_cursor": cursor}}

    def _chat_postMessage(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"channel": params["channel"], "ts": self._keep(params, None)}

    def _chat_postEphemeral(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("user") not in self.members[self._known(params)["id"]]:
            raise SlackError("user_not_in_channel")
        return {"message_ts": self._keep(params, params["user"])}

    def _known(self, params: dict[str, Any]) -> dict[str, Any]:
        channel = self.channels.get(params.get("channel", ""))
        if channel is None:
            raise SlackError("channel_not_found")
        return channel

    def _keep(self, params: dict[str, Any], only_for: str | None) -> str:
        channel = self._known(params)
        if channel["is_archived"]:
            raise SlackError("is_archived")
        if BOT not in self.members[channel["id"]]:
            raise SlackError("not_in_channel")
        if not params.get("text"):
            raise SlackError("no_text")
        _check_blocks(params.get("blocks") or [])
        ts = self.ts()
        self.messages.append(Message(channel["id"], ts, params.get("thread_ts"), only_for, params))
        return ts


def signed(
    body: bytes, *, secret: str = SIGNING_SECRET, at: float | None = None, kind: str = "application/json"
) -> dict[str, str]:
    """The headers of a request that Slack sends."""
    timestamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}", "Content-Type": kind}


def request_of(payload: dict[str, Any], **more: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the request that delivers an event or a button over HTTP."""
    if payload["type"] == "block_actions":
        body = urlencode({"payload": json.dumps(payload)}).encode()
        return body, signed(body, kind="application/x-www-form-urlencoded", **more)
    body = json.dumps(payload).encode()
    return body, signed(body, **more)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Whether something comes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def slack_double() -> Iterator[SlackDouble]:
    """A workspace of its own, listening on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        double = SlackDouble(listener.getsockname()[1])
        routes = [Route("/api/{method}", double._api, methods=["GET", "POST"]), WebSocketRoute("/link/", double._link)]
        config = uvicorn.Config(
            Starlette(routes=routes), log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)

        async def serve() -> None:
            double.loop = asyncio.get_running_loop()
            await server.serve(sockets=[listener])

        thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
        thread.start()
        assert wait_for(lambda: server.started)
        try:
            yield double
        finally:
            server.should_exit = True
            thread.join(20)


async def _parameters(request: Request) -> dict[str, Any]:
    """The arguments of a call, however they were sent; forms carry everything as text."""
    body = await request.body()
    params: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        params |= json.loads(body or b"{}")
    else:
        params |= dict(parse_qsl(body.decode(), keep_blank_values=True))
    if isinstance(params.get("blocks"), str):
        params["blocks"] = json.loads(params["blocks"])
    return params


def _check_blocks(blocks: list[dict[str, Any]]) -> None:
    """Refuse what Slack refuses."""
    if len(blocks) > 50:
        raise SlackError("invalid_blocks")
    for block in blocks:
        if block["type"] == "rich_text":
            for part in block["elements"]:
                _check_rich(part)
        elif block["type"] == "actions":
            for element in block["elements"]:
                if element["type"] != "button" or not 0 < len(element["text"]["text"]) <= 75:
                    raise SlackError("invalid_blocks")
                if len(element["value"]) > 2000 or len(element["action_id"]) > 255:
                    raise SlackError("invalid_blocks")
        else:
            raise SlackError("invalid_blocks")
    if len(json.dumps(blocks)) > 60_000 or sum(map(len, strings(blocks))) > 40_000:
        raise SlackError("msg_too_long")


def _check_rich(part: dict[str, Any]) -> None:
    for element in part["elements"]:
        if element["type"] not in _ELEMENTS.get(part["type"], set()):
            raise SlackError("invalid_blocks")
        if element["type"] == "text" and not element["text"]:
            raise SlackError("invalid_blocks")
        if element["type"] == "link" and not (element["url"] and element["text"]):
            raise SlackError("invalid_blocks")


def strings(node: Any) -> Iterator[str]:
    """Every `text` in the blocks that somebody reads."""
    if isinstance(node, list):
        for one in node:
            yield from strings(one)
    elif isinstance(node, dict):
        if isinstance(node.get("text"), str):
            yield node["text"]
        for key in ("text", "elements"):
            if not isinstance(node.get(key), str):
                yield from strings(node.get(key))
