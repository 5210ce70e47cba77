"""The caller's own Slack accounts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from apps.rendering import slack_link_json
from apps.web.guard import Caller, GuardedRoute, OpenHome, needs
from governance.slack_accounts import CODE_LIFETIME

PATH = "/v1/slack/links"
router = APIRouter(route_class=GuardedRoute, tags=["slack"])


@router.post(PATH, status_code=201)
@needs("ask")
def create_code(home: OpenHome, caller: Caller) -> dict[str, Any]:
    """A code, shown once: sent to the bot as `link CODE` in a direct message, it links that Slack account."""
    code = home.slack_accounts.code(caller.principal, caller.actor)
    return {"code": code, "expires_seconds": int(CODE_LIFETIME.total_seconds())}


@router.get(PATH)
@needs("ask")
def list_links(home: OpenHome, caller: Caller) -> dict[str, Any]:
    """The caller's Slack accounts."""
    return {"links": [slack_link_json(view) for view in home.slack_accounts.links_of(caller.principal)]}


@router.delete(PATH, status_code=204)
@needs("ask")
def delete_links(home: OpenHome, caller: Caller) -> None:
    """End every link of the caller's, and their code."""
    home.slack_accounts.unlink_person(caller.principal, caller.actor)
