"""Sources, for administrators: folders and systems that are kept in step, and whose accounts these know."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query

from apps.rendering import account_link_json, connection_json, failure_group_json, source_json
from apps.web.guard import Administrator, GuardedRoute, needs
from apps.web.requests import AccountBody, Name, SourceBody
from apps.work import Work
from core.principals import parse_grantee
from governance.access.mirrored import AccountLink
from ingest.sources import SourceRequest, SystemRequest
from wiring.connectors import KINDS, kind_of

router = APIRouter(route_class=GuardedRoute, tags=["sources"])


@router.get("/v1/sources")
@needs("admin")
def list_sources(administration: Administrator) -> list[dict[str, Any]]:
    """Every source that is kept in step or holds a document."""
    return [source_json(view) for view in Work(administration).sources()]


@router.post("/v1/sources", status_code=202)
@needs("admin")
def add_source(body: SourceBody, administration: Administrator) -> dict[str, Any]:
    """Keep a folder of the server, or a system, in step. `job_id` brings it in step first; see /v1/jobs."""
    every = timedelta(seconds=body.every_seconds) if body.every_seconds else None
    if body.kind:
        system = SystemRequest(
            name=body.name or body.kind,
            kind=body.kind,
            settings=body.settings,
            secret=body.secret,
            allow=[parse_grantee(name) for name in body.allow] or None,
            access_file=None,
            every=every,
        )
        view, job_id = Work(administration).add_system(system)
        return {**source_json(view), "job_id": job_id}
    request = SourceRequest(
        name=body.name or body.path,
        path=Path(body.path),
        allow=[parse_grantee(name) for name in body.allow],
        access_file=None,
        every=every,
        prune=body.prune,
    )
    view, job_id = Work(administration).add_source(request)
    return {**source_json(view), "job_id": job_id}


@router.get("/v1/sources/kinds")
@needs("admin")
def list_kinds(administration: Administrator) -> dict[str, Any]:
    """The kinds of system that documents can come from, each with its credential and the schema of its settings."""
    administration.record("sources.kinds")
    kinds = {name: kind_of(name) for name in sorted(KINDS)}
    return {
        name: {"credential": kind.credential or None, "settings": kind.settings.model_json_schema()}
        for name, kind in kinds.items()
    }


@router.get("/v1/sources/{source_id}")
@needs("admin")
def show_source(source_id: Name, administration: Administrator) -> dict[str, Any]:
    """One source: how current it is, how it is reached, and what it did not tell."""
    work = Work(administration)
    view = work.source(source_id)
    freshness = work.connection(view.source_id)
    return {**source_json(view), **(connection_json(freshness) if freshness else {})}


@router.get("/v1/sources/{source_id}/failures")
@needs("admin")
def list_failures(source_id: Name, administration: Administrator) -> list[dict[str, Any]]:
    """What could not be read of a source, or not whole, by its cause, with the next step."""
    return [failure_group_json(group) for group in Work(administration).failures_by_cause(source_id)]


@router.post("/v1/sources/{source_id}/sync", status_code=202)
@needs("admin")
def sync_source(source_id: Name, administration: Administrator) -> dict[str, Any]:
    """Bring a standing source in step now; the id of the job that does, or does so already."""
    return {"job_id": Work(administration).sync_source(source_id)}


@router.post("/v1/sources/{source_id}/pause")
@needs("admin")
def pause_source(source_id: Name, administration: Administrator) -> dict[str, Any]:
    """Let a source wait, with all that is on its way in, until it is resumed."""
    return source_json(Work(administration).pause_source(source_id))


@router.post("/v1/sources/{source_id}/resume")
@needs("admin")
def resume_source(source_id: Name, administration: Administrator) -> dict[str, Any]:
    """Let a paused source go on."""
    return source_json(Work(administration).resume_source(source_id))


@router.delete("/v1/sources/{source_id}", status_code=204)
@needs("admin")
def remove_source(
    source_id: Name, administration: Administrator, keep_documents: Annotated[bool, Query()] = False
) -> None:
    """Keep a source in step no longer, and delete its documents."""
    Work(administration).remove_source(source_id, keep_documents)


@router.get("/v1/accounts")
@needs("admin")
def list_accounts(administration: Administrator) -> list[dict[str, Any]]:
    """Every account of another system that is somebody's."""
    return [account_link_json(link) for link in Work(administration).account_links()]


# The id of an account may hold a slash.
@router.put("/v1/accounts/{account:path}")
@needs("admin")
def link_account(account: str, body: AccountBody, administration: Administrator) -> dict[str, Any]:
    """Let a person read what their account of another system (`user:SYSTEM|ID`) may read there."""
    person, owned = parse_grantee(body.person), parse_grantee(account)
    Work(administration).link_account(person, owned)
    return account_link_json(AccountLink(owned, person))


@router.delete("/v1/accounts/{account:path}", status_code=204)
@needs("admin")
def unlink_account(account: str, administration: Administrator) -> None:
    """Let an account be nobody's: what it may read is read by nobody through it."""
    Work(administration).unlink_account(parse_grantee(account))
