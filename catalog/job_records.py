"""What an administrator sees of jobs: each of them, how many there are, and how far a group of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select

from catalog.database import Catalog
from catalog.job_queue import SETTLED, database_now
from catalog.jobs import ArrivalRow, JobRow
from core.errors import NotFound


@dataclass(frozen=True)
class JobView:
    """A job's record; `worker` and `lease_until` while it runs, `cause` why its last attempt failed.

    `document` names what an ingesting job has not brought in, by the id it has in its source.
    """

    id: str
    kind: str
    queue: str
    subject_id: str
    group_id: str | None
    priority: int
    state: str
    attempts: int
    worker: str | None
    cause: str | None
    not_before: datetime
    lease_until: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    document: str | None = None


@dataclass(frozen=True)
class Progress:
    """How far the jobs of a group are, and how many are settled in a second; None until the first of them is."""

    states: dict[str, int]
    per_second: float | None

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def settled(self) -> int:
        return sum(self.states.get(state, 0) for state in SETTLED)

    @property
    def eta(self) -> timedelta | None:
        """The time that is left if it goes on as it went; zero when all are settled."""
        left = self.total - self.settled
        if not left:
            return timedelta()
        return timedelta(seconds=left / self.per_second) if self.per_second else None


def find_job(catalog: Catalog, job_id: str) -> JobView:
    """One job; raises `NotFound`."""
    with catalog.read() as session:
        found = session.execute(_records().where(JobRow.id == job_id)).one_or_none()
    if found is None:
        raise NotFound("job", job_id)
    return JobView(**found._mapping)


def list_jobs(
    catalog: Catalog, limit: int, states: Sequence[str] = (), queue: str | None = None, group_id: str | None = None
) -> list[JobView]:
    """At most `limit` jobs, newest first; all states, queues and groups unless named."""
    query = _records().order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit)
    if states:
        query = query.where(JobRow.state.in_(states))
    if queue is not None:
        query = query.where(JobRow.queue == queue)
    if group_id is not None:
        query = query.where(JobRow.group_id == group_id)
    with catalog.read() as session:
        return [JobView(**record._mapping) for record in session.execute(query)]


def count_jobs(catalog: Catalog) -> dict[tuple[str, str], int]:
    """How many jobs there are by queue and state."""
    query = select(JobRow.queue, JobRow.state, func.count()).group_by(JobRow.queue, JobRow.state)
    with catalog.read() as session:
        return {(queue, state): count for queue, state, count in session.execute(query)}


def oldest_queued(catalog: Catalog) -> dict[str, timedelta]:
    """How long the oldest job that may run has waited, by queue; queues where none waits are left out."""
    with catalog.read() as session:
        now = database_now(session)
        ready = select(JobRow.queue, func.min(JobRow.not_before)).where(
            JobRow.state == "queued", JobRow.not_before <= now
        )
        return {queue: max(now - since, timedelta()) for queue, since in session.execute(ready.group_by(JobRow.queue))}


def progress(catalog: Catalog, group_id: str) -> Progress:
    """How far a group is, and its pace: what is settled over the time since its first job began."""
    counts = select(JobRow.state, func.count()).where(JobRow.group_id == group_id).group_by(JobRow.state)
    times = select(func.min(JobRow.started_at), func.max(JobRow.finished_at)).where(JobRow.group_id == group_id)
    with catalog.read() as session:
        states: dict[str, int] = {row[0]: row[1] for row in session.execute(counts)}
        began, ended = session.execute(times).one()
        now = database_now(session)
    so_far = Progress(states, None)
    if not so_far.settled or began is None:
        return so_far
    until = ended if so_far.settled == so_far.total and ended is not None else now
    seconds = max((until - began).total_seconds(), 0.001)
    return replace(so_far, per_second=so_far.settled / seconds)


def _records() -> Select[tuple[object, ...]]:
    columns = (getattr(JobRow, name) for name in JobView.__dataclass_fields__ if name != "document")
    query = select(*columns, ArrivalRow.external_id.label("document"))
    return query.outerjoin(ArrivalRow, ArrivalRow.id == JobRow.subject_id)
