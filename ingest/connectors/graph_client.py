"""Asking Microsoft Graph: signing in as an application, page by page, and many small questions at once."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from pydantic import SecretStr

from core.errors import NotFound, SourceRefused, Transient
from ingest.connectors.api import Api, Patience, retry_after
from ingest.connectors.graph_settings import GraphSettings
from ingest.connectors.oauth import Bearer, TokenRequest

CREDENTIAL = "the application's secret or certificate"
BATCH = 20
"""The most questions that Graph takes at once (its documentation of JSON batching)."""
_ASSERTION_S = 300
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_DOWN = frozenset({HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})


class SignIn:
    """An application's tokens: by its client secret, or by a certificate where the secret is one with its key, in PEM.

    Raises `SourceRefused` for a certificate that cannot be read.
    """

    def __init__(self, settings: GraphSettings, secret: SecretStr, patience: Patience) -> None:
        self._settings, self._secret = settings, secret
        self._issuer = Api("Microsoft Entra", settings.login_url, {}, CREDENTIAL, patience)
        self.has_certificate = "-----BEGIN" in secret.get_secret_value()
        self._path = f"{settings.tenant}/oauth2/v2.0/token"
        self._proof = _certificate_of(secret) if self.has_certificate else None

    def bearer(self, resource: str) -> Bearer:
        """Tokens for what stands at an address."""
        parts = urlsplit(resource)
        scope = f"{parts.scheme}://{parts.netloc}/.default"
        return Bearer(self._issuer, TokenRequest(self._path, lambda: self._form(scope)), CREDENTIAL)

    def close(self) -> None:
        self._issuer.close()

    def _form(self, scope: str) -> Mapping[str, str]:
        form = {"grant_type": "client_credentials", "client_id": self._settings.client_id, "scope": scope}
        if self._proof is None:
            return form | {"client_secret": self._secret.get_secret_value()}
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return form | {"client_assertion_type": kind, "client_assertion": self._assertion(*self._proof)}

    def _assertion(self, certificate: x509.Certificate, key: Any) -> str:
        """Proof of the certificate's key, as Microsoft's identity platform wants it."""
        now, client = int(time.time()), self._settings.client_id
        claims = {
            "aud": f"{self._settings.login_url}/{self._path}",
            "iss": client,
            "sub": client,
            "jti": str(uuid.uuid4()),
            "nbf": now,
            "exp": now + _ASSERTION_S,
        }
        print_ = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
        thumbprint = base64.urlsafe_b64encode(print_).rstrip(b"=").decode()
        return jwt.encode(claims, key, algorithm="PS256", headers={"x5t#S256": thumbprint})


@dataclass(frozen=True)
class Reply:
    """The answer to one of several questions; no body where it is refused or absent."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        return self.status == HTTPStatus.OK


class Graph:
    """Microsoft Graph, read as an application."""

    def __init__(self, settings: GraphSettings, sign_in: SignIn, patience: Patience) -> None:
        self._patience = patience
        auth = sign_in.bearer(settings.graph_url)
        self.api = Api("Microsoft Graph", settings.graph_url, {}, CREDENTIAL, patience, auth=auth)

    def close(self) -> None:
        self.api.close()

    def listed(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Every entry of a collection."""
        link = path
        while link:
            page = self.api.get(link)
            yield from page["value"]
            link = page.get("@odata.nextLink", "")

    def whole(self, reply: Reply) -> list[Mapping[str, Any]]:
        """Every entry of a collection whose first page is the reply to a question."""
        entries = list(reply.body["value"])
        link = reply.body.get("@odata.nextLink", "")
        return entries + (list(self.listed(link)) if link else [])

    def told(self, reply: Reply) -> list[Mapping[str, Any]] | None:
        """Every entry of a collection, as `whole`; None where Graph does not tell all of it."""
        try:
            return self.whole(reply) if reply.ok else None
        except (NotFound, SourceRefused):
            return None

    def answers(self, paths: Sequence[str]) -> list[Reply]:
        """The answer to each path, in order; a few requests for many.

        Raises `Transient` where Graph stays busy; what it cannot answer though it is well is a reply with its status.
        """
        replies: dict[int, Reply] = {}
        for at in range(0, len(paths), BATCH):
            some = {number: paths[number] for number in range(at, min(at + BATCH, len(paths)))}
            replies |= self._batch(some)
        return [replies[number] for number in range(len(paths))]

    def _batch(self, asked: dict[int, str]) -> dict[int, Reply]:
        replies: dict[int, Reply] = {}
        left = asked
        for attempt in range(self._patience.attempts):
            requests = [{"id": str(number), "method": "GET", "url": f"/{path}"} for number, path in left.items()]
            waits: list[float] = []
            for one in self.api.post("$batch", {"requests": requests})["responses"]:
                number, status = int(one["id"]), int(one["status"])
                replies[number] = Reply(status, (one.get("body") or {}) if status == HTTPStatus.OK else {})
                headers = {name.lower(): str(value) for name, value in (one.get("headers") or {}).items()}
                if status in _BUSY and (wait := retry_after(headers)) is not None:
                    waits.append(wait)
            left = {key: path for key, path in left.items() if replies.get(key, _NONE).status in _BUSY | _DOWN}
            if not left:
                return replies
            if attempt + 1 < self._patience.attempts:
                self._patience.wait(attempt, max(waits, default=None))
        if any(replies.get(number, _NONE).status in _BUSY for number in left):
            raise Transient("Microsoft Graph is busy: it put off some of what it was asked again and again.")
        return replies


_NONE = Reply(HTTPStatus.SERVICE_UNAVAILABLE)


def _certificate_of(secret: SecretStr) -> tuple[x509.Certificate, Any]:
    pem = secret.get_secret_value().encode()
    try:
        return x509.load_pem_x509_certificate(pem), load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        # Not `from` it: a parser's error may hold what it was given.
        raise SourceRefused(
            "The application's certificate cannot be read: write the certificate and its private key, without a "
            "password, in PEM."
        ) from None
