"""A server that speaks vLLM's dialect and fails as a test tells it to: raw sockets, because a library would be kind."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LONGEST_STALL_S = 60.0


class Act(Enum):
    """What a server may do beside sending."""

    STALL = "say nothing more until the client leaves"
    CUT = "close the connection"
    HALF_CLOSE = "close our side, and go on reading the other's"
    DROP = "reset the connection"


Step = bytes | float | threading.Event | Act
"""Bytes are sent as they are, a number is a pause in seconds, an event is waited for."""


def chunked(data: bytes) -> bytes:
    """One chunk of HTTP's chunked transfer (RFC 9112, 7.1)."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(content: dict[str, Any] | str) -> bytes:
    """One server-sent event, as vLLM frames it."""
    data = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return chunked(f"data: {data}\n\n".encode())


def says(text: str) -> bytes:
    """A piece of text."""
    return event({"choices": [{"index": 0, "delta": {"content": text}}]})


def refuses(status: int, body: bytes = b"{}") -> tuple[Step, ...]:
    """A whole response that is no answer."""
    return (f"HTTP/1.1 {status} Refused\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body,)


USED = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
DONE = event("[DONE]") + chunked(b"")


def answers(*texts: str) -> tuple[Step, ...]:
    """An answer as it should be."""
    return (HEAD, *(says(text) for text in texts), USED, DONE)


@dataclass
class ScriptedVllm:
    """Follows one script for each request, the last for all further ones."""

    scripts: Sequence[Sequence[Step]]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    left: threading.Event = field(default_factory=threading.Event)
    """Set when a client has closed a connection on which we stalled."""

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer_all, args=(connection,), daemon=True).start()

    def _answer_all(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            connection.settimeout(LONGEST_STALL_S)
            try:
                while (body := _request(reader)) is not None:
                    script = self.scripts[min(len(self.bodies), len(self.scripts) - 1)]
                    self.bodies.append(body)
                    if not self._follow(script, connection):
                        return
            except OSError:
                self.left.set()

    def _follow(self, script: Sequence[Step], connection: socket.socket) -> bool:
        """Whether the connection stays open for a further request."""
        for step in script:
            if isinstance(step, bytes):
                connection.sendall(step)
            elif isinstance(step, float):
                threading.Event().wait(step)
            elif isinstance(step, threading.Event):
                step.wait(LONGEST_STALL_S)
            else:
                self._act(step, connection)
                return False
        return True

    def _act(self, act: Act, connection: socket.socket) -> None:
        if act is Act.DROP:
            # No lingering: the kernel sends RST in place of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if act is Act.CUT:
            return
        if act is Act.HALF_CLOSE:
            connection.shutdown(socket.SHUT_WR)
        if connection.recv(1) == b"":
            self.left.set()


def _request(reader: Any) -> dict[str, Any] | None:
    """The JSON of the next request; None when the client has gone."""
    length = 0
    first = line = reader.readline()
    while line not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        line = reader.readline()
    return dict(json.loads(reader.read(length) or b"{}")) if first else None


@contextmanager
def scripted_vllm(*scripts: Sequence[Step]) -> Iterator[ScriptedVllm]:
    """A server that runs until the block ends."""
    server = ScriptedVllm(scripts)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        threading.Thread(target=server.serve, args=(listener,), daemon=True).start()
        yield server
        # A blocked accept() does not notice that its socket was closed.
        listener.shutdown(socket.SHUT_RDWR)
