"""The jobs that bring documents in: one document, the changes of a standing source, and the upkeep of the index."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.job_queue import ClaimedJob
from catalog.jobs import ScheduleRow
from catalog.lock import writer_lock
from catalog.models import Source
from core.errors import NotFound
from core.logs import json_log
from ingest.arrivals import Arrival, take_off
from ingest.compaction import ORPHANS_KEPT, compact
from ingest.connections import Connection
from ingest.connectors.protocol import Listed
from ingest.items import Item
from ingest.ledger import Ledger, Prepared, referenced_bytes
from ingest.mirroring import queueing
from ingest.single import make_current, read_in
from ingest.standing import Standing, folder_of, sync_standing
from ingest.sync import loader
from wiring.home import Home
from wiring.mirrors import mirrored
from workers.doorbell import ring

# Long enough to see what was done; the audit log keeps who did what for good.
_SETTLED_KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Begun:
    """A document that has been read and is not in the catalog yet, and the job that brings it in."""

    job: ClaimedJob
    arrival: Arrival
    prepared: Prepared

    @property
    def chunks(self) -> int:
        return len(self.prepared.chunks)

    @property
    def together_with(self) -> int:
        return self.arrival.source_id


def begin(home: Home, job: ClaimedJob) -> Begun | None:
    """Read one document; None, and the job is ended, where nothing is left to do.

    That is so where it is in, or a newer arrival of it has taken its place.
    """
    arrival = home.arrivals.find(job.subject_id)
    if arrival is None:
        return None
    expected = arrival.expected
    ledger = Ledger(home.catalog, arrival.source, arrival.source_uri, partial(home.jobs.fence, job=job))
    load = partial(_bytes_of, home, arrival)
    item = Item(expected.external_id, expected.uri, expected.decision, load, expected.name, expected.revision)
    prepared = None
    with home.parsers.borrowed() as parser, suppress(_Gone):
        prepared = read_in(home.ingestion, parser, ledger, item)
    if prepared is not None:
        return Begun(job, arrival, prepared)
    with ledger.writing() as session:
        take_off(session, arrival.id)
        home.jobs.finish(session, job)
    return None


def publish(home: Home, documents: Sequence[Begun]) -> None:
    """Make documents of one source current, and end their jobs, in one transaction: all of them or none."""
    jobs = [one.job for one in documents]
    arrival = documents[0].arrival
    ledger = Ledger(home.catalog, arrival.source, arrival.source_uri, partial(home.jobs.fence_all, jobs=jobs))

    def also(session: Session) -> None:
        for one in documents:
            take_off(session, one.arrival.id)
        home.jobs.finish_all(session, jobs)

    make_current(home.ingestion, ledger, [one.prepared for one in documents], also)


def ingest(home: Home, job: ClaimedJob) -> None:
    """Bring one document in, and end the job in the transaction that publishes it."""
    begun = begin(home, job)
    if begun is not None:
        publish(home, [begun])


class _Gone(Exception):
    """What was to be brought in is not in its source any more; the source's next sync says so too."""


def _bytes_of(home: Home, arrival: Arrival) -> bytes:
    expected = arrival.expected
    if expected.blob:
        return home.blobs.read(expected.blob)
    connection = home.connections.find(arrival.source_id)
    if connection is None:
        return loader(folder_of(expected.uri), home.settings.max_document_bytes)()
    listed = Listed(expected.external_id, expected.name, expected.uri, expected.revision, reference=expected.reference)
    with home.connectors.borrowed(connection) as connector:
        try:
            return connector.fetch(listed)
        except NotFound as error:
            raise _Gone from error


def sync_source(home: Home, job: ClaimedJob) -> None:
    """Find what has changed in a standing source, and queue a job for each document of it."""
    connection = home.connections.find(int(job.subject_id))
    if connection is not None:
        _sync_system(home, job, connection)
        return
    query = select(Source.name, Source.uri, ScheduleRow.prune).join(ScheduleRow, ScheduleRow.source_id == Source.id)
    with home.catalog.read() as session:
        found = session.execute(query.where(Source.id == int(job.subject_id))).one_or_none()
    if found is None:
        raise NotFound("standing source", job.subject_id)
    fence = partial(home.jobs.fence, job=job)
    source = Standing(found.name, found.uri, found.prune)
    ring(home, sync_standing(home.ingestion, home.arrivals, home.layout.folder, source, job.id, fence))


def _sync_system(home: Home, job: ClaimedJob, connection: Connection) -> None:
    ledger = Ledger(home.catalog, connection.name, connection.uri, partial(home.jobs.fence, job=job))
    log = json_log(home.settings.log_level, job_id=job.id, source_id=str(connection.source_id))
    with mirrored(home, connection, ledger) as mirror:
        done = mirror.sync(queueing(mirror, job.id, partial(ring, home)))
    log.info("synced", changed=done.changed, unchanged=done.unchanged, deleted=done.deleted, moved=done.moved)


def upkeep(home: Home, _job: ClaimedJob) -> None:
    """Let index and files follow the catalog where a crash kept them from doing so; forget jobs that are long done."""
    ingestion = home.ingestion
    with writer_lock(ingestion.lock_file, "upkeep", ingestion.lock_wait):
        ingestion.recover()
    # Not under the lock: documents come in meanwhile.
    while home.index_writer.merge():
        pass
    home.blobs.forget_others(referenced_bytes(home.catalog), ORPHANS_KEPT)
    home.jobs.forget_settled(_SETTLED_KEPT)


def compact_home(home: Home, _job: ClaimedJob) -> None:
    """Let the bytes of what was deleted leave the home's files; on PostgreSQL without keeping anybody from reading."""
    compact(home.ingestion, home.layout.source_caches, in_full=False)
