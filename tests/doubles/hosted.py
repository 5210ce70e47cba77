"""What doubles of hosted systems share: real HTTP on this machine, being busy, being down, and a record of calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str] = field(repr=False)
    body: Any = None

    def one(self, name: str, default: str = "") -> str:
        values = self.query.get(name, [default])
        if len(values) != 1:
            raise Refused(400, f"{name} is given {len(values)} times")
        return values[0]

    def number(self, name: str, default: int, most: int) -> int:
        value = self.one(name, str(default))
        if not value.isdigit():
            raise Refused(400, f"{name} is no number")
        return min(int(value), most)

    def only(self, *names: str) -> None:
        """Refuse parameters that the call does not have: a misspelt one must fail the test."""
        unknown = set(self.query) - set(names)
        if unknown:
            raise Refused(400, f"unknown parameters {sorted(unknown)}")


@dataclass(frozen=True)
class Reply:
    status: int = 200
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Hosted:
    """A hosted system; what it answers is up to `answer`."""

    def __init__(self) -> None:
        self.busy: list[str] = []
        """The Retry-After of the next answers, each of which is 429."""
        self.down = self.drops = False
        self.calls: list[Call] = []
        self.instead: dict[str, Reply] = {}
        """By path: what is answered to it, whatever is asked."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Self]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def date(self) -> str:
        """The time by the system's own clock."""
        return formatdate(usegmt=True)

    def answer(self, call: Call) -> Reply:
        raise NotImplementedError

    def problem(self, status: int, message: str) -> Any:
        """How the system words an error."""
        return {"message": message}

    def replied(self, call: Call) -> Reply:
        self.calls.append(call)
        if self.down:
            return Reply(503, "<html>we are working on it</html>")
        if self.busy:
            return Reply(429, self.problem(429, "rate limited"), {"Retry-After": self.busy.pop(0)})
        if call.path in self.instead:
            return self.instead[call.path]
        try:
            return self.answer(call)
        except Refused as refused:
            return Reply(refused.status, self.problem(refused.status, str(refused)))


def _handler(hosted: Hosted) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # an answer leaves in one piece; in two it waits for the kernel's patience
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            address = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            call = Call(
                self.command,
                unquote(address.path),
                parse_qs(address.query, keep_blank_values=True),
                {name.lower(): value for name, value in self.headers.items()},
                json.loads(sent) if sent else None,
            )
            if hosted.drops:
                self.close_connection = True
                return
            reply = hosted.replied(call)
            content = reply.content
            kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
            if isinstance(content, str):
                kind, content = "text/html", content.encode()
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response_only(reply.status)
            self.send_header("Date", hosted.date())
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
