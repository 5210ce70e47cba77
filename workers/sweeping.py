"""The sweep: finds what a crash or a lost message swallowed, and queues what is due."""

from __future__ import annotations

from sqlalchemy import select

from catalog.job_queue import database_now
from catalog.jobs import JobRow
from core.logs import json_log
from wiring.home import Home
from workers.doorbell import RUNG_AT_ONCE


def sweep(home: Home) -> None:
    """Take jobs from workers that show no sign of life. Raises `Transient`."""
    lost = home.jobs.sweep()
    if lost:
        json_log(home.settings.log_level).warning("jobs recovered", job_ids=lost)


def waiting(home: Home, queue: str) -> list[str]:
    """The jobs of a queue that may run now, in their turn; not more than are rung for at once."""
    with home.catalog.read() as session:
        ready = select(JobRow.id).where(
            JobRow.state == "queued", JobRow.queue == queue, JobRow.not_before <= database_now(session)
        )
        turn = ready.order_by(JobRow.priority, JobRow.created_at, JobRow.id)
        return list(session.scalars(turn.limit(RUNG_AT_ONCE)))
