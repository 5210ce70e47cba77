"""Running the bot: over a WebSocket that it opens itself (Socket Mode), or as a server that Slack calls."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from fastapi.concurrency import run_in_threadpool
from slack_bolt import App
from slack_bolt.adapter.asgi.builtin import SlackRequestHandler
from slack_bolt.adapter.asgi.http_request import AsgiHttpRequest
from slack_bolt.adapter.socket_mode.builtin import SocketModeHandler
from slack_bolt.request import BoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from starlette.types import ASGIApp

from apps.slack.app import slack_app
from apps.web.body_limit import BodyLimit
from apps.web.server import serve_app
from core.errors import LimitExceeded, Transient, WrongUsage
from wiring.home import Home

PATH = "/slack/events"
"""Where Slack sends events and button presses alike."""


def run_socket(home: Home, ready: Callable[[str], None] = lambda address: None) -> None:
    """Listen over Socket Mode until SIGINT or SIGTERM; needs no address of its own. The client reconnects by itself."""
    token = home.settings.slack_app_token
    with slack_app(home, over_http=False) as slack, _told_to_stop() as stop:
        handler = SocketModeHandler(slack.bolt, token.get_secret_value() if token else None)
        try:
            _connect(handler)
            ready("Socket Mode")
            stop.wait()
        finally:
            handler.close()  # type: ignore[no-untyped-call]


def run_http(home: Home, host: str, port: int, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve `PATH` until SIGINT or SIGTERM; raises `Conflict` when the address cannot be listened on."""
    with slack_app(home, over_http=True) as slack:
        serve_app(home, http_app(slack.bolt), host, port, lambda address: ready(address + PATH))


def http_app(bolt: App) -> ASGIApp:
    """The ASGI application that Slack calls; it takes what carries the signature of the last five minutes."""
    return BodyLimit(cast(ASGIApp, _Handler(bolt, PATH)), limits={})


class _Handler(SlackRequestHandler):
    """Bolt's own handler, off the event loop, and with an answer for what is no request of Slack's at all."""

    async def dispatch(self, request: AsgiHttpRequest) -> BoltResponse:
        try:
            body = await request.get_raw_body()
            read = BoltRequest(body=body, query=request.query_string, headers=request.get_headers())
        except LimitExceeded:
            return BoltResponse(status=413, body="")
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            # Bolt reads a body before it verifies it, and stumbles over what Slack would never send.
            return BoltResponse(status=400, body="")
        return await run_in_threadpool(self.app.dispatch, read)


def _connect(handler: SocketModeHandler) -> None:
    try:
        handler.connect()  # type: ignore[no-untyped-call]
    except SlackApiError as error:
        raise WrongUsage(f"Slack does not take the app's token ({error.response.get('error')}).") from error
    except OSError as error:
        raise Transient(f"Slack cannot be reached ({type(error).__name__}). Try again.") from error


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """Set once the process is told to end."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
