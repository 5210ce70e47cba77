"""The sweep: finds what a crash or a lost message swallowed, and queues what is due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from catalog.job_queue import WAITING, NewJob, database_now
from catalog.jobs import ArrivalRow, JobRow, ScheduleRow
from catalog.models import Document
from core.logs import json_log
from wiring.home import Home
from workers.doorbell import RUNG_AT_ONCE

UPKEEP_EVERY = timedelta(minutes=15)


def sweep(home: Home) -> None:
    """Take jobs from workers that show no sign of life, and queue what is due. Raises `Transient`."""
    recover_lost(home)
    with home.catalog.write() as session:
        compact_every = timedelta(hours=home.settings.compact_every_h)
        home.jobs.add(session, [*_due_syncs(session), *_due_upkeep(session, compact_every)])
    oldest = timedelta(seconds=home.settings.permissions_max_age_s)
    if outdated := home.connections.hold_outdated_back(oldest):
        json_log(home.settings.log_level).warning("sources held back", source_ids=[str(one) for one in outdated])


def recover_lost(home: Home) -> None:
    """Take jobs from workers that show no sign of life. Raises `Transient`."""
    lost = home.jobs.sweep()
    if lost:
        json_log(home.settings.log_level).warning("jobs recovered", job_ids=lost)


def sync_job(source_id: int) -> NewJob:
    """The job that brings a standing source in step; only one of a source waits or runs."""
    return NewJob("source-sync", "ingest", str(source_id), once_key=f"source-sync:{source_id}")


def waiting(home: Home, queue: str) -> list[str]:
    """The jobs of a queue that may run now, in their turn; not more than are rung for at once."""
    with home.catalog.read() as session:
        ready = select(JobRow.id).where(
            JobRow.state == "queued", JobRow.queue == queue, JobRow.not_before <= database_now(session)
        )
        turn = ready.order_by(JobRow.priority, JobRow.created_at, JobRow.id)
        return list(session.scalars(turn.limit(RUNG_AT_ONCE)))


def _due_syncs(session: Session) -> Sequence[NewJob]:
    """Sources whose time has come and whose last documents are in: a slow one is not started over and over."""
    now = database_now(session)
    on_the_way = exists().where(
        ArrivalRow.source_id == ScheduleRow.source_id,
        JobRow.subject_id == ArrivalRow.id,
        JobRow.state.in_(WAITING),
    )
    due = session.scalars(select(ScheduleRow).where(ScheduleRow.due_at <= now, ~ScheduleRow.paused, ~on_the_way)).all()
    for row in due:
        row.due_at = now + timedelta(seconds=row.every_s) if row.every_s else None
    return [sync_job(row.source_id) for row in due]


def _due_upkeep(session: Session, compact_every: timedelta) -> Sequence[NewJob]:
    last = session.scalar(select(func.max(JobRow.created_at)).where(JobRow.kind == "upkeep"))
    if last is not None and database_now(session) - last < UPKEEP_EVERY:
        return []
    return [NewJob("upkeep", "upkeep", "home", once_key="upkeep"), *_due_compaction(session, compact_every)]


def _due_compaction(session: Session, every: timedelta) -> Sequence[NewJob]:
    """Asked as seldom as upkeep is due. Nothing where no document was deleted since the last time."""
    last = session.scalar(select(func.max(JobRow.created_at)).where(JobRow.kind == "compaction"))
    if not every or (last is not None and database_now(session) - last < every):
        return []
    deleted = exists().where(Document.state == "deleted", *([Document.updated_at > last] if last else []))
    return [NewJob("compaction", "upkeep", "home", once_key="compaction")] if session.scalar(select(deleted)) else []
