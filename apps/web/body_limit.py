"""Bodies are refused once they are too long, before the rest of them is read."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import LimitExceeded

JSON_BYTES = 1_000_000
FORM_OVERHEAD_BYTES = 1_000_000
"""What a form may hold besides its file."""


class BodyLimit:
    """Lets a request's body be read up to the limit of its path, else up to `JSON_BYTES`.

    Reading on raises `LimitExceeded` where the body is read, so that a caller nobody knows is told that first.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, int]) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], JSON_BYTES)
        declared = Headers(scope=scope).get("content-length", "")
        read = int(declared) if declared.isdecimal() and int(declared) > limit else 0

        async def receive_some() -> Message:
            nonlocal read
            if read <= limit:
                message = await receive()
                read += len(message.get("body", b""))
                if read <= limit:
                    return message
            raise LimitExceeded(f"What was sent is longer than the limit of {limit:,} bytes. Send less at once.")

        await self._app(scope, receive_some, send)
