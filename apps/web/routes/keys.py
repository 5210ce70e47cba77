"""API keys, for administrators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter

from apps.rendering import key_json
from apps.web.guard import Administrator, GuardedRoute, OpenHome, needs
from apps.web.requests import KeyBody, Name
from core.principals import parse_principal
from governance.identity import list_keys

router = APIRouter(route_class=GuardedRoute, tags=["keys"])


@router.get("/v1/keys")
@needs("admin")
def show_keys(home: OpenHome, administration: Administrator) -> list[dict[str, Any]]:
    """Every key, without its secret."""
    administration.record("keys.list")
    with home.catalog.read() as session:
        return [key_json(view) for view in list_keys(session)]


@router.post("/v1/keys", status_code=201)
@needs("admin")
def create_key(body: KeyBody, administration: Administrator) -> dict[str, Any]:
    """Make a key. `key` is its text, shown this once."""
    lifetime = timedelta(days=body.expires_days) if body.expires_days else None
    view, key = administration.create_key(body.name, parse_principal(body.principal), body.scopes, lifetime)
    return {"key": key, **key_json(view)}


@router.delete("/v1/keys/{key_id}", status_code=204)
@needs("admin")
def revoke_key(key_id: Name, administration: Administrator) -> None:
    """End a key, and every browser session that was opened with it, from the next request on."""
    administration.revoke_key(key_id)
