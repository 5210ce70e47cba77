"""Who a request comes from: an API key or a browser's cookie in, an identity out."""

from __future__ import annotations

import hmac
from dataclasses import replace

from starlette.requests import Request

from catalog.database import Catalog
from core.errors import FootnoteError, Forbidden, Unauthenticated, WrongUsage
from core.principals import Principal, parse_principal
from governance.identity import Identity, authenticate, resume_session

COOKIE = "footnote_session"
CSRF_HEADER = "X-CSRF-Token"
ON_BEHALF_OF = "Footnote-On-Behalf-Of"
DELEGATED_SCOPES = frozenset({"search", "ask", "read", "content", "write"})
"""What a key keeps while it acts for somebody else: it administers nothing in their name."""
_SAFE_METHODS = frozenset({"GET", "HEAD"})


class CrossSite(Forbidden):
    """A browser asked for a change without the token that only our page knows."""

    def __init__(self) -> None:
        FootnoteError.__init__(
            self, f"A change made with the sign-in cookie needs the header {CSRF_HEADER}; GET /v1/me tells its value."
        )
        self.needs = CSRF_HEADER


def identify(catalog: Catalog, request: Request) -> Identity:
    """The identity a request speaks for. A key in the `Authorization` header wins over a cookie.

    Raises `Unauthenticated`, `Forbidden` (no `act-as`, no CSRF token) and `WrongUsage` (a malformed name).
    """
    authorization = request.headers.get("authorization")
    cookie = request.cookies.get(COOKIE)
    if authorization is not None:
        identity = identify_key(catalog, _bearer(authorization))
    elif cookie is not None:
        identity = resume_session(catalog, cookie)
        _require_csrf(request, identity)
    else:
        raise Unauthenticated
    names = request.headers.getlist(ON_BEHALF_OF)
    return _on_behalf_of(identity, names) if names else identity


def identify_key(catalog: Catalog, key: str) -> Identity:
    """The identity behind the text of an API key; raises `Unauthenticated`."""
    if not (key.isascii() and key.isprintable()):
        # No key of ours looks like that, and not every database takes such text.
        raise Unauthenticated("this API key is not valid")
    return authenticate(catalog, key)


def _bearer(authorization: str) -> str:
    """The token of RFC 6750's `Authorization: Bearer TOKEN`."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("write Authorization: Bearer KEY")
    return token.strip()


def _require_csrf(request: Request, identity: Identity) -> None:
    if request.method in _SAFE_METHODS:
        return
    sent = request.headers.get(CSRF_HEADER, "").encode()
    if not hmac.compare_digest(sent, (identity.csrf or "").encode()):
        raise CrossSite


def _on_behalf_of(identity: Identity, names: list[str]) -> Identity:
    identity.require("act-as")
    if len(names) > 1:
        raise WrongUsage(f"{ON_BEHALF_OF} may be sent once.")
    return replace(identity.on_behalf_of(_named(names[0])), scopes=identity.scopes & DELEGATED_SCOPES)


def _named(header: str) -> Principal:
    """The person a header names. Header bytes arrive as Latin-1; names are UTF-8."""
    try:
        return parse_principal(header.encode("latin-1").decode())
    except UnicodeError as error:
        raise WrongUsage(f"{ON_BEHALF_OF} is not UTF-8 text.") from error
