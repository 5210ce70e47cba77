"""Bearer tokens that a system gives an application, asked for anew before they expire."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from core.errors import SourceRefused
from ingest.connectors.api import Api

EARLY_S = 120.0
"""A token is renewed this long before it expires, so that none expires on its way."""


@dataclass(frozen=True)
class TokenRequest:
    """What a token is asked for with: the endpoint, relative to the issuer's address, and the form's fields.

    `form` is called for each token; it holds the secret, or a proof of it.
    """

    path: str
    form: Callable[[], Mapping[str, str]] = field(repr=False)


class Bearer(httpx.Auth):
    """Sends a token with each request, a new one where the last has expired or is refused (RFC 6749, 4.4 and 5).

    Raises `SourceRefused` where the issuer gives none, naming the `credential` to renew.
    """

    def __init__(
        self, issuer: Api, request: TokenRequest, credential: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer, self._request, self._credential, self._clock = issuer, request, credential, clock
        self._token, self._until = "", 0.0

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._clock() >= self._until:
            self._renew()
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            # Tokens are revoked before their time too, and clocks differ.
            self._renew()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _renew(self) -> None:
        refusals = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
        answer = self._issuer.request("POST", self._request.path, form=self._request.form(), accepted=refusals)
        if answer.status in refusals:
            # Its own words may hold what was sent.
            raise SourceRefused(
                f"{answer.system} gives no token ({answer.status}). Renew {self._credential}, or correct the settings "
                "that name the application."
            )
        given = answer.json
        self._token = str(given["access_token"])
        self._until = self._clock() + float(given.get("expires_in", 0)) - EARLY_S
