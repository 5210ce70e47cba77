"""A home behind a real server, whose answers are written by a model that its test leads by the hand."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from web_home import WebHome, bearer, web_home

from apps.web.app import create_app
from core.answers import Mode
from governance.audit import Kind
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage

PATIENCE_SECONDS = 30.0
"""How long a test waits for what takes milliseconds, on a machine that does much else."""

Play = Callable[[ChatRequest], Iterator[str]]


@dataclass
class LedChat:
    """Writes what its play yields, and tells when somebody ended it."""

    play: Play = lambda request: iter(())
    prompts: list[Sequence[ChatMessage]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def mode(self) -> Mode:
        return "vllm"

    @property
    def model(self) -> str:
        return "led"

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[TextDelta | Usage, None, None]:
        self.prompts.append(messages)
        try:
            for text in self.play(request):
                yield TextDelta(text)
            if not request.cancel.cancelled:
                yield Usage(7, 5)
        finally:
            self.ended.set()

    def close(self) -> None:
        """Nothing is held."""


def writes(*texts: str) -> Play:
    """A play without waiting."""
    return lambda request: iter(texts)


@dataclass
class Held:
    """A play that writes `first`, waits until it is let go or cancelled, and then writes `rest`.

    `deaf` goes on writing when it was cancelled, as a server may whose abort has not arrived.
    """

    first: str
    rest: str = ""
    deaf: bool = False
    go: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: ChatRequest) -> Iterator[str]:
        if self.first:
            yield self.first
        self.waiting.set()
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.go.is_set() and not request.cancel.wait(0.01):
            assert time.monotonic() < until, "nobody let the model go on"
        if self.rest and (self.deaf or not request.cancel.cancelled):
            yield self.rest


@dataclass(frozen=True)
class LiveHome:
    """A served home with its model."""

    web: WebHome
    chat: LedChat
    url: str

    @contextmanager
    def asked(self, key: str, question: str, **body: Any) -> Iterator[Iterator[tuple[str, Any]]]:
        """The events of one streamed answer as they come; leaving the block hangs up."""
        with (
            httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS) as client,
            client.stream("POST", "/v1/ask", json={"question": question, **body}, headers=listening(key)) as response,
        ):
            assert response.status_code == 200, response.read()
            yield events_of(response.iter_lines())

    def begin(self, key: str, question: str, accept: str = "text/event-stream", **more: Any) -> socket.socket:
        """A connection on which the question has been sent and nothing is read."""
        body = json.dumps({"question": question, **more})
        head = [
            "POST /v1/ask HTTP/1.1",
            "Host: footnote",
            f"Authorization: Bearer {key}",
            f"Accept: {accept}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(("127.0.0.1", int(self.url.rpartition(":")[2])))
        connection.sendall("\r\n".join([*head, "", body]).encode())
        return connection

    def records(self) -> list[tuple[str, dict[str, Any]]]:
        """Kind and content of each record of the last answer that was asked for."""
        reader = self.web.home.audit_reader
        (asked,) = reader.newest(kind=Kind.INTENT, limit=1)
        return [(one.record.kind, dict(one.content or {})) for one in reader.show(asked.record.audit_id)]

    def ending(self) -> str | None:
        """How the last answer that was asked for ended, by its record; None while it has not."""
        kind, content = self.records()[-1]
        return str(content["ending"]) if kind == Kind.RECEIPT else None


def listening(key: str) -> Mapping[str, str]:
    return {**bearer(key), "Accept": "text/event-stream"}


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """The events of a stream of server-sent events: name and data; a heartbeat has the name `:`."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
        elif line.startswith(":"):
            yield ":", None


def until(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold while a test can wait."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def answers_being_made() -> list[str]:
    """The threads on which answers are written and watched."""
    return [one.name for one in threading.enumerate() if one.name in ("footnote-answer", "footnote-rights")]


@contextmanager
def live_home(folder: Path, **settings: object) -> Iterator[LiveHome]:
    """A new home in `folder`, served; its sockets hold little, so that who does not read is soon noticed."""
    chat = LedChat()
    with web_home(folder, **settings) as web:
        for built in ("ask", "answerer", "conversing", "rewrite"):
            web.home.__dict__.pop(built, None)
        web.home.chat_model = chat
        app = create_app(web.home)
        chat.prompts.clear()
        chat.ended.clear()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_config=None, timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started)
        try:
            yield LiveHome(web, chat, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()
            listener.close()
