"""Jobs, for administrators: what waits, what runs, what failed and why."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from apps.rendering import job_json, progress_json
from apps.web.guard import Administrator, GuardedRoute, needs
from apps.web.requests import Name
from apps.work import Work

router = APIRouter(route_class=GuardedRoute, tags=["jobs"])

State = Literal["queued", "paused", "running", "done", "dead", "cancelled"]


@router.get("/v1/jobs")
@needs("admin")
def list_jobs(
    administration: Administrator,
    state: Annotated[list[State] | None, Query(max_length=6)] = None,
    queue: Annotated[Name | None, Query()] = None,
    group_id: Annotated[Name | None, Query(description="Jobs that one job has queued, by its id.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """Jobs, newest first."""
    return [job_json(view) for view in Work(administration).jobs(limit, state or (), queue, group_id)]


@router.get("/v1/jobs/{job_id}")
@needs("admin")
def show_job(job_id: Name, administration: Administrator) -> dict[str, Any]:
    """One job. Where it has queued others: how far they are, when they will be done, and which of them failed."""
    work = Work(administration)
    view, progress = work.job(job_id)
    return {
        **job_json(view),
        "progress": progress_json(progress) if progress else None,
        "failures": [job_json(one) for one in work.failures(job_id)] if progress else [],
    }


@router.post("/v1/jobs/{job_id}/retry")
@needs("admin")
def retry_job(job_id: Name, administration: Administrator) -> dict[str, Any]:
    """Queue a dead or cancelled job anew, with all its attempts."""
    return job_json(Work(administration).retry_job(job_id))


@router.post("/v1/jobs/{job_id}/cancel")
@needs("admin")
def cancel_job(job_id: Name, administration: Administrator) -> dict[str, Any]:
    """Cancel a job that waits or runs (what a worker has of it is not published), or put a dead letter aside."""
    return job_json(Work(administration).cancel_job(job_id))


@router.post("/v1/jobs/{job_id}/pause")
@needs("admin")
def pause_job(job_id: Name, administration: Administrator) -> dict[str, Any]:
    """Let a job, and those it has queued, wait until they are resumed; what runs already comes to its end."""
    return job_json(Work(administration).pause_job(job_id))


@router.post("/v1/jobs/{job_id}/resume")
@needs("admin")
def resume_job(job_id: Name, administration: Administrator) -> dict[str, Any]:
    """Let a paused job, and those it has queued, run again."""
    return job_json(Work(administration).resume_job(job_id))
