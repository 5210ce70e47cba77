"""Answers as server-sent events (HTML standard, 9.2): made on a thread, sent as fast as their reader takes them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import anyio
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from core.cancellation import Cancellation
from core.errors import FootnoteError, Transient
from core.json_lines import json_line

# A line that says nothing keeps proxies from closing the connection while a model thinks.
HEARTBEAT_SECONDS = 10.0
# Who takes no byte for so long, all buffers in between being full, is gone: the writing ends within a second.
STALL_SECONDS = 0.75
_POLL_SECONDS = 0.25
_AHEAD = 8
"""How many events of one answer wait for its reader."""
_MOST = 256
"""How many answers are written at once in one process; each has a thread."""


@dataclass(frozen=True)
class ServerEvent:
    """One event: its name (None: only data, as OpenAI's dialect has it) and its data."""

    name: str | None
    data: Mapping[str, Any] | str

    def encode(self) -> bytes:
        """The event as it goes over the line, its data on one."""
        data = self.data if isinstance(self.data, str) else json_line(self.data)
        head = f"event: {self.name}\n" if self.name else ""
        return f"{head}data: {data}\n\n".encode()


Events = Generator[ServerEvent, None, None]
_BUSY = "Too many answers are being written at this moment. Try again in a few seconds."
_places = threading.BoundedSemaphore(_MOST)


class Making:
    """Events being made on a thread of their own. `cancel` ends the making, whoever asks for it."""

    def __init__(self, events: Events, cancel: Cancellation) -> None:
        """Starts at once; raises `Transient` when too many are being made."""
        self._places = _places  # one is given back where it was taken
        if not self._places.acquire(blocking=False):
            raise Transient(_BUSY)
        self.cancel = cancel
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Queue[ServerEvent | Exception | None] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        run = contextvars.copy_context().run
        try:
            threading.Thread(target=run, args=(self._make, events), name="footnote-answer", daemon=True).start()
        except RuntimeError as error:  # the system has no thread left
            self._places.release()
            raise Transient(_BUSY) from error

    async def next(self, limit_s: float | None = None) -> ServerEvent | None:
        """The next event, None after the last; raises what the making raised, and `TimeoutError`."""
        made = await asyncio.wait_for(self._made.get(), limit_s)
        self._room.release()
        if isinstance(made, Exception):
            raise made
        return made

    def _make(self, events: Events) -> None:
        try:
            with closing(events):
                for event in events:
                    if not self._put(event):
                        return
            self._put(None)
        except Exception as error:  # noqa: BLE001 - carried over to the reader
            self._put(error)
        finally:
            self._places.release()

    def _put(self, made: ServerEvent | Exception | None) -> bool:
        """Hand over what was made when there is room; whether somebody still wants it."""
        while not self._room.acquire(timeout=_POLL_SECONDS):
            if self.cancel.cancelled:
                return False
        with suppress(RuntimeError):  # the loop has ended with its server
            self._loop.call_soon_threadsafe(self._made.put_nowait, made)
        return not self.cancel.cancelled


class EventStream(Response):
    """Sends events until they end. A reader who leaves, or takes nothing for a while, ends their making."""

    media_type = "text/event-stream"

    def __init__(
        self, making: Making, begun: ServerEvent, failed: Callable[[Exception], Sequence[ServerEvent]]
    ) -> None:
        """`begun` was waited for with `first`, so that what fails before it has its own status; what fails later is
        told by the events of `failed`, and raised again when it is no error of ours."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._making = making
        self._begun = begun
        self._failed = failed
        self._bug: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:

            async def until_gone() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(until_gone)
            try:
                # Without the end of the body the server closes the connection, which is what a stalled reader gets.
                with suppress(TimeoutError):
                    await self._send_all(send)
            finally:
                self._making.cancel.cancel()
                group.cancel_scope.cancel()
        if self._bug:
            raise self._bug

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        event: ServerEvent | None = self._begun
        while event is not None:
            await _send(send, event.encode())
            event = await self._next(send)
        await send({"type": "http.response.body", "body": b""})

    async def _next(self, send: Send) -> ServerEvent | None:
        while True:
            try:
                return await self._making.next(HEARTBEAT_SECONDS)
            except TimeoutError:
                await _send(send, b": \n\n")
            except Exception as error:  # noqa: BLE001 - told to the reader, and raised again after that
                self._bug = None if isinstance(error, FootnoteError) else error
                for event in self._failed(error):
                    await _send(send, event.encode())
                return None


async def _send(send: Send, body: bytes) -> None:
    with anyio.fail_after(STALL_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def first(making: Making, request: Request) -> ServerEvent:
    """The first event that is made, which may be the whole; a caller who leaves before it ends the making.

    Raises `Transient` when the caller left and nothing was made.
    """
    while True:
        try:
            event = await making.next(_POLL_SECONDS)
        except TimeoutError:
            if await request.is_disconnected():
                making.cancel.cancel()
        except asyncio.CancelledError:
            making.cancel.cancel()  # the server is being stopped
            raise
        else:
            if event is None:
                raise Transient("Nobody waits for this answer any more.")
            return event
