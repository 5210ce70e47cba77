"""Batches: each person's own, encrypted with their key, their answers shown only while they may be."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from catalog.batches import BatchQuestionRow, BatchResultRow, BatchRow
from catalog.database import Catalog
from catalog.jobs import JobRow
from catalog.models import now
from core.batches import BatchQuestion, time_left
from core.errors import Conflict, LimitExceeded, NotFound
from core.principals import Principal
from governance.audit import AuditLog, Kind, new_audit_id
from governance.batch_sealing import About, BatchSealing

MAX_ROWS = 100_000
"""Most rows of one batch: questions, times documents in a grid."""
LISTED = 200
"""How many batches are listed: the newest."""

SETTLED = ("answered", "failed", "refused")
# Rows that are added in one transaction.
_SLICE = 200
# The pace is that of the rows that finished last.
_PACE_ROWS = 60
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class BatchView:
    """One batch as it is listed; `name` is empty once erased. `rows` counts its rows by state.

    `state` is `loading` while rows are added, then `running`, `done` when none waits, or `cancelled`.
    """

    batch_id: str
    name: str
    pattern: str | None
    state: str
    created: datetime
    total: int
    rows: dict[str, int]
    time_left: timedelta | None

    @property
    def waiting(self) -> int:
        """Rows without a result, those that are still to be added among them."""
        return self.total - sum(self.rows.get(state, 0) for state in SETTLED)


AlsoAdd = Callable[[Session, Sequence[int]], None]
"""What else is added in the transaction that adds the rows with these ordinals."""


@dataclass(frozen=True)
class Batches:
    """The batches of every person, each for its owner alone; somebody else's looks like none.

    Raises `NotFound` for what is absent or not theirs, and `AuditUnavailable` where text would leave without record.
    """

    catalog: Catalog
    sealing: BatchSealing
    audit: AuditLog

    def fingerprint(self, principal: Principal, content: Sequence[int | str]) -> str:
        """By what a person's batch of the same file and mode is found again."""
        return self.sealing.sealing.fingerprint(self._owner(principal), content)

    def find(self, principal: Principal, fingerprint: str) -> str | None:
        """The id of the batch that was begun under this fingerprint."""
        same = (BatchRow.owner == self._owner(principal), BatchRow.fingerprint == fingerprint)
        with self.catalog.read() as session:
            return session.scalars(select(BatchRow.id).where(*same)).one_or_none()

    def create(self, about: About, questions: Sequence[BatchQuestion], fingerprint: str | None = None) -> str:
        """Begin a batch, on record; its id. Its rows come with `load`."""
        total = len(questions) * max(1, len(about.document_ids))
        if total > MAX_ROWS:
            raise LimitExceeded(
                f"{len(questions):,} questions of {len(about.document_ids):,} documents are {total:,} rows, and the "
                f"limit is {MAX_ROWS:,}. Split the file, or name fewer documents."
            )
        owner, batch_id = self._owner(about.principal), secrets.token_hex(16)
        begun = {"action": "begin batch", "batch_id": batch_id, "rows": total, "actor": about.actor}
        self.audit.append(Kind.INTENT, about.principal, begun, new_audit_id())
        sealed = self.sealing.about(owner, batch_id, about)
        with self.catalog.write() as session:
            session.add(BatchRow(id=batch_id, owner=owner, fingerprint=fingerprint, rows=total, about=sealed))
        return batch_id

    def load(
        self, principal: Principal, batch_id: str, questions: Sequence[BatchQuestion], also: AlsoAdd | None = None
    ) -> None:
        """Add the rows that are not there yet, question by question, and open the batch.

        What was interrupted goes on where it stopped when the same questions are given again.
        """
        owner = self._owner(principal)
        with self.catalog.read() as session:
            batch = owned(session, owner, batch_id)
            if batch.state != "loading":
                return
            about = self.sealing.open_about(batch)
            last = select(func.max(BatchQuestionRow.number)).where(BatchQuestionRow.batch_id == batch_id)
            done = session.scalars(last).one() or 0
        documents: Sequence[str | None] = (about.document_ids if about else ()) or (None,)
        step = max(1, _SLICE // len(documents))
        for at in range(done, len(questions), step):
            some = list(enumerate(questions[at : at + step], start=at + 1))
            self._add(owner, batch_id, some, documents, also)
        with self.catalog.write() as session:
            batch = owned(session, owner, batch_id, for_update=True)
            batch.state = "open" if batch.state == "loading" else batch.state

    def listed(self, principal: Principal) -> list[BatchView]:
        """A person's batches, the newest first."""
        mine = BatchRow.owner == self._owner(principal)
        query = select(BatchRow).where(mine).order_by(BatchRow.created_at.desc(), BatchRow.id).limit(LISTED)
        with self.catalog.read() as session:
            return [self._view(session, batch) for batch in session.scalars(query)]

    def view(self, principal: Principal, batch_id: str) -> BatchView:
        """How far one batch is."""
        with self.catalog.read() as session:
            return self._view(session, owned(session, self._owner(principal), batch_id))

    def about(self, principal: Principal, batch_id: str) -> About | None:
        """How its file was laid out; None once erased."""
        with self.catalog.read() as session:
            return self.sealing.open_about(owned(session, self._owner(principal), batch_id))

    def reopen(self, principal: Principal, batch_id: str) -> None:
        """Let what was cancelled go on, and let the rows that failed be asked again.

        What was cancelled is `loading` until `load` has seen that all its rows are there.
        """
        again = update(BatchResultRow).values(state="waiting", attempts=0, result=None, finished_at=None)
        with self.catalog.write() as session:
            batch = owned(session, self._owner(principal), batch_id, for_update=True)
            batch.state = "loading" if batch.state == "cancelled" else batch.state
            session.execute(again.where(BatchResultRow.batch_id == batch_id, BatchResultRow.state == "failed"))
            ended = (JobRow.group_id == batch_id, JobRow.state.in_(("dead", "cancelled")))
            session.execute(delete(JobRow).where(*ended))

    def cancel(self, principal: Principal, batch_id: str, actor: str) -> None:
        """Leave the rows that wait unanswered; what is answered stays. Raises `Conflict` when none waits."""
        owner = self._owner(principal)
        self._record_change("cancel batch", principal, batch_id, actor)
        with self.catalog.write() as session:
            batch = owned(session, owner, batch_id, for_update=True)
            if self._view(session, batch).state not in ("loading", "running"):
                raise Conflict(f"The batch {batch_id} has no row that waits; there is nothing left to cancel.")
            batch.state = "cancelled"

    def delete(self, principal: Principal, batch_id: str, actor: str) -> None:
        """Delete a batch with its questions and results; the audit records of its answers stay."""
        owner = self._owner(principal)
        self._record_change("delete batch", principal, batch_id, actor)
        with self.catalog.write() as session:
            batch = owned(session, owner, batch_id, for_update=True)
            for table in (BatchResultRow, BatchQuestionRow):
                session.execute(delete(table).where(table.batch_id == batch_id))
            session.delete(batch)

    def _owner(self, principal: Principal) -> str:
        return self.sealing.sealing.owner(principal)

    def _record_change(self, action: str, principal: Principal, batch_id: str, actor: str) -> None:
        """Put on record what is about to be done to a batch that is there."""
        with self.catalog.read() as session:
            owned(session, self._owner(principal), batch_id)
        change = {"action": action, "batch_id": batch_id, "actor": actor}
        self.audit.append(Kind.INTENT, principal, change, new_audit_id())

    def _add(
        self,
        owner: str,
        batch_id: str,
        questions: Sequence[tuple[int, BatchQuestion]],
        documents: Sequence[str | None],
        also: AlsoAdd | None,
    ) -> None:
        """Add some questions, each with its rows, in one transaction; those without fault wait."""
        contents: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for number, question in questions:
            sealed = self.sealing.question(owner, batch_id, number, question)
            contents.append({"batch_id": batch_id, "number": number, "content": sealed})
            for ordinal, document_id in enumerate(documents, start=(number - 1) * len(documents) + 1):
                row = {"batch_id": batch_id, "ordinal": ordinal, "number": number, "document_id": document_id}
                rows.append(row | self._beginning(owner, batch_id, ordinal, question))
        with self.catalog.write() as session:
            owned(session, owner, batch_id, for_update=True)
            session.execute(insert(BatchQuestionRow), contents)
            session.execute(insert(BatchResultRow), rows)
            if also is not None:
                also(session, [row["ordinal"] for row in rows if row["state"] == "waiting"])

    def _beginning(self, owner: str, batch_id: str, ordinal: int, question: BatchQuestion) -> dict[str, Any]:
        if not question.fault:
            return {"state": "waiting", "result": None, "finished_at": None}
        sealed = self.sealing.cause(owner, batch_id, ordinal, question.fault)
        return {"state": "refused", "result": sealed, "finished_at": now()}

    def _view(self, session: Session, batch: BatchRow) -> BatchView:
        mine = BatchResultRow.batch_id == batch.id
        counts = select(BatchResultRow.state, func.count()).where(mine).group_by(BatchResultRow.state)
        about = self.sealing.open_about(batch)
        rows = {state: int(count) for state, count in session.execute(counts)}
        waiting = batch.rows - sum(rows.get(state, 0) for state in SETTLED)
        newest = select(BatchResultRow.finished_at).where(mine, BatchResultRow.state.in_(("answered", "failed")))
        newest = newest.order_by(BatchResultRow.finished_at.desc()).limit(_PACE_ROWS)
        finished = [moment for moment in session.scalars(newest) if moment] if waiting else []
        return BatchView(
            batch_id=batch.id,
            name=about.name if about else "",
            pattern=about.pattern if about else None,
            state=_state(batch.state, waiting),
            created=batch.created_at,
            total=batch.rows,
            rows=rows,
            time_left=time_left(finished[::-1], waiting),
        )


def owned(session: Session, owner: str, batch_id: str, *, for_update: bool = False) -> BatchRow:
    """One batch of this owner; raises `NotFound`."""
    query = select(BatchRow).where(BatchRow.id == batch_id, BatchRow.owner == owner)
    query = query.with_for_update() if for_update else query
    row = session.scalars(query).one_or_none() if _ID.fullmatch(batch_id) else None
    if row is None:
        raise NotFound("batch", batch_id)
    return row


def _state(state: str, waiting: int) -> str:
    if state == "open":
        return "running" if waiting else "done"
    return state
