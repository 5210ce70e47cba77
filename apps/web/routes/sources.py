"""Sources, for administrators: folders that are kept in step, and what they hold."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query

from apps.rendering import source_json
from apps.web.guard import Administrator, GuardedRoute, needs
from apps.web.requests import Name, SourceBody
from apps.work import Work
from core.principals import parse_grantee
from ingest.sources import SourceRequest

router = APIRouter(route_class=GuardedRoute, tags=["sources"])


@router.get("/v1/sources")
@needs("admin")
def list_sources(administration: Administrator) -> list[dict[str, Any]]:
    """Every source that is kept in step or holds a document."""
    return [source_json(view) for view in Work(administration).sources()]


@router.post("/v1/sources", status_code=202)
@needs("admin")
def add_source(body: SourceBody, administration: Administrator) -> dict[str, Any]:
    """Keep a folder of the server in step. `job_id` brings it in step first; its progress is at /v1/jobs."""
    request = SourceRequest(
        name=body.name or body.path,
        path=Path(body.path),
        allow=[parse_grantee(name) for name in body.allow],
        access_file=None,
        every=timedelta(seconds=body.every_seconds) if body.every_seconds else None,
        prune=body.prune,
    )
    view, job_id = Work(administration).add_source(request)
    return {**source_json(view), "job_id": job_id}


@router.get("/v1/sources/{source_id}")
@needs("admin")
def show_source(source_id: Name, administration: Administrator) -> dict[str, Any]:
    """One source."""
    return source_json(Work(administration).source(source_id))


@router.post("/v1/sources/{source_id}/sync", status_code=202)
@needs("admin")
def sync_source(source_id: Name, administration: Administrator) -> dict[str, Any]:
    """Bring a standing source in step now; the id of the job that does, or does so already."""
    return {"job_id": Work(administration).sync_source(source_id)}


@router.delete("/v1/sources/{source_id}", status_code=204)
@needs("admin")
def remove_source(
    source_id: Name, administration: Administrator, keep_documents: Annotated[bool, Query()] = False
) -> None:
    """Keep a source in step no longer, and delete its documents."""
    Work(administration).remove_source(source_id, keep_documents)
