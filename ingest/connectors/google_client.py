"""Asking Google's APIs in the name of the people of an organization."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from core.errors import SourceRefused
from ingest.connectors.api import Api, Patience
from ingest.connectors.oauth import Bearer, TokenRequest

CREDENTIAL = "the service account's key"
DRIVE = "https://www.googleapis.com/auth/drive.readonly"
DIRECTORY = (
    "https://www.googleapis.com/auth/admin.directory.user.readonly "
    "https://www.googleapis.com/auth/admin.directory.group.readonly"
)
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_S = 3600
# What Google says with 403 when it has been asked too often (Drive API: resolve errors).
_TOO_OFTEN = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded", "sharingRateLimitExceeded"}
)


class ServiceAccount:
    """A service account that may act in the name of others (domain-wide delegation). Its secret is its JSON key.

    Raises `SourceRefused` for a key that cannot be read.
    """

    def __init__(self, secret: SecretStr, token_url: str, patience: Patience) -> None:
        self._email, self._key_id, self._key = _key_of(secret)
        self._token_url = token_url
        self._issuer = Api("Google", token_url, {}, CREDENTIAL, patience)

    def bearer(self, scopes: str, subject: str) -> Bearer:
        """Tokens in the name of somebody, by their address."""
        request = TokenRequest(self._token_url, lambda: self._form(scopes, subject))
        return Bearer(self._issuer, request, f"{CREDENTIAL}, or its delegation in the Admin console")

    def close(self) -> None:
        self._issuer.close()

    def _form(self, scopes: str, subject: str) -> Mapping[str, str]:
        now = int(time.time())
        claims = {
            "iss": self._email,
            "sub": subject,
            "scope": scopes,
            "aud": self._token_url,
            "iat": now,
            "exp": now + _ASSERTION_S,
        }
        assertion = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})
        return {"grant_type": _GRANT, "assertion": assertion}


class Delegation(httpx.Auth):
    """Sends the token of whoever is spoken for now."""

    def __init__(self, account: ServiceAccount, scopes: str, subject: str) -> None:
        self._account, self._scopes, self.subject = account, scopes, subject
        self._bearers: dict[str, Bearer] = {}

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self.subject not in self._bearers:
            self._bearers[self.subject] = self._account.bearer(self._scopes, self.subject)
        yield from self._bearers[self.subject].sync_auth_flow(request)


def google_api(name: str, url: str, auth: Delegation, patience: Patience) -> Api:
    """An API of Google's, which says with 403 too that it has been asked too often."""
    return Api(name, url, {}, CREDENTIAL, patience, auth=auth, says_busy=lambda data: bool(reasons(data) & _TOO_OFTEN))


def listed(api: Api, path: str, key: str, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every entry of a collection."""
    token = ""
    while True:
        page = api.get(path, {**params, "pageToken": token} if token else params)
        yield from page.get(key) or ()
        token = page.get("nextPageToken", "")
        if not token:
            return


def reasons(data: bytes) -> frozenset[str]:
    """Why an API refuses, in Google's words for machines."""
    try:
        errors = json.loads(data)["error"]["errors"]
        return frozenset(str(one["reason"]) for one in errors)
    except (ValueError, KeyError, TypeError):
        return frozenset()


def _key_of(secret: SecretStr) -> tuple[str, str, Any]:
    """A service account's address, its key's id, and the key."""
    try:
        account = json.loads(secret.get_secret_value())
        key = load_pem_private_key(account["private_key"].encode(), password=None)
        return str(account["client_email"]), str(account.get("private_key_id", "")), key
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not `from` it: a parser's error holds the whole text that it was given.
        raise SourceRefused(
            "The service account's key cannot be read: keep the JSON file that Google gives for it, whole."
        ) from None
