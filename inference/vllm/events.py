"""What a vLLM server sends: the bytes of an event stream in, pieces of an answer out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from core.errors import ModelFailed
from inference.chat import TextDelta, Usage

Piece = TextDelta | Usage

_BROKEN_OFF = ("abort", "error")
"""How vLLM says that a request ended without an answer, as when it is told to stop."""

_LONGEST_LINE = 1_000_000
"""Bytes. A line longer than this is no event of a chat."""


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a stream, however its bytes arrive.

    Only a line feed ends a line: a model may well write U+2028 or U+0085, which other readers of lines take for an end.
    """
    begun = b""
    async for chunk in chunks:
        *whole, begun = (begun + chunk).split(b"\n")
        if len(begun) > _LONGEST_LINE:
            raise ModelFailed("broken", "vLLM sent a line that is too long.")
        for line in whole:
            yield line


async def events(received: AsyncIterator[bytes]) -> AsyncIterator[list[Piece]]:
    """What each event says, if anything, up to `[DONE]`. Raises `ModelFailed` when the stream ends without it."""
    async for line in received:
        if not line.startswith(b"data:"):
            continue
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        try:
            event = json.loads(data)
        except ValueError as error:
            raise ModelFailed("broken", "vLLM sent what is no JSON.") from error
        yield _read(event)
    raise ModelFailed("broken", "vLLM broke off in the middle of an answer.")


def _read(event: Any) -> list[Piece]:
    pieces: list[Piece] = []
    try:
        if "error" in event:
            raise ModelFailed("broken", "vLLM broke off with an error.")
        for choice in event["choices"]:
            if choice.get("finish_reason") in _BROKEN_OFF:
                raise ModelFailed("broken", "vLLM broke off in the middle of an answer.")
            if text := choice["delta"].get("content"):
                pieces.append(TextDelta(str(text)))
        if usage := event.get("usage"):
            pieces.append(Usage(int(usage["prompt_tokens"]), int(usage["completion_tokens"])))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ModelFailed("broken", "vLLM sent an event of a shape we do not know.") from error
    return pieces
