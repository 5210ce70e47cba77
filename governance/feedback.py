"""Feedback: what the person who asked says of an answer; their last word counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from catalog.conversations import FeedbackRow
from catalog.database import Catalog
from catalog.models import now
from core.errors import NotFound
from core.principals import Principal
from governance.audit import AuditLog, AuditReader, Kind
from governance.sealing import Sealing

Verdict = Literal["helpful", "not_helpful"]
MOST = 1_000
"""How many verdicts are listed: the newest."""


@dataclass(frozen=True)
class FeedbackView:
    """One verdict, without the words beside it and without who gave it."""

    audit_id: str
    verdict: Verdict
    commented: bool
    given: datetime


@dataclass(frozen=True)
class FeedbackFigures:
    """How many answers were found helpful and how many not, and the newest verdicts."""

    helpful: int
    not_helpful: int
    newest: Sequence[FeedbackView]


@dataclass(frozen=True)
class Feedback:
    """Takes feedback from people on answers of their own.

    A comment may quote what an administrator may not read, so it is kept in the audit log alone, encrypted with the
    person's key, beside the answer it is about: reading it there is on record itself.
    """

    catalog: Catalog
    sealing: Sealing
    audit: AuditLog
    reader: AuditReader

    def give(self, principal: Principal, actor: str, audit_id: str, verdict: Verdict, comment: str = "") -> None:
        """Say it of the answer with this audit id; raises `NotFound` unless this person was given one."""
        if not self._was_answered(principal, audit_id):
            raise NotFound("answer", audit_id)
        said = {"verdict": verdict, "comment": comment, "actor": actor}
        self.audit.append(Kind.FEEDBACK, principal, said, audit_id)
        values = {
            "owner": self.sealing.owner(principal),
            "verdict": verdict,
            "commented": bool(comment),
            "given_at": now(),
        }
        with self.catalog.write() as session:
            insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
            given = insert(FeedbackRow).values(audit_id=audit_id, **values)
            session.execute(given.on_conflict_do_update(index_elements=[FeedbackRow.audit_id], set_=values))

    def figures(self) -> FeedbackFigures:
        """What everybody said, for administrators; no word of a question, an answer or a comment."""
        with self.catalog.read() as session:
            counted = select(FeedbackRow.verdict, func.count()).group_by(FeedbackRow.verdict)
            counts = {row[0]: row[1] for row in session.execute(counted)}
            newest = select(FeedbackRow).order_by(FeedbackRow.given_at.desc(), FeedbackRow.audit_id).limit(MOST)
            views = [_view(row) for row in session.scalars(newest)]
        return FeedbackFigures(counts.get("helpful", 0), counts.get("not_helpful", 0), views)

    def _was_answered(self, principal: Principal, audit_id: str) -> bool:
        if not audit_id.isprintable():
            return False
        try:
            records = self.reader.show(audit_id, self.sealing.owner(principal))
        except NotFound:
            return False
        return any(one.record.kind == Kind.RECEIPT and one.subject == principal for one in records)


def _view(row: FeedbackRow) -> FeedbackView:
    return FeedbackView(row.audit_id, cast(Verdict, row.verdict), row.commented, row.given_at)
