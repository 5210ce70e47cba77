"""What came of the rows of a batch, as its owner may see it now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.batches import BatchQuestionRow, BatchResultRow
from catalog.database import Catalog
from core.answers import NearDocument
from core.batches import BatchQuestion, BatchResult
from core.errors import NotFound
from core.principals import Principal
from governance.audit import AuditLog, Kind, new_audit_id
from governance.batch_sealing import ERASED, BatchSealing
from governance.batches import owned
from governance.conversations import Look
from governance.doors import Gate

WITHHELD = "withheld: what this answers from may not be read any more, or reads otherwise now"
UNANSWERED = "not answered yet"
NAMED = 1000
"""How many failures of a batch are named: the first."""

# Rows of one look at what may be read.
_SLICE = 200


@dataclass(frozen=True)
class Failure:
    """A row without an answer: the line it stands in, the document that was asked in a grid, and why."""

    line: int
    document_id: str | None
    error: str


@dataclass(frozen=True)
class BatchResults:
    """Results for their owner alone.

    Raises `NotFound`, and `AuditUnavailable` where they would leave without record.
    """

    catalog: Catalog
    sealing: BatchSealing
    gate: Gate
    audit: AuditLog

    def failures(self, principal: Principal, batch_id: str) -> list[Failure]:
        """The first rows that could not be asked or failed, in order."""
        owner = self.sealing.sealing.owner(principal)
        wrong = (BatchResultRow.batch_id == batch_id, BatchResultRow.state.in_(("failed", "refused")))
        query = select(BatchResultRow).where(*wrong).order_by(BatchResultRow.ordinal).limit(NAMED)
        with self.catalog.read() as session:
            owned(session, owner, batch_id)
            rows = session.scalars(query).all()
            questions = self._questions(session, owner, rows)
        return [
            Failure(questions[row.number].line, row.document_id, self.sealing.open_cause(owner, row)) for row in rows
        ]

    def read(self, principal: Principal, batch_id: str, actor: str) -> Iterator[BatchResult]:
        """Every row with what came of it, in order, each answer looked at with its owner's rights of this moment.

        That they are read is on record when this returns, and which answers are shown before any of them is.
        """
        owner, audit_id = self.sealing.sealing.owner(principal), new_audit_id()
        with self.catalog.read() as session:
            owned(session, owner, batch_id)
        asked = {"action": "read batch results", "batch_id": batch_id, "actor": actor}
        self.audit.append(Kind.INTENT, principal, asked, audit_id)
        return self._recorded(principal, owner, batch_id, audit_id)

    def _recorded(self, principal: Principal, owner: str, batch_id: str, audit_id: str) -> Iterator[BatchResult]:
        at = 0
        while results := self._slice(principal, owner, batch_id, at):
            shown = {
                "shown": [result.audit_id for result in results if result.answer],
                "withheld": [result.audit_id for result in results if result.error == WITHHELD],
            }
            self.audit.append(Kind.EVIDENCE, principal, shown, audit_id)
            yield from results
            at = results[-1].ordinal

    def _slice(self, principal: Principal, owner: str, batch_id: str, after: int) -> list[BatchResult]:
        query = (
            select(BatchResultRow)
            .where(BatchResultRow.batch_id == batch_id, BatchResultRow.ordinal > after)
            .order_by(BatchResultRow.ordinal)
            .limit(_SLICE)
        )
        with self.catalog.read() as session:
            rows = session.scalars(query).all()
            questions = self._questions(session, owner, rows)
        look = _Looking(self.gate, principal)
        return [self._result(owner, row, questions[row.number], look) for row in rows]

    def _questions(self, session: Session, owner: str, rows: Sequence[BatchResultRow]) -> dict[int, BatchQuestion]:
        if not rows:
            return {}
        numbers = {row.number for row in rows}
        query = select(BatchQuestionRow).where(
            BatchQuestionRow.batch_id == rows[0].batch_id, BatchQuestionRow.number.in_(numbers)
        )
        erased = BatchQuestion(0, "")
        return {one.number: self.sealing.open_question(owner, one) or erased for one in session.scalars(query)}

    def _result(self, owner: str, row: BatchResultRow, question: BatchQuestion, look: _Looking) -> BatchResult:
        document = look.document(row.document_id) if row.document_id else None
        at = (row.ordinal, question, row.document_id, document)
        if row.state == "waiting":
            return BatchResult(*at, error=UNANSWERED)
        if row.state != "answered":
            return BatchResult(*at, audit_id=row.audit_id, error=self.sealing.open_cause(owner, row))
        answer = self.sealing.open_answer(owner, row)
        if answer is None:
            return BatchResult(*at, audit_id=row.audit_id, error=ERASED)
        hidden = row.document_id is not None and document is None
        if hidden or not look.answers.still_shows(answer):
            return BatchResult(*at, audit_id=row.audit_id, error=WITHHELD)
        return BatchResult(*at, answer=answer, audit_id=row.audit_id)


class _Looking:
    """One look at what a person may read now, of answers and of the documents that a grid asks."""

    def __init__(self, gate: Gate, principal: Principal) -> None:
        self.answers = Look(gate, principal)
        self._gate, self._principal = gate, principal
        self._seen: dict[str, NearDocument | None] = {}

    def document(self, document_id: str) -> NearDocument | None:
        if document_id not in self._seen:
            self._seen[document_id] = self._named(document_id)
        return self._seen[document_id]

    def _named(self, document_id: str) -> NearDocument | None:
        try:
            view = self._gate.document(self._principal, document_id)
        except NotFound:
            return None
        return NearDocument(view.document_id, view.source, view.external_id, view.uri, view.title)
