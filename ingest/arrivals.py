"""Documents on their way in: put down with the jobs that will bring them in, and taken off when they are in."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.orm import Session

from catalog.database import Catalog, bump_epoch
from catalog.job_queue import JobQueue, NewJob, database_now
from catalog.jobs import ArrivalRow
from catalog.models import Source
from core.errors import LeaseLost
from governance.access.rules import Decision
from governance.access.sets import intern_lists, lists_of

INGEST = "ingest"
_SLICE = 200


@dataclass(frozen=True)
class Expected:
    """A document that a source has: its bytes are the file of `uri`, or the blob named."""

    external_id: str
    uri: str
    decision: Decision
    blob: str | None = None


@dataclass(frozen=True)
class Arrival:
    """A document to be brought in, and the source it is of."""

    id: str
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

    def find(self, arrival_id: str) -> Arrival | None:
        """What is to be brought in; None once it is in, or superseded."""
        query = select(ArrivalRow, Source).join(Source, Source.id == ArrivalRow.source_id)
        with self.catalog.read() as session:
            found = session.execute(query.where(ArrivalRow.id == arrival_id)).one_or_none()
            if found is None:
                return None
            row, source = found
            decision = Decision(lists_of(session, row.access_set_id), row.rule)
            return Arrival(row.id, source.name, source.uri, Expected(row.external_id, row.uri, decision, row.blob))


def take_off(session: Session, arrival_id: str) -> None:
    """Take an arrival off in the transaction that publishes it; raises `LeaseLost` if a newer one has superseded it."""
    taken = session.execute(delete(ArrivalRow).where(ArrivalRow.id == arrival_id))
    if cast(CursorResult[Any], taken).rowcount != 1:
        raise LeaseLost(INGEST, arrival_id)
