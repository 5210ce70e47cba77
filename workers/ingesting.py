"""The jobs that bring documents in: one document, the changes of a standing source, and the upkeep of the index."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.job_queue import ClaimedJob
from catalog.jobs import ScheduleRow
from catalog.lock import writer_lock
from catalog.models import Source
from core.errors import NotFound
from ingest.arrivals import take_off
from ingest.ledger import Ledger, referenced_bytes
from ingest.pipeline import Item
from ingest.single import bring_in
from ingest.standing import Standing, folder_of, sync_standing
from ingest.sync import loader
from wiring.home import Home
from workers.doorbell import ring

# Long enough to see what was done; the audit log keeps who did what for good.
_SETTLED_KEPT = timedelta(days=30)
# Longer than any document takes from its bytes' being kept to its record.
_ORPHANS_KEPT = timedelta(days=1)


def ingest(home: Home, job: ClaimedJob) -> None:
    """Bring one document in, and end the job in the transaction that publishes it.

    Nothing is to be done where it is in, or a newer arrival of it has taken its place.
    """
    arrival = home.arrivals.find(job.subject_id)
    if arrival is None:
        return
    expected, limit = arrival.expected, home.settings.max_document_bytes
    blob = expected.blob
    load = partial(home.blobs.read, blob) if blob else loader(folder_of(expected.uri), limit)
    ledger = Ledger(home.catalog, arrival.source, arrival.source_uri, partial(home.jobs.fence, job=job))
    item = Item(expected.external_id, expected.uri, expected.decision, load)

    def also(session: Session) -> None:
        take_off(session, arrival.id)
        home.jobs.finish(session, job)

    with home.parsers.borrowed() as parser:
        bring_in(home.ingestion, parser, ledger, item, also)


def sync_source(home: Home, job: ClaimedJob) -> None:
    """Find what has changed in a standing source's folder, and queue a job for each document of it."""
    query = select(Source.name, Source.uri, ScheduleRow.prune).join(ScheduleRow, ScheduleRow.source_id == Source.id)
    with home.catalog.read() as session:
        found = session.execute(query.where(Source.id == int(job.subject_id))).one_or_none()
    if found is None:
        raise NotFound("standing source", job.subject_id)
    fence = partial(home.jobs.fence, job=job)
    source = Standing(found.name, found.uri, found.prune)
    ring(home, sync_standing(home.ingestion, home.arrivals, home.layout.folder, source, job.id, fence))


def upkeep(home: Home, _job: ClaimedJob) -> None:
    """Let index and files follow the catalog where a crash kept them from doing so; forget jobs that are long done."""
    ingestion = home.ingestion
    with writer_lock(ingestion.lock_file, "upkeep", ingestion.lock_wait):
        ingestion.recover()
    home.blobs.forget_others(referenced_bytes(home.catalog), _ORPHANS_KEPT)
    home.jobs.forget_settled(_SETTLED_KEPT)
