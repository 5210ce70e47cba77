"""What is to be done, who does it, and what became of it: jobs, the documents they bring in, sources kept in step.

A job names what it works on by id and holds no word of it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base, UtcTime


class JobRow(Base):
    """One job. `token` counts its claims: only who holds the newest may publish what the job is for.

    Times are the database's clock, so that a worker whose clock is wrong neither loses nor takes a lease.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'paused', 'running', 'done', 'dead', 'cancelled')", name="state"),
        Index("ix_jobs_turn", "state", "queue", "priority", "created_at", "id"),
    )
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    queue: Mapped[str] = mapped_column(String(16))
    subject_id: Mapped[str] = mapped_column(String(64), index=True)
    group_id: Mapped[str | None] = mapped_column(String(64), index=True)
    once_key: Mapped[str | None] = mapped_column(String(128), unique=True)
    priority: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[str] = mapped_column(String(9), default="queued")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    token: Mapped[int] = mapped_column(BigInteger, default=0)
    worker: Mapped[str | None] = mapped_column(String(255))
    cause: Mapped[str | None] = mapped_column(Text)
    not_before: Mapped[datetime] = mapped_column(UtcTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)


class ArrivalRow(Base):
    """A document that is to be brought in: where its bytes are, and who may read it then.

    A newer arrival of the same document replaces this one under another id, so what a worker still has of the older
    one can no longer be published.
    """

    __tablename__ = "arrivals"
    __table_args__ = (UniqueConstraint("source_id", "external_id"),)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    external_id: Mapped[str] = mapped_column(Text)
    uri: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text, default="", server_default="")
    revision: Mapped[str] = mapped_column(Text, default="", server_default="")
    reference: Mapped[str] = mapped_column(Text, default="", server_default="")
    blob: Mapped[str | None] = mapped_column(String(64))
    access_set_id: Mapped[int] = mapped_column(ForeignKey("access_sets.id"))
    rule: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class ScheduleRow(Base):
    """A source that is kept in step: every so many seconds, or only when asked (None); not while it is `paused`."""

    __tablename__ = "schedules"
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True, autoincrement=False)
    every_s: Mapped[int | None] = mapped_column(Integer)
    prune: Mapped[bool] = mapped_column(default=False)
    paused: Mapped[bool] = mapped_column(default=False, server_default=false())
    due_at: Mapped[datetime | None] = mapped_column(UtcTime, index=True)
