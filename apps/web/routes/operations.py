"""What operators and their machines ask: alive, ready, metrics, and the description of this API."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from apps.web.guard import AppMetrics, GuardedRoute, needs, public
from apps.web.problems import problem
from apps.web.readiness import Readiness

router = APIRouter(route_class=GuardedRoute, tags=["operations"])


@router.get("/livez")
@public
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz", response_class=JSONResponse)
@public
def readyz(request: Request) -> Response:
    """Every part that an answer needs works; otherwise a problem that lists the parts that do not.

    Ready but `degraded`: without the `model` questions are answered by quotes, without `redis` jobs wait, and while a
    damaged or deleted `index` is built anew, the catalog is searched in its place, slower.
    """
    readiness: Readiness = request.app.state.readiness
    found = readiness.found()
    if not found.missing:
        return JSONResponse({"status": "ready", **({"degraded": list(found.degraded)} if found.degraded else {})})
    detail = f"Not ready: {', '.join(found.missing)}. `footnote doctor` says why."
    return problem(503, "not_ready", detail, {"Retry-After": "2"}, not_ready=list(found.missing))


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
@needs("metrics", "admin")
def metrics(metrics: AppMetrics) -> Response:
    """Counters and histograms in Prometheus' text format."""
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
@needs()
def openapi(request: Request) -> dict[str, Any]:
    """This API, as OpenAPI 3.1."""
    document: dict[str, Any] = request.app.openapi()
    return document
