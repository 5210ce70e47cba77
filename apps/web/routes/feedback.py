"""What people say of their answers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from apps.rendering import feedback_json
from apps.web.guard import Caller, GuardedRoute, OpenHome, needs
from apps.web.requests import FeedbackBody

router = APIRouter(route_class=GuardedRoute, tags=["feedback"])


@router.post("/v1/feedback", status_code=204)
@needs("ask")
def give_feedback(body: FeedbackBody, home: OpenHome, caller: Caller) -> None:
    """Say whether an answer helped; only of one's own, and the last word counts."""
    home.feedback.give(caller.principal, caller.actor, body.audit_id, body.verdict, body.comment)


@router.get("/v1/feedback")
@needs("admin")
def show_feedback(home: OpenHome) -> dict[str, Any]:
    """How many answers helped, and the newest verdicts; their comments are read with `footnote audit show ID`."""
    return feedback_json(home.feedback.figures())
