"""Talking to a hosted system's HTTP API: patient with its limits, bounded in size, its credential kept on its host."""

from __future__ import annotations

import json
import random
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument

ATTEMPTS = 5
"""How often a request is made before the source counts as down."""
LONGEST_WAIT_S = 60.0
"""The longest that a source is waited for between two attempts, whatever its Retry-After says."""
ANSWER_BYTES = 32 * 1024 * 1024
"""The most that one answer of an API may hold; documents have a limit of their own."""
TIMEOUT = httpx.Timeout(30.0, connect=10.0)

_REFUSAL_BYTES = 64 * 1024
"""As much of a refusal is read to see whether it says that the system is only busy."""

_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_DOWN = frozenset({HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})


@dataclass(frozen=True)
class Patience:
    """How often to ask again and how long to wait in between; tests do not wait."""

    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int, asked_for: float | None) -> None:
        """Wait as long as the source has asked for, else twice as long each time, with some chance in it."""
        # Not for cryptography: several workers must not come back at the same moment.
        own = min(LONGEST_WAIT_S, 0.5 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
        self.sleep(min(LONGEST_WAIT_S, asked_for) if asked_for is not None else own)


class Api:
    """One system's API below `base_url`, asked with `headers` (among them the credential, which no other host gets).

    A busy or failing system is asked again, as long and as often as `patience` says. `system` is its name in errors,
    `credential` what an administrator has to renew when it is refused. Where the credential is a token that expires,
    `auth` sends it instead of `headers`. `says_busy` tells from the body of a 403 that it is no refusal: some systems
    write so that they have been asked too often.
    """

    def __init__(
        self,
        system: str,
        base_url: str,
        headers: Mapping[str, str],
        credential: str,
        patience: Patience | None = None,
        *,
        auth: httpx.Auth | None = None,
        says_busy: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._system, self._credential = system, credential
        self._says_busy = says_busy
        self._patience = patience or Patience()
        self._base = httpx.URL(base_url.rstrip("/") + "/")
        # No environment: a proxy or a .netrc of the machine must not see or change what is sent.
        self._client = httpx.Client(
            headers=dict(headers), auth=auth, verify=_tls(), timeout=TIMEOUT, trust_env=False, follow_redirects=False
        )
        self._open = httpx.Client(verify=_tls(), timeout=TIMEOUT, trust_env=False, follow_redirects=False)

    def __repr__(self) -> str:
        return f"Api({self._system!r}, {str(self._base)!r})"

    def close(self) -> None:
        self._client.close()
        self._open.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON that a GET answers with; see `request`."""
        return self.request("GET", path, params=params).json

    def post(self, path: str, body: Any) -> Any:
        """The JSON that a POST of JSON answers with; only for calls that may be made twice."""
        return self.request("POST", path, body=body).json

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accepted: frozenset[int] = frozenset(),
        limit: int = ANSWER_BYTES,
    ) -> Answer:
        """One call; `path` is relative to the base, or a link of the same host that an answer has named.

        `body` is sent as JSON, `form` as an HTML form would be. Raises `NotFound` for 404 and 410, `SourceRefused` for
        401 and 403 and for a link that leads elsewhere, and `Transient` where the system stays busy, is down or does
        not answer with JSON. Statuses in `accepted` are returned to the caller.
        """
        url = self._at_home(path)
        content = json.dumps(body).encode() if body is not None else None
        sent = {"Accept": "application/json", **(headers or {})}
        if content is not None:
            sent["Content-Type"] = "application/json"
        request = self._client.build_request(method, url, params=params, content=content, data=form, headers=sent)
        status, answered, data = self._answered(self._client, request, limit, accepted)
        return Answer(status, dict(answered), data, self._system)

    def download(self, path: str, limit: int, headers: Mapping[str, str] | None = None) -> bytes:
        """A document's bytes, at most `limit`, following redirects; only this API's host is sent the credential.

        Raises as `request` does, and `UnreadableDocument` for more bytes than the limit.
        """
        url = self._base.join(path)
        for _ in range(5):
            client = self._client if _same_origin(url, self._base) else self._open
            request = client.build_request("GET", url, headers=headers)
            status, answered, data = self._answered(client, request, limit, frozenset(range(300, 400)))
            if status not in range(300, 400):
                return data
            url = url.join(answered.get("location", ""))
        raise Transient(f"{self._system} sends one from address to address for a document.")

    def _at_home(self, path: str) -> httpx.URL:
        url = self._base.join(path)
        if not _same_origin(url, self._base):
            # The credential would go along.
            raise SourceRefused(
                f"{self._system} names an address on another host ({url.host}); nothing was asked of it."
            )
        return url

    def _answered(
        self, client: httpx.Client, request: httpx.Request, limit: int, accepted: frozenset[int]
    ) -> tuple[int, httpx.Headers, bytes]:
        problem = ""
        for attempt in range(self._patience.attempts):
            asked_for: float | None = None
            try:
                response = client.send(request, stream=True)
                try:
                    status = response.status_code
                    taken = status in accepted or response.is_success
                    data = self._body(response, limit) if taken else b""
                    busy = (status in _BUSY and not taken) or self._is_busy(response, data)
                    if taken and not busy:
                        return status, response.headers, data
                    if not busy:
                        self._refuse(status, request)
                    problem = f"it answered {status}"
                    asked_for = asks_to_wait(response.headers) if busy else None
                finally:
                    response.close()
            except httpx.TransportError as error:
                problem = f"it could not be reached ({type(error).__name__})"
            if attempt + 1 < self._patience.attempts:
                self._patience.wait(attempt, asked_for)
        raise Transient(f"{self._system} is busy or down: {problem}, {self._patience.attempts} times.")

    def _is_busy(self, response: httpx.Response, data: bytes) -> bool:
        if response.status_code != HTTPStatus.FORBIDDEN:
            return False
        if asks_to_wait(response.headers) is not None:
            return True
        if self._says_busy is None:
            return False
        for piece in () if data else response.iter_bytes():
            data += piece
            if len(data) > _REFUSAL_BYTES:
                break
        return self._says_busy(data)

    def _refuse(self, status: int, request: httpx.Request) -> None:
        where = f"{request.method} {request.url.path}"
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise SourceRefused(
                f"{self._system} refused {where} ({status}). Renew {self._credential}, or give it the rights that "
                "docs/sources.md names."
            )
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise NotFound(f"{self._system} object", request.url.path)
        if status not in _BUSY | _DOWN:
            raise Transient(f"{self._system} answered {where} with {status}.")

    def _body(self, response: httpx.Response, limit: int) -> bytes:
        data = bytearray()
        for piece in response.iter_bytes():
            data += piece
            if len(data) > limit:
                raise UnreadableDocument("too_large", f"It is longer than the limit of {limit:,} bytes; split it.")
        return bytes(data)


@dataclass(frozen=True)
class Answer:
    """What an API answered."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    data: bytes = field(repr=False)
    system: str

    @property
    def json(self) -> Any:
        """The answer as JSON; raises `Transient` for anything else (a proxy's error page, a cut-off body)."""
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError) as error:
            raise Transient(f"{self.system} answered with something that is no JSON.") from error


def asks_to_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds after which a busy system wants to be asked again; None where it does not say.

    Where there is no Retry-After, a limit that is used up says when it begins anew, in seconds since 1970
    (https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api).
    """
    seconds = retry_after(headers)
    reset = headers.get("x-ratelimit-reset", "")
    if seconds is None and headers.get("x-ratelimit-remaining") == "0" and re.fullmatch(r"[1-9]\d{9}", reset):
        return max(0.0, int(reset) - time.time())
    return seconds


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a Retry-After asks for, as a number or a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


@cache
def _tls() -> ssl.SSLContext:
    """The certificates that are trusted: reading them takes 17 ms, which each client would spend anew."""
    return httpx.create_ssl_context(trust_env=False)


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
