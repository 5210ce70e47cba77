"""Serving the web application until told to stop."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from apps.web.app import create_app
from core.errors import Conflict
from core.logs import json_log, libraries_logged
from wiring.home import Home

_GRACE_SECONDS = 10


def serve(home: Home, host: str, port: int, ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve `home` until SIGINT or SIGTERM, letting requests in progress end; prints nothing on stdout.

    `ready` is called with the URL once connections are taken; port 0 picks a free one. Raises `Conflict` when the
    address cannot be listened on.
    """
    serve_app(home, create_app(home), host, port, ready)


def serve_app(home: Home, app: ASGIApp, host: str, port: int, ready: Callable[[str], None]) -> None:
    """As `serve`, for any application over `home`."""
    with _listening(host, port) as listener:
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        log = json_log(home.settings.log_level)
        with _stopped_by_signals(), libraries_logged(log), suppress(KeyboardInterrupt):
            _Server(config, lambda: ready(_url(listener))).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound to the address; uvicorn itself would end the process where that fails."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise Conflict(
            f"Cannot listen on {host} port {port} ({error.strerror}). Stop what uses it, or choose another --port."
        ) from error
    with listener:
        yield listener


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """After its graceful stop uvicorn raises the signal again, which would end the process before the home closes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
