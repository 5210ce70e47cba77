"""The tables of the catalog, except the one that holds text (see `catalog.texts`).

Ids of documents are random, so that they tell nothing about their neighbours; ids of chunks are numbers that are
never used twice, because indexes outlive the rows they name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.places import address_steps, place_key, steps_of

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite only counts an INTEGER primary key by itself; PostgreSQL wants eight bytes.
RowId = BigInteger().with_variant(Integer, "sqlite")


class UtcTime(TypeDecorator[datetime]):
    """A moment, kept in UTC and given back aware of it (SQLite itself forgets the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return (value if value.tzinfo else value.replace(tzinfo=UTC)) if value else None


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Epoch(Base):
    """One row: a number that grows in the transaction of every change to access, groups or documents."""

    __tablename__ = "epoch"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    value: Mapped[int] = mapped_column(BigInteger)


class GranteeRow(Base):
    """Somebody an access list can name.

    `defined` once an administrator or a directory has said who it is; a person who is not `active` reads nothing.
    """

    __tablename__ = "grantees"
    __table_args__ = (UniqueConstraint("kind", "issuer", "subject"),)
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(255), default="")
    defined: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)


class Membership(Base):
    """`member` belongs to `group`; a member may be a group."""

    __tablename__ = "memberships"
    group_id: Mapped[int] = mapped_column(ForeignKey("grantees.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("grantees.id"), primary_key=True, index=True)


class AccessSet(Base):
    """One distinct pair of allow and deny lists; documents share it by id."""

    __tablename__ = "access_sets"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)


class AccessEntry(Base):
    __tablename__ = "access_entries"
    __table_args__ = (CheckConstraint("effect IN ('allow', 'deny')", name="effect"),)
    access_set_id: Mapped[int] = mapped_column(ForeignKey("access_sets.id"), primary_key=True)
    grantee_id: Mapped[int] = mapped_column(ForeignKey("grantees.id"), primary_key=True, index=True)
    effect: Mapped[str] = mapped_column(String(5), primary_key=True)


class Source(Base):
    """Where documents come from; `allow` and `access_file` are what its last ingest was told to apply.

    `content_at` is when everything that it had was last known here, on its way in or in.
    """

    __tablename__ = "sources"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(1024), unique=True)
    uri: Mapped[str] = mapped_column(Text)
    allow: Mapped[list[str]] = mapped_column(JSON, default=list)
    access_file: Mapped[str | None] = mapped_column(Text)
    content_at: Mapped[datetime | None] = mapped_column(UtcTime)
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


class Document(Base):
    """One document of a source, at its current version.

    `source_set_id` is what the source's rules say, `access_set_id` what holds once grants are laid over it.
    `place_key` and `address_key` follow `external_id` and `uri`: by them what leads there is found (`core.places`).
    `content_hash` and `parser` are of the last bytes looked at, so an unchanged document costs one hash; `revision` is
    the source's own word for them, so that there it costs not even that. `name` is the file name the source gave.
    """

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("source_id", "external_id"),
        CheckConstraint("state IN ('pending', 'ready', 'failed', 'deleted')", name="state"),
    )
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    external_id: Mapped[str] = mapped_column(Text)
    uri: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text, default="")
    media_type: Mapped[str] = mapped_column(String(127), default="")
    language: Mapped[str] = mapped_column(String(8), default="")
    state: Mapped[str] = mapped_column(String(8), default="pending")
    version: Mapped[int] = mapped_column(Integer, default=0)
    version_id: Mapped[int | None] = mapped_column(RowId, index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    content_hash: Mapped[str] = mapped_column(String(64), default="", index=True)
    parser: Mapped[str] = mapped_column(String(64), default="")
    place_key: Mapped[str | None] = mapped_column(Text, index=True)
    address_key: Mapped[str | None] = mapped_column(Text, index=True)
    name: Mapped[str] = mapped_column(Text, default="", server_default="")
    revision: Mapped[str] = mapped_column(Text, default="", server_default="")
    rule: Mapped[str] = mapped_column(Text, default="")
    source_set_id: Mapped[int] = mapped_column(ForeignKey("access_sets.id"))
    access_set_id: Mapped[int] = mapped_column(ForeignKey("access_sets.id"), index=True)
    failure_verdict: Mapped[str | None] = mapped_column(String(16))
    failure_cause: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcTime, default=now)
    changed_epoch: Mapped[int] = mapped_column(BigInteger, default=0, index=True)


def _note_places(mapper: Any, connection: Any, document: Document) -> None:
    document.place_key = place_key(steps_of(document.external_id))
    document.address_key = place_key(address_steps(document.uri))


# Whoever gives a document another place need not think of the keys.
event.listen(Document, "before_insert", _note_places)
event.listen(Document, "before_update", _note_places)


class Grant(Base):
    """A grant or a revocation by hand: a layer above the source's rules that survives re-ingestion."""

    __tablename__ = "grants"
    __table_args__ = (CheckConstraint("effect IN ('allow', 'deny')", name="effect"),)
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id"), primary_key=True)
    grantee_id: Mapped[int] = mapped_column(ForeignKey("grantees.id"), primary_key=True)
    effect: Mapped[str] = mapped_column(String(5))
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


class DocumentVersion(Base):
    """One content of a document; its text stands in `catalog.texts`, its bytes in the blob named by the hash.

    A version above its document's number is being brought in: no reader sees it yet. `replaced_set_id` is the access
    set it was read under before the source's rules changed, or before it was replaced: what has been taken out of a
    document is not shown to whoever the rules let in later.
    """

    __tablename__ = "document_versions"
    __table_args__ = (UniqueConstraint("document_id", "number"),)
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id"), index=True)
    number: Mapped[int] = mapped_column(Integer)
    content_hash: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(Text)
    replaced_set_id: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


class ChunkRow(Base):
    """A span of one version's text, and the key of its vector."""

    __tablename__ = "chunks"
    __table_args__ = (UniqueConstraint("version_id", "ordinal"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("document_versions.id"))
    ordinal: Mapped[int] = mapped_column(Integer)
    start: Mapped[int] = mapped_column(Integer)
    end: Mapped[int] = mapped_column(Integer)
    heading: Mapped[list[str]] = mapped_column(JSON)
    header: Mapped[str] = mapped_column(Text, default="")
    page: Mapped[int | None] = mapped_column(Integer)
    language: Mapped[str] = mapped_column(String(8))
    vector_hash: Mapped[str] = mapped_column(String(64), index=True)


class Vector(Base):
    """fp16 little-endian components by what was embedded and what embedded it."""

    __tablename__ = "vectors"
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(128), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class ApiKey(Base):
    """A credential: only the hash of its secret is kept. It speaks for one person, or administers."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255))
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)
    expires_at: Mapped[datetime | None] = mapped_column(UtcTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTime)


class WebSession(Base):
    """A browser's sign-in: the hash of its cookie, and the key it was exchanged for."""

    __tablename__ = "web_sessions"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    csrf: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(UtcTime)


Index("ix_documents_source_hash", Document.source_id, Document.content_hash)
