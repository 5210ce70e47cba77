"""The rows of batches as they are worked off: begun, answered, and written down once each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, Select, Update, select, update
from sqlalchemy.orm import Session

from catalog.batches import BatchQuestionRow, BatchResultRow, BatchRow
from catalog.database import Catalog
from catalog.job_queue import WAITING
from catalog.jobs import JobRow
from catalog.models import now
from core.answers import Answer
from core.principals import Principal
from governance.batch_sealing import BatchSealing

LOST = "The process ended each time while this row was being answered."


@dataclass(frozen=True)
class RowToAsk:
    """One question that is to be asked now, of one document or of all."""

    principal: Principal
    actor: str
    question: str
    document_id: str | None


AlsoDo = Callable[[Session], None]
"""What else happens in the transaction that writes a result; where it raises, neither does."""


@dataclass(frozen=True)
class BatchRows:
    """Rows for those who answer them. A result is written by compare-and-set, so that each row has one and only one."""

    catalog: Catalog
    sealing: BatchSealing
    attempts: int
    """How often a row may take its process with it before it is given up."""

    def waiting(self, batch_id: str) -> list[int]:
        """The rows that are to be answered, in order; none of a batch that was cancelled or deleted."""
        with self.catalog.read() as session:
            return list(session.scalars(_to_answer(batch_id)))

    def suspects(self, batch_id: str) -> list[int]:
        """Those of the rows that wait which were begun and not left in good order: a process may have died of one."""
        with self.catalog.read() as session:
            return list(session.scalars(_to_answer(batch_id).where(BatchResultRow.attempts > 0)))

    def without_job(self, batch_id: str) -> list[int]:
        """Those of the rows that wait which no job is going to answer."""
        scheduled = self._jobs(batch_id, WAITING)
        return [ordinal for ordinal in self.waiting(batch_id) if row_subject(batch_id, ordinal) not in scheduled]

    def begin(self, batch_id: str, ordinal: int) -> RowToAsk | None:
        """Note that a row is begun, and what it asks; None where there is nothing to do for it any more."""
        with self.catalog.write() as session:
            batch = session.get(BatchRow, batch_id)
            row = session.get(BatchResultRow, (batch_id, ordinal), with_for_update=True)
            if batch is None or row is None or batch.state == "cancelled" or row.state != "waiting":
                return None
            about = self.sealing.open_about(batch)
            asked = self._question(session, batch, row)
            if about is None or not asked:
                # The asker's key was destroyed: there is nobody left to ask, and no key to write the cause with.
                row.state, row.finished_at = "failed", now()
                return None
            if row.attempts >= self.attempts:
                self._fail(batch.owner, row, LOST)
                return None
            row.attempts += 1
            return RowToAsk(about.principal, about.actor, asked, row.document_id)

    def give_back(self, batch_id: str, ordinal: int) -> None:
        """Note that a row was left in good order: that it was begun does not count."""
        with self.catalog.write() as session:
            session.execute(_waiting(batch_id, ordinal).values(attempts=BatchResultRow.attempts - 1))

    def answered(self, batch_id: str, ordinal: int, answer: Answer, also: AlsoDo | None = None) -> bool:
        """Keep a row's answer; False where it has a result already, or is gone."""

        def seal(owner: str) -> bytes:
            return self.sealing.answer(owner, batch_id, ordinal, answer)

        return self._publish(batch_id, ordinal, {"state": "answered", "audit_id": answer.audit_id}, seal, also)

    def failed(self, batch_id: str, ordinal: int, cause: str, also: AlsoDo | None = None) -> bool:
        """Keep why a row could not be answered; as `answered`."""

        def seal(owner: str) -> bytes:
            return self.sealing.cause(owner, batch_id, ordinal, cause)

        return self._publish(batch_id, ordinal, {"state": "failed"}, seal, also)

    def settle_dead(self, batch_id: str) -> None:
        """Note that rows failed whose job ended without a result, with the job's cause."""
        if ended := self._jobs(batch_id, ("dead", "cancelled")):
            for ordinal in self.waiting(batch_id):
                subject = row_subject(batch_id, ordinal)
                if subject in ended:
                    self.failed(batch_id, ordinal, ended[subject] or "Its job was cancelled.")

    def _jobs(self, batch_id: str, states: Sequence[str]) -> dict[str, str | None]:
        """The rows that jobs in one of these states are for, and why each job's last attempt failed."""
        query = select(JobRow.subject_id, JobRow.cause)
        with self.catalog.read() as session:
            found = session.execute(query.where(JobRow.group_id == batch_id, JobRow.state.in_(states)))
            return {job.subject_id: job.cause for job in found}

    def _question(self, session: Session, batch: BatchRow, row: BatchResultRow) -> str:
        found = session.get(BatchQuestionRow, (batch.id, row.number))
        question = self.sealing.open_question(batch.owner, found) if found else None
        return question.question if question else ""

    def _publish(
        self,
        batch_id: str,
        ordinal: int,
        values: dict[str, object],
        seal: Callable[[str], bytes],
        also: AlsoDo | None,
    ) -> bool:
        with self.catalog.read() as session:
            owner = session.scalars(select(BatchRow.owner).where(BatchRow.id == batch_id)).one_or_none()
        if owner is None:
            return False
        change = _waiting(batch_id, ordinal).values(result=seal(owner), finished_at=now(), **values)
        with self.catalog.write() as session:
            written = cast(CursorResult[Any], session.execute(change)).rowcount == 1
            if also is not None:
                also(session)
        return written

    def _fail(self, owner: str, row: BatchResultRow, cause: str) -> None:
        row.state, row.finished_at = "failed", now()
        row.result = self.sealing.cause(owner, row.batch_id, row.ordinal, cause)


def _to_answer(batch_id: str) -> Select[int]:
    """The ordinals of the rows that wait, in order."""
    return (
        select(BatchResultRow.ordinal)
        .join(BatchRow, BatchRow.id == BatchResultRow.batch_id)
        .where(BatchRow.id == batch_id, BatchRow.state != "cancelled", BatchResultRow.state == "waiting")
        .order_by(BatchResultRow.ordinal)
    )


def _waiting(batch_id: str, ordinal: int) -> Update:
    """A change of one row, made only while it has no result."""
    row = (BatchResultRow.batch_id == batch_id, BatchResultRow.ordinal == ordinal)
    return update(BatchResultRow).where(*row, BatchResultRow.state == "waiting")


def row_subject(batch_id: str, ordinal: int) -> str:
    """How a job names one row."""
    return f"{batch_id}:{ordinal}"
