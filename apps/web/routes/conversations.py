"""A person's own conversations."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from apps.rendering import conversation_json, turn_json
from apps.web.guard import Caller, GuardedRoute, OpenHome, needs

PATH = "/v1/conversations"
router = APIRouter(route_class=GuardedRoute, tags=["conversations"])


@router.post(PATH, status_code=201)
@needs("ask")
def create_conversation(home: OpenHome, caller: Caller) -> dict[str, str]:
    """Begin a conversation: its id is what `POST /v1/ask` takes."""
    return {"conversation_id": home.conversations.create(caller.principal)}


@router.get(PATH)
@needs("ask")
def list_conversations(home: OpenHome, caller: Caller) -> dict[str, Any]:
    """The caller's conversations in which something was asked, the latest first."""
    return {"conversations": [conversation_json(view) for view in home.conversations.listed(caller.principal)]}


@router.get(PATH + "/{conversation_id}")
@needs("ask")
def show_conversation(conversation_id: str, home: OpenHome, caller: Caller) -> dict[str, Any]:
    """One conversation and its turns, oldest first; an answer is there while the caller may read all that it cites."""
    view, turns = home.conversations.open(caller.principal, conversation_id, caller.actor)
    return {**conversation_json(view), "turns": [turn_json(turn) for turn in turns]}


@router.delete(PATH + "/{conversation_id}", status_code=204)
@needs("ask")
def delete_conversation(conversation_id: str, home: OpenHome, caller: Caller) -> None:
    """Delete a conversation with its turns."""
    home.conversations.delete(caller.principal, conversation_id, caller.actor)
