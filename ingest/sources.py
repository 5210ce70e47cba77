"""Sources: which there are, what they hold, and which are kept in step with their folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Integer, Select, and_, cast, delete, func, or_, select
from sqlalchemy.orm import Session

from catalog.connections import ConnectionRow, NoticeRow
from catalog.database import Catalog
from catalog.job_queue import WAITING, JobQueue, database_now
from catalog.jobs import ArrivalRow, JobRow, ScheduleRow
from catalog.models import Document, Source
from core.errors import NotFound, WrongUsage
from core.principals import Grantee
from governance.access.rules import AccessLists
from ingest.connections import Connections
from ingest.folder import read_folder
from ingest.ledger import Ledger
from ingest.mirroring import OperatorsRules

_SLICE = 200
SHORTEST_INTERVAL = timedelta(minutes=1)
LONGEST_INTERVAL = timedelta(days=366)


@dataclass(frozen=True)
class SourceRequest:
    """A folder to be kept in step; `every` None: only when asked. Raises what `sync_standing` would, if checked."""

    name: str
    path: Path
    allow: Sequence[Grantee]
    access_file: Path | None
    every: timedelta | None
    prune: bool


@dataclass(frozen=True)
class SourceView:
    """A source's record; `standing` if it is kept in step, `every_s` and `due_at` if by the clock.

    `content_at` is when all it had was last known here, `permissions_at` when its readers were. A folder's readers are
    told by its rules, each time it is read.
    """

    source_id: int
    name: str
    uri: str
    standing: bool
    every_s: int | None
    prune: bool
    paused: bool
    due_at: datetime | None
    documents: int
    failed: int
    waiting: int
    kind: str
    content_at: datetime | None
    permissions_at: datetime | None
    problem: str | None
    notices: int


def list_sources(catalog: Catalog) -> list[SourceView]:
    """Every source that is kept in step or holds a document, by name."""
    with catalog.read() as session:
        views = [SourceView(**row._mapping) for row in session.execute(_records().order_by(Source.name))]
    return [view for view in views if view.standing or view.documents or view.waiting]


def find_source(catalog: Catalog, named: str) -> SourceView:
    """The source with this name or id; raises `NotFound`."""
    by_id = Source.id == int(named) if named.isdecimal() and len(named) < 10 else Source.name == named
    with catalog.read() as session:
        found = session.execute(_records().where(or_(Source.name == named, by_id))).first()
    if found is None:
        raise NotFound("source", named)
    return SourceView(**found._mapping)


def stand(catalog: Catalog, home: Path, request: SourceRequest) -> int:
    """Keep a folder in step from now on; returns the source's id.

    Raises `WrongUsage` for a folder that is not there, invalid rules or an interval out of bounds, and `Conflict` for
    the name of a source of another kind.
    """
    _check_interval(request.every)
    path = request.path.resolve()
    read_folder(path, home, AccessLists(frozenset(request.allow)), request.access_file)
    ledger = Ledger(catalog, request.name, path.as_uri())
    ledger.register(request.allow, str(request.access_file) if request.access_file else None)
    with catalog.write() as session:
        source_id = session.scalars(select(Source.id).where(Source.name == request.name)).one()
        _schedule(session, source_id, request.every, request.prune)
    return source_id


@dataclass(frozen=True)
class SystemRequest:
    """A system to be kept in step; `secret` is a place only.

    `allow` and `access_file` None: what was remembered stays; `every` None: only when asked.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    secret: str | None
    allow: Sequence[Grantee] | None
    access_file: Path | None
    every: timedelta | None


def stand_system(catalog: Catalog, request: SystemRequest) -> int:
    """Keep a system in step from now on; returns the source's id.

    What it no longer has goes here too. Raises as `stand` does.
    """
    _check_interval(request.every)
    ledger = Ledger(catalog, request.name, f"{request.kind}:{quote(request.name)}")
    allow, access_file = ledger.remembered()
    allow = list(request.allow) if request.allow is not None else allow
    access_file = str(request.access_file) if request.access_file else access_file
    OperatorsRules.of(allow, access_file)
    ledger.register(allow, access_file)
    with catalog.write() as session:
        source_id = session.scalars(select(Source.id).where(Source.name == request.name)).one()
        Connections(catalog).put(session, source_id, request.kind, request.settings, request.secret)
        _schedule(session, source_id, request.every, prune=True)
    return source_id


def end_standing(session: Session, source_id: int) -> list[str]:
    """Keep a source in step no longer and call off what is on its way in; returns the ids of its documents."""
    Connections.forget(session, source_id)
    session.execute(delete(ScheduleRow).where(ScheduleRow.source_id == source_id))
    session.execute(delete(ArrivalRow).where(ArrivalRow.source_id == source_id))
    documents = select(Document.id).where(Document.source_id == source_id, Document.state != "deleted")
    return list(session.scalars(documents))


def set_paused(catalog: Catalog, jobs: JobQueue, source_id: int, paused: bool) -> None:
    """Let a standing source wait, with all that is on its way in, or go on. Raises `NotFound` for one that does not
    stand."""
    with catalog.write() as session:
        row = session.get(ScheduleRow, source_id)
        if row is None:
            raise NotFound("standing source", str(source_id))
        row.paused = paused
        arrivals = session.scalars(select(ArrivalRow.id).where(ArrivalRow.source_id == source_id)).all()
        change = jobs.pause_all if paused else jobs.resume_all
        for kind, subjects in (("ingest", arrivals), ("source-sync", [str(source_id)])):
            for at in range(0, len(subjects), _SLICE):
                change(session, kind, subjects[at : at + _SLICE])


def _check_interval(every: timedelta | None) -> None:
    if every is not None and not SHORTEST_INTERVAL <= every <= LONGEST_INTERVAL:
        raise WrongUsage("A source is kept in step once a minute at most and once a year at least.")


def _schedule(session: Session, source_id: int, every: timedelta | None, prune: bool) -> None:
    row = session.get(ScheduleRow, source_id) or ScheduleRow(source_id=source_id)
    row.every_s = round(every.total_seconds()) if every else None
    row.prune = prune
    row.due_at = database_now(session) + every if every else None
    session.add(row)


def _records() -> Select[*tuple[Any, ...]]:
    documents = (
        select(
            Document.source_id,
            func.count().label("documents"),
            func.sum(cast(Document.state == "failed", Integer)).label("failed"),
        )
        .where(Document.state != "deleted")
        .group_by(Document.source_id)
        .subquery()
    )
    notices = select(NoticeRow.source_id, func.count().label("notices")).group_by(NoticeRow.source_id).subquery()
    # What a dead letter has left is on its way no more.
    arrivals = (
        select(ArrivalRow.source_id, func.count().label("waiting"))
        .join(JobRow, and_(JobRow.subject_id == ArrivalRow.id, JobRow.state.in_(WAITING)))
        .group_by(ArrivalRow.source_id)
        .subquery()
    )
    return (
        select(
            Source.id.label("source_id"),
            Source.name,
            Source.uri,
            ScheduleRow.source_id.is_not(None).label("standing"),
            ScheduleRow.every_s,
            func.coalesce(ScheduleRow.prune, False).label("prune"),
            func.coalesce(ScheduleRow.paused, False).label("paused"),
            ScheduleRow.due_at,
            func.coalesce(documents.c.documents, 0).label("documents"),
            func.coalesce(documents.c.failed, 0).label("failed"),
            func.coalesce(arrivals.c.waiting, 0).label("waiting"),
            func.coalesce(ConnectionRow.kind, "folder").label("kind"),
            Source.content_at,
            ConnectionRow.permissions_at,
            ConnectionRow.problem,
            func.coalesce(notices.c.notices, 0).label("notices"),
        )
        .outerjoin(ConnectionRow, ConnectionRow.source_id == Source.id)
        .outerjoin(notices, notices.c.source_id == Source.id)
        .outerjoin(ScheduleRow, ScheduleRow.source_id == Source.id)
        .outerjoin(documents, documents.c.source_id == Source.id)
        .outerjoin(arrivals, arrivals.c.source_id == Source.id)
    )
