"""One JSON request to a model's server and its answer whole, both bounded: in time, and in size."""

from __future__ import annotations

import time

import httpx

from core.errors import ModelFailed

_REPLY_BYTES = 4 * 1024 * 1024
_CONNECT_S = 5.0


def post(url: str, body: object, who: str, timeout_s: float, key: str | None) -> bytes:
    """What the server at `url` answers; `who` stands in messages, in the middle of a sentence: "vision model".

    Raises `ModelFailed`: "unreachable", "late" after `timeout_s`, "refused" for any answer but a good one, "broken"
    for one of over four megabytes. No part of a request or of an answer stands in its message.
    """
    until = time.monotonic() + timeout_s
    headers = {"authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))
    try:
        with (
            httpx.Client(timeout=timeout, trust_env=False, headers=headers) as client,
            client.stream("POST", url, json=body) as reply,
        ):
            if reply.status_code != httpx.codes.OK:
                raise ModelFailed("refused", f"The {who} answered with status {reply.status_code}.")
            return _bounded(reply, who, until)
    except (httpx.TimeoutException, TimeoutError) as error:
        raise ModelFailed("late", f"The {who} took longer than {timeout_s:g} s.") from error
    except httpx.HTTPError as error:
        raise ModelFailed("unreachable", f"The {who} is not there ({type(error).__name__}).") from error


def _bounded(reply: httpx.Response, who: str, until: float) -> bytes:
    """All of a reply's body; raises `TimeoutError` where it does not come in time."""
    body = bytearray()
    for piece in reply.iter_bytes():
        body += piece
        if time.monotonic() > until:
            raise TimeoutError
        if len(body) > _REPLY_BYTES:
            raise ModelFailed("broken", f"The {who}'s answer is too long to be one.")
    return bytes(body)
