"""The records of sources that are systems: how each is reached, how far it was read, what it did not tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from catalog.connections import ConnectionRow, ListedRow, MirroredGroupRow, NoticeRow
from catalog.database import Catalog
from catalog.job_queue import database_now
from catalog.models import Source
from core.attachments import of_source
from core.errors import Conflict, LeaseLost
from core.principals import Grantee
from governance.access.mirrored import hold_back, mirror_groups, release
from ingest.ledger import Fence, Known

About = Literal["content", "permissions", "group"]
_SLICE = 500


@dataclass(frozen=True)
class Connection:
    """A source that is a system; `secret` names where its credential is kept, and is none."""

    source_id: int
    name: str
    uri: str
    kind: str
    settings: Mapping[str, Any]
    secret: str | None
    cursor: str | None
    listing: bool


@dataclass(frozen=True)
class Notice:
    """Something that a source did not tell; see `catalog.connections.NoticeRow`."""

    about: About
    subject: str
    reason: str


@dataclass(frozen=True)
class Freshness:
    """Up to when a source's permissions are mirrored (None: it has none), and what is wrong with it now."""

    kind: str
    settings: Mapping[str, Any]
    secret: str | None
    permissions_at: datetime | None
    problem: str | None
    problem_at: datetime | None
    notices: tuple[Notice, ...] = field(repr=False)


@dataclass(frozen=True)
class Connections:
    """The systems that one catalog mirrors. Every method that is given no session is one short transaction."""

    catalog: Catalog

    def find(self, source_id: int) -> Connection | None:
        """The system of a source; None for a folder."""
        query = select(ConnectionRow, Source).join(Source, Source.id == ConnectionRow.source_id)
        with self.catalog.read() as session:
            found = session.execute(query.where(Source.id == source_id)).one_or_none()
            return _connection(*found) if found else None

    def put(self, session: Session, source_id: int, kind: str, settings: Mapping[str, Any], secret: str | None) -> None:
        """Let a source be this system; with other settings than before it is listed anew.

        Raises `Conflict` for a source of another kind.
        """
        row = session.get(ConnectionRow, source_id)
        if row is None:
            row = ConnectionRow(source_id=source_id, kind=kind, settings=dict(settings))
            session.add(row)
        elif row.kind != kind:
            raise Conflict(f"The source already mirrors a system of the kind {row.kind}; name another one.")
        if row.settings != dict(settings):
            _begin_anew(row)
        row.settings, row.secret = dict(settings), secret

    @staticmethod
    def forget(session: Session, source_id: int) -> None:
        """Mirror a source no longer; its groups have no members any more where no other source tells them."""
        mirror_groups(session, source_id, {})
        for table in (ListedRow, NoticeRow, MirroredGroupRow, ConnectionRow):
            session.execute(delete(table).where(table.source_id == source_id))

    def list_anew(self, source_id: int, fence: Fence) -> None:
        """Forget the cursor: the source is asked for everything it has."""
        with self.catalog.write() as session:
            fence(session)
            _begin_anew(session.get_one(ConnectionRow, source_id))

    def begin_sync(self, source_id: int, fence: Fence) -> int:
        """The number of a new sync; one that is under way elsewhere takes no page any more."""
        with self.catalog.write() as session:
            fence(session)
            row = session.get_one(ConnectionRow, source_id, with_for_update=True)
            row.syncs += 1
            return row.syncs

    def hold_sync(self, session: Session, source_id: int, sync: int) -> ConnectionRow:
        """The source's row, locked until the caller's transaction ends; raises `LeaseLost` if another sync has begun.

        Two at once would each take what the other has listed for all that there is.
        """
        row = session.get(ConnectionRow, source_id, with_for_update=True, populate_existing=True)
        if row is None or row.syncs != sync:
            raise LeaseLost("source-sync", str(source_id))
        return row

    def turn_page(
        self, session: Session, source_id: int, sync: int, cursor: str, listed: Iterable[str], whole: bool, last: bool
    ) -> None:
        """Note in the transaction that takes a page that it is taken, and what it named of an open listing.

        Raises as `hold_sync`.
        """
        row = self.hold_sync(session, source_id, sync)
        if whole and not row.listing:
            session.execute(delete(ListedRow).where(ListedRow.source_id == source_id))
        if whole:
            _note_listed(session, source_id, listed)
        row.cursor, row.listing = cursor, whole and not last

    def is_listing(self, session: Session, source_id: int) -> bool:
        """Whether a listing of everything has begun and is not at its end."""
        return session.get_one(ConnectionRow, source_id).listing

    def took_content(self, source_id: int, problem: str | None, fence: Fence) -> None:
        """Note that all changes of now are taken; `problem` is what the operator is to look at nevertheless."""
        with self.catalog.write() as session:
            fence(session)
            row, now = session.get_one(ConnectionRow, source_id), database_now(session)
            row.problem, row.problem_at = problem, now if problem else None
            session.get_one(Source, source_id).content_at = now

    def unlisted(self, source_id: int, known: Mapping[str, Known]) -> list[Known]:
        """The documents of a source that the listing which has just ended did not name."""
        with self.catalog.read() as session:
            named = self.listed(session, source_id)
        return [one for key, one in sorted(of_source(known).items()) if key not in named]

    def listed(self, session: Session, source_id: int) -> set[str]:
        """What the last listing of everything has named so far."""
        return set(session.scalars(select(ListedRow.external_id).where(ListedRow.source_id == source_id)))

    def take_groups(
        self, source_id: int, groups: Mapping[Grantee, tuple[Grantee, ...]], notices: Iterable[Notice], fence: Fence
    ) -> None:
        """Let the groups be as the source tells them, with what it did not tell of them."""
        with self.catalog.write() as session:
            fence(session)
            mirror_groups(session, source_id, groups)
            _put_notices(session, source_id, "group", notices)

    def took_permissions(self, source_id: int, notices: Iterable[Notice], fence: Fence) -> None:
        """Note that everybody's rights are those of the source now."""
        with self.catalog.write() as session:
            fence(session)
            _put_notices(session, source_id, "permissions", notices)
            release(session, source_id)
            session.get_one(ConnectionRow, source_id).permissions_at = database_now(session)

    def note_refused(self, session: Session, source_id: int, notices: Iterable[Notice], anew: bool) -> None:
        """Keep what the source would not list; `anew` forgets what earlier listings kept."""
        if anew:
            _put_notices(session, source_id, "content", notices)
            return
        for notice in notices:
            session.merge(_notice_row(source_id, notice))

    def failed(self, source_id: int, problem: str, rights_unknown: bool) -> None:
        """Keep why a sync came to no end; with `rights_unknown` nobody reads the source until one does."""
        with self.catalog.write() as session:
            row = session.get(ConnectionRow, source_id)
            if row is None:
                return
            row.problem, row.problem_at = problem, database_now(session)
            if rights_unknown:
                hold_back(session, source_id)

    def hold_outdated_back(self, oldest: timedelta) -> list[int]:
        """Let nobody read sources whose permissions were last mirrored longer ago; returns those it was news for."""
        with self.catalog.read() as session:
            before = database_now(session) - oldest
            query = select(ConnectionRow.source_id).where(ConnectionRow.permissions_at < before)
            outdated = list(session.scalars(query))
        held = []
        for source_id in outdated:
            with self.catalog.write() as session:
                if hold_back(session, source_id):
                    held.append(source_id)
        return held

    def freshness(self, source_id: int) -> Freshness | None:
        """How current a source is; None for a folder."""
        with self.catalog.read() as session:
            row = session.get(ConnectionRow, source_id)
            if row is None:
                return None
            rows = session.scalars(
                select(NoticeRow).where(NoticeRow.source_id == source_id).order_by(NoticeRow.about, NoticeRow.subject)
            )
            notices = tuple(Notice(_about(one.about), one.subject, one.reason) for one in rows)
            return Freshness(
                row.kind, row.settings, row.secret, row.permissions_at, row.problem, row.problem_at, notices
            )


def _begin_anew(row: ConnectionRow) -> None:
    """The next page is the first of a listing, which forgets what an earlier one has named."""
    row.cursor, row.listing = None, False


def _connection(row: ConnectionRow, source: Source) -> Connection:
    return Connection(source.id, source.name, source.uri, row.kind, row.settings, row.secret, row.cursor, row.listing)


def _note_listed(session: Session, source_id: int, listed: Iterable[str]) -> None:
    names = list(dict.fromkeys(listed))
    for at in range(0, len(names), _SLICE):
        some = names[at : at + _SLICE]
        query = select(ListedRow.external_id).where(ListedRow.source_id == source_id, ListedRow.external_id.in_(some))
        before = set(session.scalars(query))
        session.add_all(ListedRow(source_id=source_id, external_id=name) for name in some if name not in before)
        session.flush()


def _put_notices(session: Session, source_id: int, about: About, notices: Iterable[Notice]) -> None:
    session.execute(delete(NoticeRow).where(NoticeRow.source_id == source_id, NoticeRow.about == about))
    session.flush()
    session.add_all(_notice_row(source_id, notice) for notice in {one.subject: one for one in notices}.values())


def _notice_row(source_id: int, notice: Notice) -> NoticeRow:
    return NoticeRow(source_id=source_id, about=notice.about, subject=notice.subject, reason=notice.reason)


def _about(word: str) -> About:
    return "content" if word == "content" else "permissions" if word == "permissions" else "group"
