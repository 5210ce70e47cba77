"""Why a document can or cannot be found: its state, its readers, its source and its place in the index, in words."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import select

from apps.administration import Administration
from apps.rendering import document_json, job_json, near_json
from catalog.connections import ConnectionRow, NoticeRow
from catalog.job_records import JobView, find_job
from catalog.jobs import ArrivalRow, JobRow
from catalog.models import ChunkRow, Document, Source
from core.errors import Verdict
from governance.access.mirrored import held_back, is_held_back
from governance.access.rules import AccessLists
from governance.access.sets import lists_of
from governance.doors import DocumentView
from ingest.failures import NEXT_STEPS
from wiring.home import Home


def explained(administration: Administration, document: str) -> dict[str, Any]:
    """A document's record, `why` it stands as it does, and the `next_steps`. Raises `NotFound`."""
    view = administration.documents(document)[0]
    home = administration.home
    reasons, steps = [_state(view)], []
    if view.failure_verdict:
        steps.append(NEXT_STEPS[cast(Verdict, view.failure_verdict)])
    lists, rule, problem, notices = _access(home, view.document_id)
    readers = " ".join(sorted(map(str, lists.allow)))
    reasons.append(f"it lets in {readers} ({rule})" if readers else f"nobody may read it ({rule})")
    if problem is not None:
        reasons.append(f"nobody reads its source for now, because its permissions could not be read: {problem}")
        steps.append(f"Put that right, then: footnote sources sync {view.source}")
    reasons += [f"the source says of it: {notice}" for notice in notices]
    job = _job(home, view.document_id)
    if job is not None:
        reasons.append(_on_its_way(job))
        if job.state in ("dead", "cancelled"):
            steps.append(f"Try it again: footnote jobs retry {job.id}")
        if job.state == "paused":
            steps.append(f"Let it run: footnote jobs resume {job.id}")
    near = home.near_duplicates.all(view.document_id)
    if near:
        others = "1 document" if len(near) == 1 else f"{len(near)} documents"
        reasons.append(f"it says nearly the same as {others}, and what they share is ranked once")
    missing = _missing_rows(home, view.document_id)
    if missing:
        reasons.append(f"{missing} of its chunks are not in the index")
        steps.append("Let the index follow the catalog: footnote index rebuild")
    return {
        **document_json(view),
        **near_json(near),
        "why": "; ".join(reason.rstrip(".") for reason in reasons) + ".",
        "next_steps": steps,
        "allow": sorted(map(str, lists.allow)),
        "deny": sorted(map(str, lists.deny)),
        "rule": rule,
        "job": job_json(job) if job else None,
    }


def _state(view: DocumentView) -> str:
    if view.failure_verdict == "partial":
        return f"version {view.version} is indexed in {view.chunks} chunks, and not whole: {view.failure_cause}"
    if view.failure_verdict:
        reason = f"it could not be read ({view.failure_verdict}): {view.failure_cause}"
        return f"{reason}; version {view.version}, read before, can still be found" if view.version else reason
    return f"version {view.version} is indexed in {view.chunks} chunks; who may read it, finds it"


def _access(home: Home, document_id: str) -> tuple[AccessLists, str, str | None, list[str]]:
    """The lists that hold, the rule that made them, why the source is held back (None: it is not), and its notices."""
    with home.catalog.read() as session:
        document = session.get_one(Document, document_id)
        lists = lists_of(session, document.access_set_id)
        notices = session.scalars(
            select(NoticeRow.reason).where(
                NoticeRow.source_id == document.source_id, NoticeRow.subject == document.external_id
            )
        )
        problem = None
        if held_back(document.source_id) in lists.deny and is_held_back(session, document.source_id):
            row = session.get(ConnectionRow, document.source_id)
            problem = (row.problem if row else None) or "they are older than permissions_max_age_s"
        return lists, document.rule, problem, list(notices)


def _job(home: Home, document_id: str) -> JobView | None:
    """The job that is to bring the document's newest bytes in."""
    query = (
        select(JobRow.id)
        .join(ArrivalRow, ArrivalRow.id == JobRow.subject_id)
        .join(Document, (Document.source_id == ArrivalRow.source_id) & (Document.external_id == ArrivalRow.external_id))
        .join(Source, Source.id == Document.source_id)
        .where(Document.id == document_id)
    )
    with home.catalog.read() as session:
        found = session.scalar(query)
    return find_job(home.catalog, found) if found else None


def _on_its_way(job: JobView) -> str:
    words = {
        "queued": "a newer version of it waits for a worker",
        "paused": "a newer version of it is paused",
        "running": "a newer version of it is being brought in",
        "dead": f"a newer version of it was given up after {job.attempts} attempts",
        "cancelled": "a newer version of it was called off",
    }.get(job.state, f"its job is {job.state}")
    return f"{words} ({job.cause})" if job.cause else words


def _missing_rows(home: Home, document_id: str) -> int:
    query = select(ChunkRow.id).join(Document, Document.version_id == ChunkRow.version_id)
    with home.catalog.read() as session:
        rows = set(session.scalars(query.where(Document.id == document_id)))
    return len(rows - set(home.index_reader.snapshot().rows()))
