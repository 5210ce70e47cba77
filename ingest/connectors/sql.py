"""SQL: the rows of any query that SQLAlchemy can ask, each a document, with its own lists of readers if it has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    RowMapping,
    Select,
    Subquery,
    Text,
    bindparam,
    case,
    cast,
    distinct,
    func,
    or_,
    select,
)
from sqlalchemy.types import NullType

from core.errors import NotFound, SourceRefused, UnreadableDocument, WrongUsage
from core.principals import LOCAL_ISSUER, Grantee, GranteeKind, parse_grantee
from governance.access.rules import Decision
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.protocol import Account, Group, Listed, Page
from ingest.connectors.setting_types import link_with
from ingest.connectors.sql_database import Database, read_url
from ingest.connectors.sql_records import Format, decided, file_name, rendered, web_address

MAX_DOCUMENT_BYTES = 100_000_000
CONTENTS_AT_ONCE, NAMES_AT_ONCE = 16, 1000
"""Rows in memory at a time: with their content, which may be as long as a document, and without."""
WESTERNMOST = timedelta(hours=12)
"""How far a local time can be behind UTC (UTC-12)."""
MILLISECONDS_FROM = 100_000_000_000
"""A number of seconds this large is a time some 3,000 years from now, so that it must be milliseconds."""


class SqlSettings(BaseModel):
    """Which database and which rows; the password is given apart."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str = Field(description="SQLAlchemy's address of the database, without a password.")
    query: str = Field(
        min_length=1,
        description="One SELECT that gives `id` and the content, and may give title, uri, updated, allow and deny.",
    )
    format: Format = Field("text", description="What the content is: text, markdown, html, or the bytes of a file.")
    content_column: str = Field("text", min_length=1, description="Name of the column that holds the content.")
    updated_column: str | None = Field(
        None, description="Name of a column that holds when a row last changed; then a sync reads only what is newer."
    )
    revision: Literal["content", "updated"] = Field(
        "content", description="What tells that a row has changed: its content, or updated_column alone, unread."
    )
    whole_every_s: int = Field(
        86_400, ge=0, description="With updated_column: how often everything is listed all the same, in seconds."
    )
    overlap_s: int = Field(
        600, ge=0, description="With updated_column: how far a sync reaches back beyond the one before, in seconds."
    )
    mirror_permissions: bool = Field(False, description="Whether `allow` and `deny` of a row decide who may read it.")
    groups_query: str | None = Field(
        None, description="A SELECT of group_id and member_id (principals), and perhaps name: who is in which group."
    )
    accounts_query: str | None = Field(
        None, description="A SELECT of user_id (a principal), and perhaps name and email: who the lists may name."
    )
    web_link: Annotated[str | None, link_with("id")] = Field(
        None, description="Where a person opens a row, with {id}, where it has no uri."
    )
    page_size: int = Field(200, ge=1, description="Rows in one page.")
    timeout_s: float = Field(
        300, gt=0, description="The longest that one question may take, in seconds (PostgreSQL, SQLite)."
    )

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        read_url(url)
        return url

    @model_validator(mode="after")
    def _fits(self) -> SqlSettings:
        if self.revision == "updated" and self.updated_column is None:
            raise ValueError("revision `updated` needs updated_column")
        if (self.groups_query or self.accounts_query) and not self.mirror_permissions:
            raise ValueError("groups_query and accounts_query need mirror_permissions")
        return self


class SqlCursor(Cursor):
    """A listing that was begun at a time, of everything or of what is newer than `since`, up to the id `after`."""

    begun: datetime
    whole_begun: datetime
    since: datetime | None = None
    after: int | str | None = None
    done: bool = False


def open_sql(
    settings: SqlSettings,
    secret: SecretStr | None,
    *,
    max_document_bytes: int = MAX_DOCUMENT_BYTES,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Sql:
    """The source; `secret` is the password of the address's user."""
    return Sql(settings, secret, max_document_bytes, now)


class Sql:
    """The rows of one query, paged by their ids, so that memory stays flat and any page can be gone on from.

    Everything is listed each time, for a table does not tell what was deleted. With `updated_column` only what is
    newer is, and everything as often as `whole_every_s` says.
    """

    def __init__(
        self,
        settings: SqlSettings,
        secret: SecretStr | None,
        max_document_bytes: int = MAX_DOCUMENT_BYTES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._limit, self._now = settings, max_document_bytes, now
        self._database = Database(read_url(settings.url), secret, settings.timeout_s)
        decides = ("url", "query", "format", "content_column", "updated_column", "revision", "mirror_permissions")
        self._of = fingerprint("sql", 1, *(getattr(settings, name) for name in decides))
        self._opened: Subquery | None = None

    def __repr__(self) -> str:
        return f"Sql({self._database.name!r})"

    @property
    def mirrors_permissions(self) -> bool:
        return self._settings.mirror_permissions

    def changes(self, cursor: str | None) -> Iterator[Page]:
        listing = self._begun(read_cursor(SqlCursor, cursor, self._of) if cursor is not None else None)
        table = self._table
        if listing.since is None:
            self._check_ids()
        newer = self._newer_than(listing.since) if listing.since is not None else None
        question, size = self._listing_question(newer), self._settings.page_size
        while not listing.done:
            found: list[Listed] = []
            refused: list[tuple[str, str]] = []
            taken, more = listing.after, False
            # One more than a page holds: whether it is there tells whether this one is the last.
            with closing(
                self._database.stream(_page(question, table.c.id, listing.after, size + 1), CONTENTS_AT_ONCE)
            ) as rows:
                for number, row in enumerate(rows):
                    if number == size:
                        more = True
                        break
                    taken = _identity(row)
                    name = str(taken)
                    if (reason := self._refusal(name, row)) is not None:
                        refused.append((name, reason))
                    else:
                        found.append(self._listed(name, row))
            listing = listing.model_copy(update={"after": taken} if more else {"after": None, "done": True})
            yield Page(
                listed=found, refused=refused, cursor=str(listing), whole=listing.since is None, last=listing.done
            )

    def fetch(self, document: Listed) -> bytes:
        table = self._table
        identity = json.loads(document.reference)
        question = select(*self._content(), self._column("title")).where(table.c.id == _value(identity))
        for row in self._database.rows(question.limit(1)):
            size = row["row_size"]
            if size is None:
                raise UnreadableDocument("empty", "Its row holds no content.")
            if row["row_content"] is None:
                raise UnreadableDocument(
                    "too_large", f"It is {size:,} bytes long and the limit is {self._limit:,} bytes; split it."
                )
            return self._rendered(row)
        raise NotFound("row", document.external_id)

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        if not self._settings.mirror_permissions:
            return
        table, after = self._table, None
        question = select(table.c.id.label("row_id"), self._column("allow"), self._column("deny"))
        while rows := self._database.rows(_page(question, table.c.id, after, self._settings.page_size)):
            yield [(str(_identity(row)), _decision(row)) for row in rows]
            after = _identity(rows[-1])

    def groups(self) -> Iterator[Group]:
        if self._settings.groups_query is None:
            return
        members: dict[Grantee, set[Grantee]] = {}
        names: dict[Grantee, str] = {}
        problems: dict[Grantee, str] = {}
        with closing(self._mirrored(self._settings.groups_query, "group_id", "member_id")) as rows:
            for row in rows:
                group = _grantee(row["group_id"], GranteeKind.GROUP)
                if group is None:
                    # No list can name it either.
                    continue
                if group.issuer == LOCAL_ISSUER:
                    raise SourceRefused("groups_query names a group of ours; write it as group:SYSTEM|ID.")
                names[group] = str(row.get("name") or "")
                known = members.setdefault(group, set())
                if row["member_id"] is not None:
                    member = _grantee(row["member_id"], GranteeKind.USER, GranteeKind.GROUP)
                    if member is None:
                        problems[group] = "one of its members is no principal"
                    else:
                        known.add(member)
        for group, known in members.items():
            yield Group(group, tuple(sorted(known)), names[group], problems.get(group))

    def accounts(self) -> Iterator[Account]:
        if self._settings.accounts_query is None:
            return
        with closing(self._mirrored(self._settings.accounts_query, "user_id")) as rows:
            for row in rows:
                user = _grantee(row["user_id"], GranteeKind.USER)
                if user is not None:
                    yield Account(user, str(row.get("name") or ""), str(row.get("email") or ""))

    def close(self) -> None:
        self._database.close()

    @property
    def _table(self) -> Subquery:
        if self._opened is None:
            table, settings = self._database.table(self._settings.query), self._settings
            needed = ["id", settings.content_column, *filter(None, [settings.updated_column])]
            if settings.mirror_permissions:
                needed.append("allow")
            elif {"allow", "deny"} & set(table.c.keys()):
                # Whoever wrote them meant them to hold.
                raise SourceRefused(
                    "The query gives `allow` or `deny`, and mirror_permissions is off; turn it on, or leave them out."
                )
            _need(table, needed)
            self._opened = table
        return self._opened

    def _begun(self, cursor: SqlCursor | None) -> SqlCursor:
        """The listing to go on with, or the one that begins now."""
        now = self._now()
        if cursor is not None and not cursor.done:
            return cursor
        if cursor is not None and self._settings.updated_column is not None:
            since_whole = (now - cursor.whole_begun).total_seconds()
            # A clock that was set back is no reason to trust what it said.
            if cursor.begun <= now and since_whole < self._settings.whole_every_s:
                return SqlCursor(of=self._of, begun=now, whole_begun=cursor.whole_begun, since=cursor.begun)
        return SqlCursor(of=self._of, begun=now, whole_begun=now)

    def _check_ids(self) -> None:
        """Refuse rows without an id and ids that two rows share: one of them would take the other's place."""
        identity = self._table.c.id
        counts = select(
            func.count().label("every"),
            func.count(identity).label("named"),
            func.count(distinct(identity)).label("ids"),
        ).select_from(self._table)
        (row,) = self._database.rows(counts)
        if row["every"] != row["named"]:
            raise SourceRefused(f"The query gives {row['every'] - row['named']:,} rows without an id; leave them out.")
        if row["named"] != row["ids"]:
            raise SourceRefused(
                f"The query gives {row['named'] - row['ids']:,} rows with the id of another; give each its own."
            )

    def _newer_than(self, since: datetime) -> ColumnElement[bool] | None:
        """What a row has to meet to be newer, in the column's own way to write times; None while no row has any."""
        updated = self._table.c[self._settings.updated_column or ""]
        samples = self._database.rows(select(updated.label("sample")).where(updated.is_not(None)).limit(1))
        if not samples:
            return None
        mark = _mark(samples[0]["sample"], since - timedelta(seconds=self._settings.overlap_s))
        return or_(updated >= _value(mark), updated.is_(None))

    def _listing_question(self, newer: ColumnElement[bool] | None) -> Select[*tuple[Any, ...]]:
        settings, table = self._settings, self._table
        columns: list[ColumnElement[Any]] = [table.c.id.label("row_id"), self._column("title"), self._column("uri")]
        if settings.revision == "content":
            columns += self._content()
        if settings.updated_column is not None:
            columns.append(table.c[settings.updated_column].label("row_updated"))
        if settings.mirror_permissions:
            columns += [self._column("allow"), self._column("deny")]
        question = select(*columns)
        return question if newer is None else question.where(newer)

    def _column(self, name: str) -> ColumnElement[Any]:
        """A column that the query may give, else nothing in its place."""
        column = self._table.c.get(name)
        return (column if column is not None else cast(None, Text)).label(f"row_{name}")

    def _content(self) -> list[ColumnElement[Any]]:
        """The content, left in the database where it is beyond the limit, and its size."""
        content: ColumnElement[Any] = self._table.c[self._settings.content_column]
        if self._settings.format != "file":
            content = cast(content, Text)
        size: ColumnElement[int]
        if self._database.dialect == "postgresql":
            size = func.octet_length(content)
        elif self._database.dialect == "sqlite":
            size = func.length(cast(content, LargeBinary))
        else:
            size = func.char_length(content)
        return [size.label("row_size"), case((size <= self._limit, content), else_=None).label("row_content")]

    def _refusal(self, name: str, row: RowMapping) -> str | None:
        if not name.strip():
            return "its id is empty"
        if self._settings.revision == "updated" and row["row_updated"] is None:
            return "its row does not say when it last changed"
        return None

    def _listed(self, name: str, row: RowMapping) -> Listed:
        settings = self._settings
        title = str(row["row_title"] or "")
        if settings.revision == "updated":
            revision = str(row["row_updated"])
        elif row["row_content"] is None:
            revision = f"{row['row_size']} bytes"
        else:
            revision = hashlib.sha256(self._rendered(row)).hexdigest()
        link = settings.web_link.format(id=quote(name, safe="")) if settings.web_link else None
        return Listed(
            external_id=name,
            name=file_name(settings.format, title, name),
            uri=web_address(row["row_uri"]) or link or f"{self._database.name}#{quote(name)}",
            revision=revision,
            access=_decision(row) if settings.mirror_permissions else None,
            reference=json.dumps(_identity(row)),
            hashed=settings.revision == "content" and row["row_content"] is not None,
        )

    def _rendered(self, row: RowMapping) -> bytes:
        content = row["row_content"]
        if isinstance(content, memoryview | bytearray):
            content = bytes(content)
        return rendered(self._settings.format, str(row["row_title"] or ""), content)

    def _mirrored(self, query: str, *needed: str) -> Generator[RowMapping]:
        table = self._database.table(query)
        _need(table, needed)
        return self._database.stream(select(table), NAMES_AT_ONCE)


def _page(
    question: Select[*tuple[Any, ...]], identity: ColumnElement[Any], after: int | str | None, size: int
) -> Select[*tuple[Any, ...]]:
    if after is not None:
        question = question.where(identity > _value(after))
    return question.order_by(identity).limit(size)


def _value(value: object) -> ColumnElement[Any]:
    """A value whose kind the column it is compared with decides (a uuid is written as text, say)."""
    return bindparam(None, value, type_=NullType())


def _need(table: Subquery, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table.c]
    if missing:
        raise SourceRefused(f"The query gives no column {' and no column '.join(missing)}; name them with AS.")


def _identity(row: RowMapping) -> int | str:
    identity = row["row_id"]
    if isinstance(identity, UUID | Decimal):
        return str(identity)
    if isinstance(identity, bool) or not isinstance(identity, int | str):
        raise SourceRefused(
            f"The column id holds a {type(identity).__name__}; it has to be a whole number, text or uuid."
        )
    return identity


def _decision(row: RowMapping) -> Decision:
    return decided(row["row_allow"], row["row_deny"])


def _grantee(written: object, *kinds: GranteeKind) -> Grantee | None:
    try:
        grantee = parse_grantee(written) if isinstance(written, str) else None
    except WrongUsage:
        return None
    return grantee if grantee is not None and grantee.kind in kinds else None


def _mark(sample: object, moment: datetime) -> object:
    """A moment as a column writes its times, early rather than late where that leaves the time zone open.

    Raises `SourceRefused` for a column that holds no times.
    """
    early = (moment.astimezone(UTC) - WESTERNMOST).replace(tzinfo=None)
    if isinstance(sample, datetime):
        return moment if sample.tzinfo is not None else early
    if isinstance(sample, date):
        return early.date()
    if isinstance(sample, int | float | Decimal) and not isinstance(sample, bool):
        return int(moment.timestamp() * (1000 if sample >= MILLISECONDS_FROM else 1))
    if isinstance(sample, str):
        try:
            datetime.fromisoformat(sample)
        except ValueError:
            pass
        else:
            return early.isoformat(sample[10:11] or "T", "seconds")[: len(sample)]
    raise SourceRefused(
        "updated_column holds no times: neither a timestamp, nor one written as in ISO 8601, nor seconds."
    )
