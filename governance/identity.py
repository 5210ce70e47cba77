"""API keys and browser sessions: a credential in, who it speaks for and what it may do out."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from catalog.database import Catalog
from catalog.models import ApiKey, WebSession, now
from core.errors import Forbidden, NotFound, Unauthenticated, WrongUsage
from core.principals import Principal

Scope = Literal["search", "ask", "read", "content", "write", "admin", "act-as", "metrics"]
SCOPES: tuple[str, ...] = get_args(Scope)
PERSON_SCOPES: tuple[Scope, ...] = ("search", "ask", "read")
"""What a person's own key may do: search, ask, and read what they may read."""
ADMINISTRATOR = Principal("local", "administrator")
ADMINISTRATOR_SCOPES: tuple[Scope, ...] = ("admin", "write", "metrics")
_PREFIX = "fnk"
# What is no id of ours never reaches a database, which may refuse its characters in words of its own.
_KEY_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Identity:
    """Who a request speaks for, and with which key; `principal`'s rights decide, `actor` did it."""

    principal: Principal
    actor: str
    scopes: frozenset[str]
    csrf: str | None = None
    """The token that a browser's changes must carry; None where no cookie is involved."""

    def require(self, scope: Scope) -> None:
        """Raise `Forbidden` unless the key has this scope."""
        if scope not in self.scopes:
            raise Forbidden(scope)

    def on_behalf_of(self, principal: Principal) -> Identity:
        """The same key acting for somebody else, whose rights then decide; raises `Forbidden` without `act-as`."""
        self.require("act-as")
        return replace(self, principal=principal)


@dataclass(frozen=True)
class KeyView:
    """An API key as it is listed: everything but its secret."""

    key_id: str
    name: str
    principal: Principal
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime | None
    revoked: datetime | None


def create_key(
    session: Session, name: str, principal: Principal, scopes: Sequence[str], lifetime: timedelta | None
) -> tuple[KeyView, str]:
    """Make a key; the second value is its text, which is shown once and kept nowhere.

    Raises `WrongUsage` for an unknown scope.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise WrongUsage(f"{', '.join(unknown) or 'No scope'}: the scopes are {', '.join(SCOPES)}.")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    row = ApiKey(
        id=key_id,
        secret_hash=_hash(secret),
        name=name,
        issuer=principal.issuer,
        subject=principal.subject,
        scopes=sorted(set(scopes)),
        created_at=now(),
        expires_at=now() + lifetime if lifetime is not None else None,
    )
    session.add(row)
    return _view(row), f"{_PREFIX}_{key_id}_{secret}"


def list_keys(session: Session) -> list[KeyView]:
    """Every key, oldest first."""
    return [_view(row) for row in session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id))]


def revoke_key(session: Session, key_id: str) -> KeyView:
    """End a key and every browser session that was opened with it; raises `NotFound`."""
    row = session.get(ApiKey, key_id)
    if row is None:
        raise NotFound("key", key_id)
    row.revoked_at = row.revoked_at or now()
    session.execute(delete(WebSession).where(WebSession.key_id == key_id))
    return _view(row)


def authenticate(catalog: Catalog, token: str) -> Identity:
    """The identity behind the text of an API key; raises `Unauthenticated`, never saying which part was wrong."""
    prefix, _, rest = token.partition("_")
    key_id, _, secret = rest.partition("_")
    with catalog.read() as session:
        row = session.get(ApiKey, key_id) if prefix == _PREFIX and _KEY_ID.fullmatch(key_id) else None
        expected = row.secret_hash if row else "0" * 64
        if not hmac.compare_digest(expected, _hash(secret)) or row is None or not _in_force(row):
            raise Unauthenticated("this API key is not valid")
        return _identity(row)


def open_session(catalog: Catalog, identity: Identity, lifetime: timedelta) -> tuple[str, str]:
    """Exchange a key for a browser session: the cookie's text and the CSRF token that changes must carry."""
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    with catalog.write() as session:
        session.execute(delete(WebSession).where(WebSession.expires_at < datetime.now(UTC)))
        key_id = identity.actor.removeprefix("key:")
        session.add(WebSession(token_hash=_hash(token), key_id=key_id, csrf=csrf, expires_at=now() + lifetime))
    return token, csrf


def resume_session(catalog: Catalog, token: str) -> Identity:
    """The identity behind a browser's cookie; raises `Unauthenticated` once it or its key has ended."""
    with catalog.read() as session:
        found = session.execute(
            select(WebSession, ApiKey)
            .join(ApiKey, ApiKey.id == WebSession.key_id)
            .where(WebSession.token_hash == _hash(token))
        ).one_or_none()
        if found is None or found.WebSession.expires_at <= now() or not _in_force(found.ApiKey):
            raise Unauthenticated("this sign-in has ended")
        return replace(_identity(found.ApiKey), csrf=found.WebSession.csrf)


def close_session(catalog: Catalog, token: str) -> None:
    """End a browser session; nothing happens if it had ended."""
    with catalog.write() as session:
        session.execute(delete(WebSession).where(WebSession.token_hash == _hash(token)))


def _hash(secret: str) -> str:
    # The secret has 256 random bits, so a plain hash cannot be searched; a slow one would only slow us.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _in_force(row: ApiKey) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now())


def _identity(row: ApiKey) -> Identity:
    return Identity(Principal(row.issuer, row.subject), f"key:{row.id}", frozenset(row.scopes))


def _view(row: ApiKey) -> KeyView:
    return KeyView(
        row.id,
        row.name,
        Principal(row.issuer, row.subject),
        tuple(row.scopes),
        row.created_at,
        row.expires_at,
        row.revoked_at,
    )
