"""The queue over the table of jobs: leases with fencing tokens, attempts, dead letters.

A worker claims (short), works with no transaction open while it shows signs of life, and publishes by compare-and-set
on its fencing token (short). Whoever was stopped past its lease finds its token outdated and changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Select, Update, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from catalog.database import Catalog
from catalog.jobs import JobRow
from core.errors import Conflict, LeaseLost, NotFound

WORKER_LOST = "the worker was lost"
SETTLED = ("done", "dead", "cancelled")
WAITING = ("queued", "paused", "running")
"""What is still to end; a paused job waits for somebody to resume it."""
STATES = (*WAITING, *SETTLED)

# A message longer than this belongs into a log.
_CAUSE_CHARACTERS = 1000
# Where many attempts are allowed, the longest pause is about ten leases.
_PAUSES_DOUBLED = 6


@dataclass(frozen=True)
class NewJob:
    """A job to be done. Smaller `priority` first, then the older; `once_key` names work that need not wait twice."""

    kind: str
    queue: str
    subject_id: str
    group_id: str | None = None
    priority: int = 0
    once_key: str | None = None


@dataclass(frozen=True)
class ClaimedJob:
    """A job in the hands of one worker, until its lease ends; `token` proves it. `attempt` counts from 1."""

    id: str
    kind: str
    queue: str
    subject_id: str
    group_id: str | None
    token: int
    attempt: int


@dataclass(frozen=True)
class JobQueue:
    """Jobs of one catalog. Every method that is given no session is one short transaction of its own."""

    catalog: Catalog
    lease: timedelta
    attempts: int
    """How often a job is tried before it is a dead letter."""

    def enqueue(self, jobs: Sequence[NewJob]) -> list[str]:
        """Add jobs, and return their ids in order."""
        with self.catalog.write() as session:
            return self.add(session, jobs)

    def add(self, session: Session, jobs: Sequence[NewJob]) -> list[str]:
        """Add jobs in the caller's transaction, so that they exist exactly when what they work on does.

        A job whose `once_key` one that waits or runs already bears is not added: that one's id is returned.
        """
        now = database_now(session)
        # Its position first, so that jobs of one moment keep the order they were given in.
        ids = [f"{position:08x}{uuid.uuid4().hex[8:]}" for position in range(len(jobs))]
        rows = [
            JobRow(id=job_id, **vars(job), not_before=now, created_at=now)
            for job_id, job in zip(ids, jobs, strict=True)
        ]
        session.add_all(row for row in rows if row.once_key is None)
        session.flush()
        return [row.id if row.once_key is None else _once(session, row, row.once_key) for row in rows]

    def claim(self, worker: str, queues: Sequence[str], like: ClaimedJob | None = None) -> ClaimedJob | None:
        """Take the job whose turn it is; None when there is none to take.

        Beside a job that the worker has in hand it is taken only if it is `like` that: of its kind, and never tried.
        """
        with self.catalog.write() as session:
            now = database_now(session)
            row = _next(session, queues, now)
            if row is None or (like is not None and (row.kind, row.attempts) != (like.kind, 0)):
                return None
            row.state, row.worker, row.cause = "running", worker[:255], None
            row.token += 1
            row.attempts += 1
            row.lease_until = now + self.lease
            row.started_at = row.started_at or now
            return ClaimedJob(row.id, row.kind, row.queue, row.subject_id, row.group_id, row.token, row.attempts)

    def heartbeat(self, jobs: Sequence[ClaimedJob]) -> list[ClaimedJob]:
        """Hold jobs for another lease, and return those that are still their worker's.

        One that somebody else is changing at this moment keeps the lease it has.
        """
        with self.catalog.write() as session:
            mine = _held(session, jobs)
            free = _held(session, mine, lock=True)
            ids = [job.id for job in free]
            longer = update(JobRow).where(JobRow.id.in_(ids)).values(lease_until=database_now(session) + self.lease)
            session.execute(longer.execution_options(synchronize_session=False))
            return mine

    def still_held(self, jobs: Sequence[ClaimedJob]) -> list[ClaimedJob]:
        """Those of these jobs that are still their worker's."""
        with self.catalog.read() as session:
            return _held(session, jobs)

    def fence(self, session: Session, job: ClaimedJob) -> None:
        """Make the caller's transaction commit only while the job is its worker's. Raises `LeaseLost`.

        The row stays locked until then, so nobody can take the job in between.
        """
        _ours(session, job, update(JobRow).values(token=job.token))

    def fence_all(self, session: Session, jobs: Sequence[ClaimedJob]) -> None:
        """Make the caller's transaction commit only while each of these jobs is its worker's. Raises `LeaseLost`.

        Of several it does so as well where somebody else is changing one at this moment: whoever waits for a row and
        holds others may be waited for by who has it.
        """
        ids = [job.id for job in jobs]
        query = select(JobRow.id, JobRow.token).where(JobRow.id.in_(ids), JobRow.state == "running")
        ours = {(row.id, row.token) for row in session.execute(query.with_for_update(skip_locked=len(jobs) > 1))}
        for job in jobs:
            if (job.id, job.token) not in ours:
                raise LeaseLost(job.kind, job.id)

    def finish_all(self, session: Session, jobs: Sequence[ClaimedJob]) -> None:
        """Mark jobs done in the transaction that publishes what all of them are for; raises as `fence_all` does."""
        self.fence_all(session, jobs)
        done = _settle("done", database_now(session)).where(JobRow.id.in_([job.id for job in jobs]))
        session.execute(done.execution_options(synchronize_session=False))

    def complete(self, job: ClaimedJob) -> None:
        """Mark a job done. Raises `LeaseLost`; a job that its function finished already is left so."""
        with self.catalog.write() as session:
            row = session.get(JobRow, job.id)
            if row is None or (row.state, row.token) != ("done", job.token):
                self.finish(session, job)

    def finish(self, session: Session, job: ClaimedJob) -> None:
        """Mark a job done in the transaction that publishes its result: both happen or neither. Raises `LeaseLost`."""
        _ours(session, job, _settle("done", database_now(session)))

    def fail(self, job: ClaimedJob, cause: str, retry: bool = True) -> str:
        """Note that an attempt failed, and return the job's new state: queued again after a pause, or dead.

        Raises `LeaseLost`.
        """
        with self.catalog.write() as session:
            state = "queued" if retry and job.attempt < self.attempts else "dead"
            _ours(session, job, self._failed(state, job.attempt, cause, database_now(session)))
            return state

    def give_back(self, job: ClaimedJob, cause: str | None = None) -> None:
        """Let somebody else take the job, this attempt not counted; with a cause, after a pause. Raises `LeaseLost`."""
        with self.catalog.write() as session:
            pause = self.lease if cause else timedelta()
            values = {"attempts": JobRow.attempts - 1, "not_before": database_now(session) + pause}
            _ours(session, job, _waiting(cause).values(values))

    def sweep(self) -> list[str]:
        """Take jobs from workers whose lease has ended, as a failed attempt; returns the ids of those jobs."""
        with self.catalog.write() as session:
            now = database_now(session)
            query = select(JobRow.id, JobRow.token, JobRow.attempts).where(
                JobRow.state == "running", JobRow.lease_until < now
            )
            lost = session.execute(query.with_for_update(skip_locked=True)).all()
            for job_id, token, attempts in lost:
                state = "queued" if attempts < self.attempts else "dead"
                change = self._failed(state, attempts, WORKER_LOST, now)
                session.execute(change.where(JobRow.id == job_id, JobRow.token == token))
            return [job_id for job_id, _, _ in lost]

    def retry(self, job_id: str) -> None:
        """Queue a dead or cancelled job anew, with all its attempts. Raises `NotFound`, or `Conflict` for others."""
        with self.catalog.write() as session:
            now = database_now(session)
            anew = _waiting(None).values(attempts=0, not_before=now, finished_at=None)
            _administer(session, job_id, ("dead", "cancelled"), anew, "Only a dead or cancelled job can be retried.")

    def cancel(self, job_id: str) -> None:
        """Cancel a job that waits or runs, or put a dead letter aside; what a worker has of it is not published.

        Raises as `retry` does.
        """
        with self.catalog.write() as session:
            end = _settle("cancelled", database_now(session))
            _administer(session, job_id, (*WAITING, "dead"), end, "There is nothing left to cancel.")

    def pause(self, job_id: str) -> int:
        """Let a job, and those that it has queued, wait until they are resumed; returns how many wait now.

        What runs already comes to its end. Raises `NotFound`.
        """
        return self._turn_group(job_id, "queued", "paused")

    def resume(self, job_id: str) -> int:
        """Let a job, and those that it has queued, run again; returns how many may. Raises `NotFound`."""
        return self._turn_group(job_id, "paused", "queued")

    def pause_all(self, session: Session, kind: str, subject_ids: Sequence[str]) -> None:
        """Let the jobs of these subjects wait, in the caller's transaction."""
        self._turn(session, (JobRow.kind == kind, JobRow.subject_id.in_(subject_ids)), "queued", "paused")

    def resume_all(self, session: Session, kind: str, subject_ids: Sequence[str]) -> None:
        """Let the jobs of these subjects run again, in the caller's transaction."""
        self._turn(session, (JobRow.kind == kind, JobRow.subject_id.in_(subject_ids)), "paused", "queued")

    def _turn_group(self, job_id: str, before: str, after: str) -> int:
        with self.catalog.write() as session:
            if session.get(JobRow, job_id) is None:
                raise NotFound("job", job_id)
            return self._turn(session, (or_(JobRow.id == job_id, JobRow.group_id == job_id),), before, after)

    def _turn(self, session: Session, which: Sequence[ColumnElement[bool]], before: str, after: str) -> int:
        change = update(JobRow).where(*which, JobRow.state == before)
        change = change.values(state=after, not_before=database_now(session))
        result = session.execute(change.execution_options(synchronize_session=False))
        return cast(CursorResult[Any], result).rowcount

    def supersede(self, session: Session, kind: str, subject_ids: Sequence[str]) -> None:
        """Cancel the jobs of these subjects in the caller's transaction: newer ones take their place."""
        ours = (JobRow.kind == kind, JobRow.subject_id.in_(subject_ids), JobRow.state != "done")
        session.execute(_settle("cancelled", database_now(session)).values(cause="superseded").where(*ours))

    def forget_settled(self, older_than: timedelta) -> int:
        """Delete jobs that were done or cancelled long ago; dead letters stay until somebody acts."""
        with self.catalog.write() as session:
            before = database_now(session) - older_than
            old = delete(JobRow).where(JobRow.state.in_(("done", "cancelled")), JobRow.finished_at < before)
            return cast(CursorResult[Any], session.execute(old)).rowcount

    def _failed(self, state: str, attempt: int, cause: str, now: datetime) -> Update:
        if state == "dead":
            return _settle("dead", now).values(cause=cause[:_CAUSE_CHARACTERS])
        return _waiting(cause).values(not_before=now + self._pause(attempt))

    def _pause(self, attempt: int) -> timedelta:
        """How long to wait after a failed attempt: a sixth of a lease, then twice as long each time, up to a limit."""
        return self.lease / 6 * (1 << min(attempt - 1, _PAUSES_DOUBLED))


def database_now(session: Session) -> datetime:
    """The database's clock: PostgreSQL's own, or on SQLite that of the one machine its file is on."""
    if session.get_bind().dialect.name == "postgresql":
        return cast(datetime, session.scalars(select(func.clock_timestamp())).one())
    text = session.scalars(select(func.strftime("%Y-%m-%dT%H:%M:%f", "now"))).one()
    return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)


def _next(session: Session, queues: Sequence[str], now: datetime) -> JobRow | None:
    """The job whose turn it is, locked; whoever else claims passes it over."""
    # Queue by queue, because the index gives the first of one queue at once and would have to sort several whole ones.
    firsts: list[tuple[int, datetime, str, str]] = []
    for queue in queues:
        place = _turn(queue, now).with_only_columns(JobRow.priority, JobRow.created_at, JobRow.id)
        firsts += [(*first, queue) for first in session.execute(place)]
    for *_, queue in sorted(firsts):
        row = session.scalar(_turn(queue, now).with_for_update(skip_locked=True))
        if row is not None:
            return row
    return None


def _turn(queue: str, now: datetime) -> Select[JobRow]:
    """The first job of a queue that may run now."""
    ready = select(JobRow).where(JobRow.state == "queued", JobRow.queue == queue, JobRow.not_before <= now)
    return ready.order_by(JobRow.priority, JobRow.created_at, JobRow.id).limit(1)


def _held(session: Session, jobs: Sequence[ClaimedJob], lock: bool = False) -> list[ClaimedJob]:
    """Those of these jobs that are still their worker's; with `lock`, locked, and without those that somebody has."""
    query = select(JobRow.id, JobRow.token).where(JobRow.id.in_([job.id for job in jobs]), JobRow.state == "running")
    held = {(row.id, row.token) for row in session.execute(query.with_for_update(skip_locked=True) if lock else query)}
    return [job for job in jobs if (job.id, job.token) in held]


def _ours(session: Session, job: ClaimedJob, change: Update) -> None:
    """Change a job's row if it is still this worker's (compare-and-set); raises `LeaseLost`."""
    mine = change.where(JobRow.id == job.id, JobRow.token == job.token, JobRow.state == "running")
    result = session.execute(mine.execution_options(synchronize_session=False))
    if cast(CursorResult[Any], result).rowcount != 1:
        raise LeaseLost(job.kind, job.id)


def _administer(session: Session, job_id: str, states: Sequence[str], change: Update, otherwise: str) -> None:
    row = session.get(JobRow, job_id, with_for_update=True)
    if row is None:
        raise NotFound("job", job_id)
    if row.state not in states:
        raise Conflict(f"The job {job_id} is {row.state}. {otherwise}")
    session.execute(change.where(JobRow.id == job_id).execution_options(synchronize_session=False))


def _settle(state: str, now: datetime) -> Update:
    return update(JobRow).values(state=state, finished_at=now, lease_until=None, once_key=None)


def _waiting(cause: str | None) -> Update:
    return update(JobRow).values(
        state="queued", worker=None, lease_until=None, cause=cause[:_CAUSE_CHARACTERS] if cause else None
    )


def _once(session: Session, row: JobRow, key: str) -> str:
    """Add a job unless one with its key waits or runs; returns the id of whichever it is."""
    present = select(JobRow.id).where(JobRow.once_key == key)
    found = session.scalar(present)
    if found is not None:
        return found
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        # Another process has added it since we looked.
        return session.scalars(present).one()
    return row.id
