"""Documents on their way in: put down with the jobs that will bring them in, and taken off when they are in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.orm import Session

from catalog.database import Catalog, bump_epoch
from catalog.job_queue import WAITING, JobQueue, NewJob, database_now
from catalog.jobs import ArrivalRow, JobRow
from catalog.models import Source
from core.errors import LeaseLost
from governance.access.rules import Decision
from governance.access.sets import intern_lists, lists_of

INGEST = "ingest"
_SLICE = 200


@dataclass(frozen=True)
class Expected:
    """A document that a source has: its bytes are the file of `uri`, the blob named, or what its system gives for
    `reference`; `name` and `revision` are the system's."""

    external_id: str
    uri: str
    decision: Decision
    blob: str | None = None
    name: str = ""
    revision: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Arrival:
    """A document to be brought in, and the source it is of."""

    id: str
    source_id: int
    source: str
    source_uri: str
    expected: Expected


@dataclass(frozen=True)
class Arrivals:
    """The documents of one catalog that are on their way in."""

    catalog: Catalog
    jobs: JobQueue

    def expect(self, session: Session, source: str, documents: Sequence[Expected], group_id: str | None) -> list[str]:
        """Put documents of a source down, each with its job, and return the jobs' ids.

        What was on its way in for the same document is superseded: its job is cancelled, and a worker that has it
        already cannot publish it.
        """
        # The epoch's row is locked until commit, so that two of these never make the same access set twice.
        bump_epoch(session)
        source_id = session.scalars(select(Source.id).where(Source.name == source)).one()
        now = database_now(session)
        self.withdraw(session, source, [one.external_id for one in documents])
        rows = [
            ArrivalRow(
                id=uuid.uuid4().hex,
                source_id=source_id,
                external_id=one.external_id,
                uri=one.uri,
                blob=one.blob,
                name=one.name,
                revision=one.revision,
                reference=one.reference,
                access_set_id=intern_lists(session, one.decision.lists),
                rule=one.decision.rule,
                created_at=now,
            )
            for one in documents
        ]
        session.add_all(rows)
        return self.jobs.add(session, [NewJob(INGEST, INGEST, row.id, group_id) for row in rows])

    def withdraw(self, session: Session, source: str, external_ids: Collection[str]) -> None:
        """Call off what is on its way in for these documents."""
        source_id = select(Source.id).where(Source.name == source).scalar_subquery()
        wanted = list(external_ids)
        for at in range(0, len(wanted), _SLICE):
            ours = (ArrivalRow.source_id == source_id, ArrivalRow.external_id.in_(wanted[at : at + _SLICE]))
            self.jobs.supersede(session, INGEST, session.scalars(select(ArrivalRow.id).where(*ours)).all())
            session.execute(delete(ArrivalRow).where(*ours))

    def waiting(self, source: str) -> set[str]:
        """The external ids of a source that are on their way in."""
        query = select(ArrivalRow.external_id).join(Source, Source.id == ArrivalRow.source_id)
        with self.catalog.read() as session:
            return set(session.scalars(query.where(Source.name == source)))

    def waiting_revisions(self, source: str) -> dict[str, str]:
        """What is on its way in and not given up, by external id: the revision that is to be read."""
        query = (
            select(ArrivalRow.external_id, ArrivalRow.revision)
            .join(Source, Source.id == ArrivalRow.source_id)
            .join(JobRow, JobRow.subject_id == ArrivalRow.id)
            .where(Source.name == source, JobRow.state.in_(WAITING))
        )
        with self.catalog.read() as session:
            return {row.external_id: row.revision for row in session.execute(query)}

    def readdress(self, source: str, decisions: Mapping[str, Decision], fence: Callable[[Session], None]) -> None:
        """Let these rights hold for what is on its way in too; a worker that has the older ones cannot publish it."""
        names = list(decisions)
        for at in range(0, len(names), _SLICE):
            query = (
                select(ArrivalRow, JobRow.group_id)
                .join(Source, Source.id == ArrivalRow.source_id)
                .join(JobRow, JobRow.subject_id == ArrivalRow.id)
                .where(Source.name == source, ArrivalRow.external_id.in_(names[at : at + _SLICE]))
            )
            with self.catalog.read() as session:
                if session.execute(query.limit(1)).first() is None:
                    continue
            with self.catalog.write() as session:
                bump_epoch(session)
                fence(session)
                changed: dict[str | None, list[Expected]] = {}
                for row, group_id in session.execute(query).all():
                    decision = decisions[row.external_id]
                    if intern_lists(session, decision.lists) != row.access_set_id:
                        changed.setdefault(group_id, []).append(_expected(row, decision))
                for group_id, documents in changed.items():
                    self.expect(session, source, documents, group_id)

    def find(self, arrival_id: str) -> Arrival | None:
        """What is to be brought in; None once it is in, or superseded."""
        query = select(ArrivalRow, Source).join(Source, Source.id == ArrivalRow.source_id)
        with self.catalog.read() as session:
            found = session.execute(query.where(ArrivalRow.id == arrival_id)).one_or_none()
            if found is None:
                return None
            row, source = found
            decision = Decision(lists_of(session, row.access_set_id), row.rule)
            expected = _expected(row, decision)
            return Arrival(row.id, source.id, source.name, source.uri, expected)


def _expected(row: ArrivalRow, decision: Decision) -> Expected:
    return Expected(row.external_id, row.uri, decision, row.blob, row.name, row.revision, row.reference)


def take_off(session: Session, arrival_id: str) -> None:
    """Take an arrival off in the transaction that publishes it; raises `LeaseLost` if a newer one has superseded it."""
    taken = session.execute(delete(ArrivalRow).where(ArrivalRow.id == arrival_id))
    if cast(CursorResult[Any], taken).rowcount != 1:
        raise LeaseLost(INGEST, arrival_id)
