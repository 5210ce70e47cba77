"""Searching and asking."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from apps.rendering import answer_json, search_json
from apps.web.guard import AppMetrics, Caller, GuardedRoute, OpenHome, needs
from apps.web.requests import AskBody, SearchBody

router = APIRouter(route_class=GuardedRoute, tags=["questions"])


@router.post("/v1/search")
@needs("search")
def search(body: SearchBody, home: OpenHome, caller: Caller, metrics: AppMetrics) -> dict[str, Any]:
    """The passages the caller may read that fit the query best."""
    result, audit_id = home.search.search(body.query, caller.principal, body.k, caller.actor, body.filters.filters())
    metrics.searched(result)
    return search_json(result, audit_id)


@router.post("/v1/ask")
@needs("ask")
def ask(body: AskBody, home: OpenHome, caller: Caller, metrics: AppMetrics) -> dict[str, Any]:
    """An answer whose every sentence cites what supports it, or an abstention with its reason."""
    answer = home.ask.ask(body.question, caller.principal, caller.actor, body.filters.filters())
    metrics.answered(answer)
    return answer_json(answer)
