"""The two doors to document text. Nobody else may name the table that holds it.

`Gate` hands text to a principal, decides access in the very statement that reads it, and masks what their policy does
not show. `maintenance` hands it to
the machinery (ingestion, index building, evaluation, erasure), which shows it to nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BindParameter,
    Row,
    Select,
    String,
    and_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from catalog.database import Catalog
from catalog.links import LinkRow
from catalog.models import ChunkRow, Document, DocumentVersion, Source
from catalog.sensitive import SensitiveScanRow
from catalog.texts import VersionText
from core.answers import Passage
from core.documents import Chunk
from core.errors import NotFound
from core.principals import Principal
from governance.access.membership import asking
from governance.access.sets import READABLE_SETS
from governance.redaction import (
    LEVEL_HELD,
    TOUCHED,
    Marks,
    forget_spans,
    policy_at,
    policy_of,
    spans_of_chunks,
    spans_of_version,
    store_spans,
)
from governance.safety.sensitive import DETECTOR, Policy, Span, mask
from governance.searchable import UNSEARCHABLE, about_text, names, searchable_text

MaintenanceReason = Literal["ingestion", "index building", "evaluation", "erasure"]
_SLICE = 500

# Of places that so many documents have in their last two steps none is looked for among more of them.
_MOST_PLACED = 2_000


@dataclass(frozen=True)
class DocumentView:
    """One document's record, as listed; it holds no text."""

    document_id: str
    source: str
    external_id: str
    uri: str
    title: str
    media_type: str
    language: str
    version: int
    chunks: int
    state: str
    updated: datetime
    content_hash: str
    failure_verdict: str | None
    failure_cause: str | None


@dataclass(frozen=True)
class LinkView:
    """One link of a chunk, and where the document that has it stands."""

    row: int
    number: int
    target: str
    source_id: int
    external_id: str
    uri: str


@dataclass(frozen=True)
class PlacedDocument:
    """Where a document stands."""

    document_id: str
    source_id: int
    external_id: str
    uri: str


@dataclass(frozen=True)
class Gate:
    """Text for a principal: what they may read at this moment, and nothing else.

    A document is readable if it is not deleted and its access set is one of `READABLE_SETS`; denied and absent look
    the same. Every call is a transaction of its own, so a change committed before it is honoured. Text, titles and
    headings come masked by the principal's policy, of the same length; `redaction` is that of people without one.
    """

    catalog: Catalog
    redaction: Policy = "standard"

    def passages(self, principal: Principal, rows: Sequence[int]) -> list[Passage]:
        """The readable ones of these catalog rows, in the order given, at their documents' current versions."""
        found: dict[int, Passage] = {}
        for at in range(0, len(rows), _SLICE):
            some = list(rows[at : at + _SLICE])
            with self.catalog.read() as session:
                records = session.execute(_PASSAGES, {"rows": some, **asking(principal)}).all()
                marks = self._marks(session, records, some)
            found.update((record.row, _passage(record, marks)) for record in records)
        return [found[row] for row in rows if row in found]

    def readable(self, principal: Principal, rows: Sequence[int]) -> int:
        """How many of these catalog rows the principal may read at this moment: as `passages`, without the text."""
        with self.catalog.read() as session:
            return sum(
                session.scalars(_COUNTED, {"rows": list(rows[at : at + _SLICE]), **asking(principal)}).one()
                for at in range(0, len(rows), _SLICE)
            )

    def document(self, principal: Principal, document_id: str) -> DocumentView:
        """The record of one readable document; raises `NotFound`."""
        views = self.documents(principal, document_id)
        if not views:
            raise NotFound("document", document_id)
        return views[0]

    def documents(self, principal: Principal, document_id: str | None = None) -> list[DocumentView]:
        """The records of every readable document (or of the one named), by source and external id."""
        with self.catalog.read() as session:
            query = document_records().where(_READABLE)
            if document_id is not None:
                if not _lets_in(session, principal, document_id):
                    return []
                query = query.where(Document.id == document_id)
            views = [document_view(record) for record in session.execute(query, asking(principal))]
            marks = Marks(policy_of(session, principal, self.redaction), {}, {})
        return [replace(view, title=marks.line(view.title)) for view in views]

    def text(self, principal: Principal, document_id: str, version: int | None = None) -> tuple[DocumentView, str]:
        """One readable document's record and its whole stored text; raises `NotFound`.

        An earlier version is for who may read the document now and could read that version under the rules it came
        with: what was taken out of a document is not shown to whoever was let in later.
        """
        query = (
            document_records()
            .add_columns(
                VersionText.text,
                VersionText.version_id,
                SensitiveScanRow.detector,
                DocumentVersion.number.label("shown"),
                DocumentVersion.title.label("shown_title"),
            )
            .join(DocumentVersion, DocumentVersion.document_id == Document.id)
            .join(VersionText, VersionText.version_id == DocumentVersion.id)
            .outerjoin(SensitiveScanRow, SensitiveScanRow.version_id == DocumentVersion.id)
            .where(Document.id == document_id, _READABLE)
        )
        if version is None:
            query = query.where(DocumentVersion.id == Document.version_id)
        else:
            then = or_(DocumentVersion.id == Document.version_id, DocumentVersion.replaced_set_id.in_(READABLE_SETS))
            query = query.where(DocumentVersion.number == version, then)
        with self.catalog.read() as session:
            asked = _lets_in(session, principal, document_id)
            record = session.execute(query, asking(principal)).one_or_none() if asked else None
            if record is None:
                raise NotFound("document", document_id)
            policy = policy_of(session, principal, self.redaction)
            spans = spans_of_version(session, record.version_id)
            marks = Marks(policy, spans, _unseen(session, [record]))
        view = replace(document_view(record), version=record.shown, title=marks.line(record.shown_title))
        return view, marks.text(record.version_id, record.text)

    def content_name(self, principal: Principal, document_id: str) -> tuple[DocumentView, str]:
        """One readable document's record and the hash that names its bytes; raises `NotFound`."""
        query = (
            document_records()
            .add_columns(DocumentVersion.content_hash.label("name"))
            .join(DocumentVersion, DocumentVersion.id == Document.version_id)
            .where(Document.id == document_id, _READABLE)
        )
        with self.catalog.read() as session:
            asked = _lets_in(session, principal, document_id)
            record = session.execute(query, asking(principal)).one_or_none() if asked else None
        if record is None:
            raise NotFound("document", document_id)
        return document_view(record), record.name

    def links(self, principal: Principal, links: Collection[tuple[int, int]]) -> list[LinkView]:
        """Where those of these links (catalog row and number) lead that readable documents have; no text."""
        with self.catalog.read() as session:
            asked = {"rows": [row for row, _ in links], "links": list(links)}
            records = session.execute(_LINKS, {**asked, **asking(principal)}).all()
        return [LinkView(**record._mapping) for record in records]

    def placed(self, principal: Principal, keys: Collection[str]) -> list[PlacedDocument]:
        """The readable documents whose place or address has one of these keys (see `core.places.place_key`)."""
        with self.catalog.read() as session:
            records = session.execute(_PLACED, {"keys": list(keys), **asking(principal)}).all()
        return [PlacedDocument(**record._mapping) for record in records]

    def policy(self, principal: Principal) -> Policy:
        """What is masked for this principal now."""
        with self.catalog.read() as session:
            return policy_of(session, principal, self.redaction)

    def _marks(self, session: Session, records: Sequence[Row[*tuple[Any, ...]]], rows: Sequence[int]) -> Marks:
        """What is to be masked in `records` of `_PASSAGES`, which are about `rows`."""
        policy = policy_at(records[0].level, self.redaction) if records else "strict"
        if policy == "open":
            return Marks(policy, {}, {})
        spans = spans_of_chunks(session, rows) if any(record.touched for record in records) else {}
        return Marks(policy, spans, _unseen(session, records))


def document_records() -> Select[*tuple[Any, ...]]:
    """Records of documents that are not deleted, for `document_view`; add who may see them before running it."""
    chunks = (
        select(func.count()).select_from(ChunkRow).where(ChunkRow.version_id == Document.version_id).scalar_subquery()
    )
    return (
        select(Document, Source.name.label("source"), chunks.label("chunks"))
        .join(Source, Source.id == Document.source_id)
        .where(Document.state != "deleted")
        .order_by(Source.name, Document.external_id)
    )


def document_view(record: Row[*tuple[Any, ...]]) -> DocumentView:
    """One row of `document_records`."""
    document: Document = record.Document
    return DocumentView(
        document_id=document.id,
        source=record.source,
        external_id=document.external_id,
        uri=document.uri,
        title=document.title,
        media_type=document.media_type,
        language=document.language,
        version=document.version,
        chunks=record.chunks,
        state=document.state,
        updated=document.updated_at,
        content_hash=document.content_hash,
        failure_verdict=document.failure_verdict,
        failure_cause=document.failure_cause,
    )


def maintenance(catalog: Catalog, reason: MaintenanceReason) -> Maintenance:
    """The door without a principal, for work that shows text to nobody; `reason` says which."""
    return Maintenance(catalog, reason)


@dataclass(frozen=True)
class EmbeddedChunk:
    """One chunk as encoders and indexes read it."""

    row: int
    text: str
    about: str
    names: tuple[str, ...]
    language: str
    access_set_id: int
    vector_hash: str
    links: tuple[str, ...]


@dataclass(frozen=True)
class Maintenance:
    """Reads and writes text for the machinery. Import-linter holds who may reach for it."""

    catalog: Catalog
    reason: MaintenanceReason

    def store(self, session: Session, version_id: int, text: str, sensitive: Sequence[Span]) -> None:
        """Keep the clean text of a version and what is sensitive in it, within the caller's writing transaction."""
        session.add(VersionText(version_id=version_id, text=text))
        store_spans(session, version_id, sensitive)

    def forget(self, session: Session, version_ids: Sequence[int]) -> None:
        """Remove the texts of these versions, within the caller's writing transaction."""
        forget_spans(session, version_ids)
        session.execute(delete(VersionText).where(VersionText.version_id.in_(version_ids)))

    def chunks(self, rows: Sequence[int]) -> Iterator[EmbeddedChunk]:
        """What is embedded for each of these rows, whatever their version; rows that are gone are left out."""
        for at in range(0, len(rows), _SLICE):
            some = rows[at : at + _SLICE]
            with self.catalog.read() as session:
                records = session.execute(_embedded(some)).all()
                marks = Marks(UNSEARCHABLE, spans_of_chunks(session, some), _unseen(session, records))
                links = _spans_of_links(session, some)
            for record in records:
                yield _embedded_chunk(record, marks, links.get(record.ChunkRow.id, ()))

    def unseen(self) -> list[int]:
        """The versions that the detectors of this program have not looked at, in the order they came."""
        query = (
            select(VersionText.version_id)
            .outerjoin(SensitiveScanRow, SensitiveScanRow.version_id == VersionText.version_id)
            .where(SensitiveScanRow.detector.is_distinct_from(DETECTOR))
            .order_by(VersionText.version_id)
        )
        with self.catalog.read() as session:
            return list(session.scalars(query))

    def text(self, version_id: int) -> str | None:
        """The clean text of a version, nothing of it masked; None if it was forgotten."""
        with self.catalog.read() as session:
            return session.scalar(select(VersionText.text).where(VersionText.version_id == version_id))


_READABLE = Document.access_set_id.in_(READABLE_SETS)

_ASKED = select(cast(bindparam("asked", type_=String), String).label("id")).subquery("asked")
_LETS_IN = (
    select(_ASKED.c.id)
    .outerjoin(Document, and_(Document.id == _ASKED.c.id, Document.state != "deleted"))
    .where(func.coalesce(Document.access_set_id, 0).in_(READABLE_SETS))
)


def _lets_in(session: Session, principal: Principal, document_id: str) -> bool:
    """Whether somebody may read a document.

    Where there is none, what they may read is looked up all the same: in the statements that read, a database would
    do so only for a document that it has found, and the time would tell what is hidden from what is not there.
    """
    return session.connection().execute(_LETS_IN, {"asked": document_id, **asking(principal)}).first() is not None


_SPAN = func.substr(VersionText.text, ChunkRow.start + 1, ChunkRow.end - ChunkRow.start).label("text")

# Columns and not entities, and built once: a search waits for this statement. A deleted document has no current
# version, so the join with it leaves out what was deleted and what was replaced alike.
_PASSAGES = (
    select(
        ChunkRow.id.label("row"),
        ChunkRow.version_id,
        ChunkRow.ordinal,
        ChunkRow.heading,
        ChunkRow.page,
        ChunkRow.start,
        ChunkRow.end,
        ChunkRow.language,
        Document.id.label("document_id"),
        Document.version,
        Document.external_id,
        Document.uri,
        Document.title,
        Source.name.label("source"),
        SensitiveScanRow.detector,
        TOUCHED.label("touched"),
        LEVEL_HELD.label("level"),
        _SPAN,
    )
    .outerjoin(SensitiveScanRow, SensitiveScanRow.version_id == ChunkRow.version_id)
    .join(Document, Document.version_id == ChunkRow.version_id)
    .join(VersionText, VersionText.version_id == ChunkRow.version_id)
    .join(Source, Source.id == Document.source_id)
    .where(ChunkRow.id.in_(bindparam("rows", expanding=True)), _READABLE)
)

_LINKS = (
    select(
        LinkRow.chunk_id.label("row"),
        LinkRow.number,
        LinkRow.target,
        Document.source_id,
        Document.external_id,
        Document.uri,
    )
    .join(ChunkRow, ChunkRow.id == LinkRow.chunk_id)
    .join(Document, Document.version_id == ChunkRow.version_id)
    # The first condition is what SQLite has an index for.
    .where(LinkRow.chunk_id.in_(bindparam("rows", expanding=True)))
    .where(tuple_(LinkRow.chunk_id, LinkRow.number).in_(bindparam("links", expanding=True)), _READABLE)
)

_KEYS: BindParameter[Sequence[str]] = bindparam("keys", expanding=True)
_THERE = select(literal(1).label("one")).subquery("there")
_PLACED = (
    select(Document.id.label("document_id"), Document.source_id, Document.external_id, Document.uri)
    .select_from(_THERE)
    # Where nothing stands, what the asker may read is looked up all the same, as in `_LETS_IN`: anybody can write a
    # link to a place that they guess.
    .outerjoin(
        Document,
        and_(or_(Document.place_key.in_(_KEYS), Document.address_key.in_(_KEYS)), Document.version_id.is_not(None)),
    )
    .where(func.coalesce(Document.access_set_id, 0).in_(READABLE_SETS))
    .order_by(Document.id)
    .limit(_MOST_PLACED)
)

_COUNTED = (
    select(func.count())
    .select_from(ChunkRow)
    .join(Document, Document.version_id == ChunkRow.version_id)
    .where(ChunkRow.id.in_(bindparam("rows", expanding=True)), _READABLE)
)


def _unseen(session: Session, records: Sequence[Row[*tuple[Any, ...]]]) -> dict[int, str]:
    """The whole texts of those versions that the detectors of this program have not looked at."""
    versions = {record.version_id for record in records if record.detector != DETECTOR}
    if not versions:
        return {}
    query = select(VersionText.version_id, VersionText.text).where(VersionText.version_id.in_(versions))
    return {row.version_id: row.text for row in session.execute(query)}


def _passage(record: Row[*tuple[Any, ...]], marks: Marks) -> Passage:
    masked = marks.within(record.version_id, record.start, record.end)
    return Passage(
        row=record.row,
        chunk_id=f"{record.document_id}:{record.version}:{record.ordinal}",
        document_id=record.document_id,
        version=record.version,
        source=record.source,
        external_id=record.external_id,
        uri=record.uri,
        title=marks.line(record.title),
        heading=tuple(map(marks.line, record.heading)),
        page=record.page,
        start=record.start,
        end=record.end,
        text=mask(record.text, masked, record.start),
        language=record.language,
        masked=masked,
    )


def _embedded(rows: Sequence[int]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            ChunkRow,
            ChunkRow.version_id,
            DocumentVersion.title,
            Document.access_set_id,
            Document.external_id,
            Document.name,
            SensitiveScanRow.detector,
            _SPAN,
        )
        .outerjoin(SensitiveScanRow, SensitiveScanRow.version_id == ChunkRow.version_id)
        .join(DocumentVersion, DocumentVersion.id == ChunkRow.version_id)
        .join(Document, Document.id == DocumentVersion.document_id)
        .join(VersionText, VersionText.version_id == ChunkRow.version_id)
        .where(ChunkRow.id.in_(rows))
        .order_by(ChunkRow.id)
    )


def _place(external_id: str, name: str) -> str:
    """What says where a document stands: its path or address, or where its source has neither its file's name."""
    return external_id if "/" in external_id or not name else name


def _spans_of_links(session: Session, rows: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """Where in their versions' texts the links of these chunks stand."""
    query = select(LinkRow.chunk_id, LinkRow.start, LinkRow.end).where(LinkRow.chunk_id.in_(rows))
    found: dict[int, list[tuple[int, int]]] = {}
    for row, start, end in session.execute(query.order_by(LinkRow.chunk_id, LinkRow.number)):
        found.setdefault(row, []).append((start, end))
    return found


def _embedded_chunk(record: Row[*tuple[Any, ...]], marks: Marks, links: Iterable[tuple[int, int]]) -> EmbeddedChunk:
    row: ChunkRow = record.ChunkRow
    chunk = Chunk(row.ordinal, row.start, row.end, tuple(row.heading), row.page, row.header)
    place = _place(record.external_id, record.name)
    text = marks.text(row.version_id, record.text, row.start)
    return EmbeddedChunk(
        row=row.id,
        text=searchable_text(record.title, chunk, text),
        about=about_text(record.title, chunk.heading, place),
        names=names(record.title, place),
        language=row.language,
        access_set_id=record.access_set_id,
        vector_hash=row.vector_hash,
        links=tuple(text[start - row.start : end - row.start] for start, end in links),
    )
