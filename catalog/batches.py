"""Batches of questions, their rows, and what was answered.

Questions, answers, and who asked are encrypted with the asker's own key (see `governance.sealing`); these tables hold
no word of them. `owner` is the pseudonym under which the audit log knows the person whose rights decide.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base, UtcTime, now


class BatchRow(Base):
    """One batch; its id is random. `fingerprint` is a keyed hash of the file and the mode, by which a run is resumed.

    `rows` is how many there will be: a batch is `loading` until they are all here. `about` says who asks, on whose
    behalf, and how the file was laid out.
    """

    __tablename__ = "batches"
    __table_args__ = (
        UniqueConstraint("owner", "fingerprint"),
        CheckConstraint("state IN ('loading', 'open', 'cancelled')", name="state"),
        Index("ix_batches_owner_created_at", "owner", "created_at"),
    )
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(32))
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(9), default="loading")
    rows: Mapped[int] = mapped_column(Integer)
    about: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


class BatchQuestionRow(Base):
    """One row of the file that was handed in, counted from 1: its question, and what stood beside it."""

    __tablename__ = "batch_questions"
    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class BatchResultRow(Base):
    """One row of the result, counted from 1: a question, asked of one document in a grid, and what came of it.

    `refused` is a question that cannot be asked; `failed` one that was, in vain. `attempts` counts how often it was
    begun; a result is written while the row is `waiting` and never again, so nothing is kept twice.
    """

    __tablename__ = "batch_results"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'answered', 'failed', 'refused')", name="state"),
        Index("ix_batch_results_batch_id_state", "batch_id", "state"),
    )
    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer)
    document_id: Mapped[str | None] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    audit_id: Mapped[str | None] = mapped_column(String(36))
    result: Mapped[bytes | None] = mapped_column(LargeBinary)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)
