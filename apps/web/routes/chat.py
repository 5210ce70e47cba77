"""OpenAI's dialect over the grounded assistant: chat completions, streamed or whole, and the list of models."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from apps.web import problems
from apps.web.guard import AppMetrics, Caller, GuardedRoute, OpenHome, needs
from apps.web.metrics import Metrics
from apps.web.openai_dialect import (
    MODEL,
    Asked,
    ChatBody,
    Chunks,
    Refused,
    completion,
    error_json,
    models_json,
    understand,
)
from apps.web.streaming import Events, EventStream, Making, ServerEvent, first
from core.errors import FootnoteError
from core.principals import Principal
from generation.answerer import Writing
from generation.service import Answered, PassagesFound, SentenceChecked
from governance.identity import Identity
from wiring.home import Home

_KEPT_HEADERS = ("WWW-Authenticate", "Retry-After")


class DialectRoute(GuardedRoute):
    """A guarded route whose errors have OpenAI's shape, which its clients understand."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except (FootnoteError, RequestValidationError, HTTPException) as error:
                return _refusal(error)

        return told


router = APIRouter(route_class=DialectRoute, tags=["openai"])


@router.get("/v1/models")
@needs("ask")
def list_models(home: OpenHome) -> dict[str, Any]:
    """`footnote`, and the model behind it."""
    return models_json(_models(home))


@router.post("/v1/chat/completions", response_model=None, responses={200: {"content": {"text/event-stream": {}}}})
@needs("ask")
async def chat(request: Request, body: ChatBody, home: OpenHome, caller: Caller, metrics: AppMetrics) -> Response:
    """A grounded answer to the last message, in OpenAI's shape; citations in `message.annotations`.

    Earlier messages only help to understand the question; system messages are accepted and have no effect.
    """
    asked = understand(body, _models(home))
    reply = _Reply(home, caller, metrics, body, asked)
    if not body.stream:
        making = Making(reply.whole(), reply.writing.cancel)
        return JSONResponse((await first(making, request)).data)
    making = Making(reply.streamed(), reply.writing.cancel)
    return EventStream(making, await first(making, request), partial(_told, request.state.request_id))


@dataclass(frozen=True)
class _Reply:
    """One completion on its way; each way of making it runs on a thread of its own."""

    home: Home
    caller: Identity
    metrics: Metrics
    body: ChatBody
    asked: Asked
    writing: Writing = field(default_factory=Writing)

    def whole(self) -> Events:
        answer = self.home.ask.ask(*self._question(), self.body.filters.filters(), writing=self._understood())
        self.metrics.answered(answer)
        yield ServerEvent(None, completion(answer, self.body.model, self._address))

    def streamed(self) -> Events:
        chunks = Chunks.of(self.body, self._address)
        with closing(
            self.home.ask.stream(*self._question(), self.body.filters.filters(), writing=self._understood())
        ) as events:
            for event in events:
                match event:
                    case PassagesFound():
                        yield from (ServerEvent(None, chunk) for chunk in chunks.opening())
                    case SentenceChecked(text):
                        yield ServerEvent(None, chunks.sentence(text))
                    case Answered(answer):
                        self.metrics.answered(answer)
                        yield from (ServerEvent(None, chunk) for chunk in chunks.closing(answer))
        yield ServerEvent(None, "[DONE]")

    def _question(self) -> tuple[str, Principal, str]:
        return self.asked.question, self.caller.principal, self.caller.actor

    def _understood(self) -> Writing:
        """The client's history finds what the question means, and is given to no model that answers."""
        remembering = replace(self.writing, history=self.asked.history, cache_salt=secrets.token_hex(16))
        return replace(self.writing, query=self.home.rewrite(self.asked.question, remembering))

    @property
    def _address(self) -> str:
        return self.home.settings.public_url.rstrip("/")


def _models(home: Home) -> list[str]:
    return list(dict.fromkeys([MODEL, home.ask.answerer.model]))


def _told(request_id: str, error: Exception) -> list[ServerEvent]:
    """What went wrong after the head, as OpenAI's clients expect it within a stream."""
    if isinstance(error, FootnoteError):
        shown = _refusal(error)
    else:
        shown = _in_their_shape(problems.unexpected_problem(request_id))
    return [ServerEvent(None, json.loads(bytes(shown.body)))]


def _refusal(error: FootnoteError | RequestValidationError | HTTPException) -> JSONResponse:
    """An error as the problem document it would be elsewhere, in OpenAI's shape."""
    if isinstance(error, Refused):
        return JSONResponse(error_json(str(error), error.status, error.code, error.param), error.status)
    return _in_their_shape(problems.problem_of(error))


def _in_their_shape(shown: JSONResponse) -> JSONResponse:
    told = json.loads(bytes(shown.body))
    status = HTTPStatus(shown.status_code)
    if status is HTTPStatus.UNPROCESSABLE_ENTITY:
        # Their clients know a request that makes no sense by this status.
        status = HTTPStatus.BAD_REQUEST
    headers = {name: shown.headers[name] for name in _KEPT_HEADERS if name in shown.headers}
    return JSONResponse(error_json(told["detail"], status, told["code"]), status, headers)
