"""Searching and asking."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from apps.rendering import answer_json, citation_json, facets_json, hit_json, search_json
from apps.web.guard import AppMetrics, Caller, GuardedRoute, OpenHome, needs
from apps.web.metrics import Metrics
from apps.web.problems import footnote_problem, unexpected_problem
from apps.web.requests import AskBody, SearchBody
from apps.web.streaming import Events, EventStream, Making, ServerEvent, first
from core.errors import FootnoteError
from generation.answerer import Writing
from generation.service import Answered, PassagesFound, SentenceChecked
from governance.identity import Identity
from wiring.home import Home

router = APIRouter(route_class=GuardedRoute, tags=["questions"])


@router.post("/v1/search")
@needs("search")
def search(body: SearchBody, home: OpenHome, caller: Caller, metrics: AppMetrics) -> dict[str, Any]:
    """The passages the caller may read that fit the query best."""
    result, audit_id = home.search.search(body.query, caller.principal, body.k, caller.actor, body.filters.filters())
    metrics.searched(result)
    return search_json(result, audit_id)


@router.get("/v1/facets")
@needs("search", "ask")
def facets(home: OpenHome, caller: Caller) -> dict[str, Any]:
    """What filters can ask of the documents that the caller may read, and of how many of these."""
    return facets_json(home.facets.of(home.readable.of(caller.principal)))


@router.post("/v1/ask", response_model=None, responses={200: {"content": {"text/event-stream": {}}}})
@needs("ask")
async def ask(request: Request, body: AskBody, home: OpenHome, caller: Caller, metrics: AppMetrics) -> Response:
    """An answer whose every sentence cites what supports it, or an abstention with its reason.

    With `Accept: text/event-stream` the events `passages`, `sentence` (each checked before it comes) and `done`, which
    holds the same JSON; `error` with a problem document when it cannot be finished. Who leaves ends the answer. With a
    `conversation_id` the question is understood from what was said before, and becomes its next turn.
    """
    writing = Writing()
    if "text/event-stream" not in request.headers.get("accept", ""):
        making = Making(_whole(home, body, caller, metrics, writing), writing.cancel)
        return JSONResponse((await first(making, request)).data)
    making = Making(_streamed(home, body, caller, metrics, writing), writing.cancel)
    return EventStream(making, await first(making, request), partial(_told, request.state.request_id))


def _whole(home: Home, body: AskBody, caller: Identity, metrics: Metrics, writing: Writing) -> Events:
    asked = (body.question, caller.principal, caller.actor)
    if body.conversation_id is None:
        answer = home.ask.ask(*asked, body.filters.filters(), writing)
    else:
        answer = home.conversing.ask(*asked, body.conversation_id, body.filters.filters(), writing)
    metrics.answered(answer)
    yield ServerEvent("done", answer_json(answer))


def _streamed(home: Home, body: AskBody, caller: Identity, metrics: Metrics, writing: Writing) -> Events:
    asked = (body.question, caller.principal, caller.actor)
    if body.conversation_id is None:
        making = home.ask.stream(*asked, body.filters.filters(), writing)
    else:
        making = home.conversing.stream(*asked, body.conversation_id, body.filters.filters(), writing)
    with closing(making) as events:
        for event in events:
            match event:
                case PassagesFound(hits):
                    yield ServerEvent("passages", {"hits": [hit_json(hit) for hit in hits]})
                case SentenceChecked(text, markers, citations):
                    cited = [citation_json(citation) for citation in citations]
                    yield ServerEvent("sentence", {"text": text, "markers": list(markers), "citations": cited})
                case Answered(answer):
                    metrics.answered(answer)
                    yield ServerEvent("done", answer_json(answer))


def _told(request_id: str, error: Exception) -> list[ServerEvent]:
    """What went wrong after the head, as the problem document it would have been."""
    shown = footnote_problem(error) if isinstance(error, FootnoteError) else unexpected_problem(request_id)
    return [ServerEvent("error", json.loads(bytes(shown.body)))]
