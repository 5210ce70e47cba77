"""The outermost layer of the app: request ids, security headers, the access log, and an answer to every bug."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from apps.web.metrics import Metrics
from apps.web.problems import unexpected_problem
from core.logs import frames_of
from core.telemetry import request_span
from governance.identity import Identity

REQUEST_ID = "X-Request-Id"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# Any word can be sent as a method; these are the ones worth a series of their own.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


@dataclass
class _Reply:
    """What has been sent of one answer so far."""

    status: int = 0


class Boundary:
    """Wraps the app. Neither log nor metrics see a path, a query or a body: only the route's template."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, request_id, reply = time.perf_counter(), uuid.uuid4().hex, _Reply()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                _add_headers(MutableHeaders(scope=message), scope["path"], request_id)
            await send(message)

        try:
            with request_span("http", _text_headers(scope), request_id=request_id) as traced:
                try:
                    await self._app(scope, receive, send_on)
                finally:
                    traced.note(route=_route(scope), status=reply.status)
        except Exception as error:
            self._log.error("failed", request_id=request_id, error=type(error).__name__, at=frames_of(error))
            if reply.status:
                # Half an answer is out; closing the connection is all that tells the client.
                raise
            await unexpected_problem(request_id)(scope, receive, send_on)
        finally:
            self._record(scope, request_id, reply.status, time.perf_counter() - began)

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = _route(scope)
        identity: Identity | None = scope.get("state", {}).get("identity")
        self._metrics.requested(method, route, status, seconds)
        self._log.info(
            "request",
            request_id=request_id,
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            actor=identity.actor if identity else None,
        )


def _route(scope: Scope) -> str:
    """The route's template: a path may hold what somebody typed."""
    return str(getattr(scope.get("route"), "path", "unmatched"))


def _text_headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _add_headers(headers: MutableHeaders, path: str, request_id: str) -> None:
    headers[REQUEST_ID] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    if path.startswith("/v1"):
        headers["Cache-Control"] = "no-store"
