"""Signing in and out in a browser, each on record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from apps.web.guard import Caller, GuardedRoute, OpenHome, needs, public
from apps.web.requests import SessionBody
from apps.web.sign_in import COOKIE, identify_key
from core.errors import Unauthenticated
from core.principals import Principal
from governance.audit import Kind, new_audit_id
from governance.identity import Identity, close_session, open_session
from wiring.home import Home

router = APIRouter(route_class=GuardedRoute, tags=["session"])


@router.post("/v1/session")
@public
def sign_in(body: SessionBody, home: OpenHome, response: Response) -> dict[str, Any]:
    """Exchange an API key for a cookie, and the CSRF token that a browser's changes must carry."""
    try:
        identity = identify_key(home.catalog, body.key.strip())
    except Unauthenticated:
        _record(home, None, {"action": "sign-in refused", "key_id": _key_id(body.key)})
        raise
    _record(home, identity.principal, {"action": "sign-in", "actor": identity.actor})
    lifetime = timedelta(hours=home.settings.session_hours)
    token, csrf = open_session(home.catalog, identity, lifetime)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(lifetime.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=home.settings.secure_cookies,
    )
    return _about(identity, csrf)


@router.delete("/v1/session", status_code=204)
@needs()
def sign_out(request: Request, home: OpenHome, caller: Caller, response: Response) -> None:
    """End the browser's session; a caller without one has nothing to end."""
    token = request.cookies.get(COOKIE)
    if token:
        _record(home, caller.principal, {"action": "sign-out", "actor": caller.actor})
        close_session(home.catalog, token)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=home.settings.secure_cookies)


@router.get("/v1/me")
@needs()
def me(caller: Caller) -> dict[str, Any]:
    """Who the caller is; `csrf` only where a cookie is used."""
    return _about(caller, caller.csrf)


def _about(identity: Identity, csrf: str | None) -> dict[str, Any]:
    return {
        "principal": str(identity.principal),
        "actor": identity.actor,
        "scopes": sorted(identity.scopes),
        "csrf": csrf,
    }


def _record(home: Home, principal: Principal | None, content: dict[str, str | None]) -> None:
    home.audit.append(Kind.SIGN_IN, principal, content, new_audit_id())


def _key_id(key: str) -> str | None:
    """The part of a refused key that names it, if it has one; never any of its secret."""
    parts = key.strip().split("_", 2)
    named = len(parts) == 3 and len(parts[1]) == 12 and parts[1].isalnum()
    return parts[1] if named else None
