"""What the catalog knows of a source's documents, and the short transactions that change it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, delete, false, insert, or_, select, true, update
from sqlalchemy.orm import Session

from catalog.database import Catalog, bump_epoch
from catalog.job_queue import database_now
from catalog.jobs import ArrivalRow
from catalog.models import AccessSet, ChunkRow, Document, DocumentVersion, Grant, Source, Vector
from core.attachments import carrier, placed_under
from core.documents import Chunk, Link
from core.errors import Conflict, UnreadableDocument
from core.principals import Grantee, parse_grantee
from governance.access.rules import AccessLists, Decision
from governance.access.sets import carried_by, effective_set, intern_lists, lists_of, narrower
from governance.doors import maintenance
from governance.labels import forget_labels
from governance.near_duplicates import forget_signatures, store_signatures
from governance.safety.sensitive import Span
from governance.searchable import searchable_texts
from ingest.linking import forget_links, store_links

_SLICE = 200

Fence = Callable[[Session], None]
"""Called in each writing transaction; raises `LeaseLost` where the writer may no longer write."""


def no_fence(session: Session) -> None:
    """Nobody can take the work over: it is done in the process that was asked for it."""


@dataclass(frozen=True)
class Known:
    """A document as the catalog has it before a run."""

    document_id: str
    external_id: str
    uri: str
    content_hash: str
    parser: str
    state: str
    media_type: str
    failure_verdict: str | None
    failure_cause: str | None
    rule: str
    access_digest: str
    name: str = ""
    revision: str = ""


@dataclass(frozen=True)
class Prepared:
    """A document that has been parsed and cut: everything that is stored of it but its vectors."""

    external_id: str
    uri: str
    decision: Decision
    content_hash: str
    parser: str
    size_bytes: int
    title: str
    media_type: str
    language: str
    text: str
    chunks: tuple[Chunk, ...]
    chunk_languages: tuple[str, ...]
    vector_hashes: tuple[str, ...]
    sensitive: tuple[Span, ...]
    name: str = ""
    revision: str = ""
    unread: str = ""
    signature: bytes = b""
    links: tuple[Link, ...] = ()

    def embedded(self) -> dict[str, str]:
        """What is embedded and indexed of its chunks, by the key of the vector."""
        texts = searchable_texts(self.title, self.chunks, self.text, self.sensitive)
        return dict(zip(self.vector_hashes, texts, strict=True))


@dataclass(frozen=True)
class Staged:
    """A version written beside the current one, which no reader sees until `Ledger.publish`."""

    document_id: str
    version_id: int
    rows: tuple[int, ...]
    locality: int
    prepared: Prepared


@dataclass(frozen=True)
class Narrowed:
    """What narrowing has come to: the ids of the documents whose readers are others now, and what is still to hold.

    `waiting` has, by external id, the decisions that let somebody in anew, and hold once the content is known.
    """

    changed: set[str] = field(default_factory=set)
    waiting: dict[str, Decision] = field(default_factory=dict)


class Ledger:
    """The documents of one source. Every method is one short transaction; what it writes, it writes behind `fence`."""

    def __init__(self, catalog: Catalog, source: str, uri: str, fence: Fence = no_fence) -> None:
        self._catalog, self.fence = catalog, fence
        self._source, self._uri = source, uri
        self._texts = maintenance(catalog, "ingestion")

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A writing transaction behind the fence, for what has to change with the source's documents."""
        with self._catalog.write() as session:
            self.fence(session)
            yield session

    @contextmanager
    def _changing(self) -> Iterator[tuple[Session, int]]:
        """A transaction that changes what readers see, behind the fence, and its epoch.

        The epoch comes first: whoever supersedes a job holds the epoch when it takes the job's row, and in the other
        order each would wait for the other.
        """
        with self._catalog.write() as session:
            epoch = bump_epoch(session)
            self.fence(session)
            yield session, epoch

    def remembered(self) -> tuple[list[Grantee], str | None]:
        """The `--allow` and `--access` of the source's last ingest; nothing for a new source."""
        with self._catalog.read() as session:
            row = session.scalar(select(Source).where(Source.name == self._source))
            return ([parse_grantee(name) for name in row.allow], row.access_file) if row else ([], None)

    def register(self, allow: Iterable[Grantee], access_file: str | None) -> None:
        """Create the source, or remember what this run was told to apply.

        Raises `Conflict` if the name is that of a source of another kind, whose rules would take over.
        """
        with self.writing() as session:
            row = session.scalar(select(Source).where(Source.name == self._source))
            if row is None:
                row = Source(name=self._source)
                session.add(row)
            elif row.uri.partition(":")[0] != self._uri.partition(":")[0]:
                raise Conflict(f"The source {self._source!r} already holds documents of {row.uri}; name another one.")
            row.uri, row.allow, row.access_file = self._uri, sorted(map(str, allow)), access_file

    def known(self, external_id: str | None = None) -> dict[str, Known]:
        """Every document of the source that is not deleted, or the one named and those under it, by external id."""
        return self._known(_at_or_under(external_id) if external_id is not None else true())

    def among(self, external_ids: Sequence[str]) -> dict[str, Known]:
        """Those of these documents that the source has and that are not deleted, by external id."""
        found: dict[str, Known] = {}
        for at in range(0, len(external_ids), _SLICE):
            found |= self._known(Document.external_id.in_(external_ids[at : at + _SLICE]))
        return found

    def _known(self, which: ColumnElement[bool]) -> dict[str, Known]:
        query = (
            select(
                Document.id.label("document_id"),
                Document.external_id,
                Document.uri,
                Document.content_hash,
                Document.parser,
                Document.state,
                Document.media_type,
                Document.failure_verdict,
                Document.failure_cause,
                Document.rule,
                AccessSet.digest.label("access_digest"),
                Document.name,
                Document.revision,
            )
            .join(Source, Source.id == Document.source_id)
            .join(AccessSet, AccessSet.id == Document.source_set_id)
            .where(Source.name == self._source, Document.state != "deleted", which)
        )
        with self._catalog.read() as session:
            return {row.external_id: Known(**row._mapping) for row in session.execute(query)}

    def apply_access(self, decisions: Sequence[tuple[Known, Decision]], also: Fence = no_fence) -> set[str]:
        """Let the source's present rules hold for documents it already has; returns the ids of those with new readers.

        Only for content that is known to be what the source has now: see `narrow_access`. `also` can refuse it.
        """
        changed: set[str] = set()
        for at in range(0, len(decisions), _SLICE):
            with self._changing() as (session, epoch):
                also(session)
                changed |= _readdress(session, _by_id(decisions[at : at + _SLICE]), epoch)
        return changed

    def narrow_access(self, decisions: Sequence[tuple[Known, Decision]], also: Fence = no_fence) -> Narrowed:
        """Let these documents be read by nobody whom the source's present rules keep out, and by nobody new.

        Whoever is let in anew may be meant to read only what the document says now: what it said before may be why
        they were kept out. So their right waits until the content is known. `also` can refuse it.
        """
        narrowed = Narrowed()
        for at in range(0, len(decisions), _SLICE):
            with self._changing() as (session, epoch):
                also(session)
                done: dict[tuple[int, AccessLists], AccessLists] = {}
                first = []
                _at_hand = _loaded(session, [known.document_id for known, _ in decisions[at : at + _SLICE]])
                for known, decision in decisions[at : at + _SLICE]:
                    document = session.get_one(Document, known.document_id)
                    lists = decision.lists
                    if document.version_id is not None:  # else there is nothing that anybody could read
                        between = (document.source_set_id, lists)
                        if between not in done:
                            done[between] = narrower(session, lists_of(session, document.source_set_id), lists)
                        lists = done[between]
                    if lists != decision.lists:
                        narrowed.waiting[known.external_id] = decision
                    first.append((document.id, decision if lists == decision.lists else _until_known(decision, lists)))
                narrowed.changed.update(_readdress(session, first, epoch))
        return narrowed

    def fail(
        self,
        external_id: str,
        uri: str,
        decision: Decision,
        error: UnreadableDocument,
        seen: tuple[str, str, int],
        named: tuple[str, str] = ("", ""),
    ) -> None:
        """Remember why a document could not be read; `seen` is its content hash, parser and size.

        `named` is the file name that the source gave, and its revision.

        A version that was readable before stays readable.
        """
        with self._changing() as (session, epoch):
            document = self._document(session, external_id, uri, decision, epoch)
            document.state, document.failure_verdict, document.failure_cause = "failed", error.verdict, error.reason
            document.content_hash, document.parser, document.size_bytes = seen
            document.name, document.revision = named
            document.updated_at = datetime.now(UTC)

    def stage(
        self, batch: Sequence[Prepared], vectors: dict[str, NDArray[np.float16]], fingerprint: str
    ) -> list[Staged]:
        """Write new versions of these documents, their chunks and vectors, beside what readers see."""
        staged = []
        with self.writing() as session:
            if vectors:
                session.execute(insert(Vector), [_vector_row(hash_, fingerprint, vectors[hash_]) for hash_ in vectors])
            for prepared in batch:
                document = self._document(session, prepared.external_id, prepared.uri, prepared.decision, None)
                version = DocumentVersion(
                    document_id=document.id,
                    number=document.version + 1,
                    content_hash=prepared.content_hash,
                    title=prepared.title,
                )
                session.add(version)
                session.flush()
                self._texts.store(session, version.id, prepared.text, prepared.sensitive)
                rows = session.scalars(
                    insert(ChunkRow).returning(ChunkRow.id, sort_by_parameter_order=True),
                    [_chunk_row(version.id, prepared, index) for index in range(len(prepared.chunks))],
                )
                staged.append(Staged(document.id, version.id, tuple(rows), document.access_set_id, prepared))
                store_links(session, staged[-1].rows, prepared.chunks, prepared.links)
            store_signatures(session, {one.version_id: one.prepared.signature for one in staged})
        return staged

    def publish(
        self, staged: Sequence[Staged], also: Fence = no_fence, known: Sequence[tuple[Known, Decision]] = ()
    ) -> list[int]:
        """Make staged versions the current ones, under the rules they came with; returns the rows they replace.

        `also` changes what must change in the same transaction, or refuses all of it. `known` are documents whose
        content has turned out to be the source's: their rules hold from now on too.
        """
        replaced: list[int] = []
        with self._changing() as (session, epoch):
            also(session)
            # Before versions are replaced: whom these rules let in anew may not open them later either.
            _readdress(session, _by_id(known), epoch)
            _readdress(session, [(one.document_id, one.prepared.decision) for one in staged], epoch)
            for one in staged:
                document, prepared = session.get_one(Document, one.document_id), one.prepared
                if document.version_id is not None:
                    replaced += _drop_chunks(session, document.version_id)
                    before = session.get_one(DocumentVersion, document.version_id)
                    before.replaced_set_id = before.replaced_set_id or document.access_set_id
                document.version += 1
                document.version_id, document.state = one.version_id, "ready"
                document.failure_verdict = "partial" if prepared.unread else None
                document.failure_cause = prepared.unread or None
                document.uri, document.title = prepared.uri, prepared.title
                document.media_type, document.language = prepared.media_type, prepared.language
                document.content_hash, document.parser = prepared.content_hash, prepared.parser
                document.size_bytes, document.updated_at = prepared.size_bytes, datetime.now(UTC)
                document.name, document.revision = prepared.name, prepared.revision
                document.changed_epoch = epoch
        return replaced

    def move(self, known: Known, external_id: str, uri: str, decision: Decision) -> list[int]:
        """Give a document and what it carries another place, whose rules hold; text, vectors and grants stay.

        Returns the rows of their chunks, which the index knows by the place they had.
        """
        with self._changing() as (session, epoch):
            document = session.get_one(Document, known.document_id)
            attachments = carried_by(session, document)
            self._take_place(session, document, external_id, uri, decision, epoch)
            for attachment in attachments:
                name = attachment.external_id.removeprefix(f"{known.external_id}/")
                self._take_place(session, attachment, *placed_under(external_id, uri, name), decision, epoch)
            versions = [one.version_id for one in (document, *attachments) if one.version_id is not None]
            return list(session.scalars(select(ChunkRow.id).where(ChunkRow.version_id.in_(versions))))

    def took_content(self) -> None:
        """Note that everything the source has now is known here."""
        with self.writing() as session:
            row = session.scalars(select(Source).where(Source.name == self._source)).one()
            row.content_at = database_now(session)

    def relocate(self, known: Known, uri: str, name: str, revision: str) -> None:
        """Note where a document, and what it carries, stands now, and under which revision its bytes are the same."""
        with self._changing() as (session, epoch):
            document = session.get_one(Document, known.document_id)
            for attachment in carried_by(session, document):
                inner = attachment.external_id.removeprefix(f"{document.external_id}/")
                _, attachment.uri = placed_under(document.external_id, uri, inner)
                attachment.changed_epoch = epoch
            document.uri, document.name, document.revision = uri, name, revision
            document.changed_epoch = epoch  # filters ask for addresses

    def _take_place(
        self, session: Session, document: Document, external_id: str, uri: str, decision: Decision, epoch: int
    ) -> None:
        for gone in session.scalars(
            select(Document)
            .join(Source)
            .where(Source.name == self._source, Document.external_id == external_id, Document.state == "deleted")
        ):
            # The tombstone of an earlier document at that place makes way.
            gone.external_id = f"{gone.external_id}\n{gone.id}"
        session.flush()
        document.external_id, document.uri, document.updated_at = external_id, uri, datetime.now(UTC)
        _place(session, document, decision, intern_lists(session, decision.lists), epoch)

    def missing_vectors(self, hashes: Iterable[str], fingerprint: str) -> list[str]:
        """Those of these keys that the model has not embedded yet, in the order given, each once."""
        wanted = list(dict.fromkeys(hashes))
        have: set[str] = set()
        with self._catalog.read() as session:
            for at in range(0, len(wanted), _SLICE):
                query = select(Vector.hash).where(
                    Vector.hash.in_(wanted[at : at + _SLICE]), Vector.fingerprint == fingerprint
                )
                have.update(session.scalars(query))
        return [hash_ for hash_ in wanted if hash_ not in have]

    def _document(
        self, session: Session, external_id: str, uri: str, decision: Decision, epoch: int | None
    ) -> Document:
        document = session.scalar(
            select(Document).join(Source).where(Source.name == self._source, Document.external_id == external_id)
        )
        if document is None or document.state == "deleted":
            set_id = intern_lists(session, decision.lists)
            if document is None:
                source_id = session.scalars(select(Source.id).where(Source.name == self._source)).one()
                document = Document(
                    id=uuid.uuid4().hex, source_id=source_id, external_id=external_id, uri=uri, version=0
                )
                session.add(document)
            document.state = "pending"
            _place(session, document, decision, set_id, epoch)
        return document


def delete_documents(
    catalog: Catalog, document_ids: Sequence[str], fence: Fence = no_fence
) -> tuple[list[int], list[str]]:
    """Take documents and what they carry out of everybody's sight and forget their text.

    Returns their rows and their bytes' hashes.
    What stays is a tombstone: the id, so that a document that comes back is the same one, and revocations by hand.
    """
    rows: list[int] = []
    hashes: list[str] = []
    texts = maintenance(catalog, "ingestion")
    document_ids = _with_attachments(catalog, document_ids)
    for at in range(0, len(document_ids), _SLICE):
        with catalog.write() as session:
            epoch = bump_epoch(session)  # before the fence: see `Ledger._changing`
            fence(session)
            for document_id in document_ids[at : at + _SLICE]:
                document = session.get_one(Document, document_id)
                # What is on its way in for it would bring it back; at an attachment's place that is another document.
                on_the_way = (
                    ArrivalRow.source_id == document.source_id,
                    ArrivalRow.external_id == document.external_id,
                    true() if carrier(document) is None else false(),
                )
                hashes += [blob for blob in session.scalars(select(ArrivalRow.blob).where(*on_the_way)) if blob]
                session.execute(delete(ArrivalRow).where(*on_the_way))
                versions = session.scalars(
                    select(DocumentVersion.id).where(DocumentVersion.document_id == document_id)
                ).all()
                hashes += session.scalars(
                    select(DocumentVersion.content_hash).where(DocumentVersion.document_id == document_id)
                )
                for version_id in versions:
                    rows += _drop_chunks(session, version_id)
                texts.forget(session, versions)
                session.execute(
                    update(DocumentVersion).where(DocumentVersion.document_id == document_id).values(title="")
                )
                session.execute(delete(Grant).where(Grant.document_id == document_id, Grant.effect == "allow"))
                forget_labels(session, Document.id == document_id)
                document.state, document.version_id, document.title, document.content_hash = "deleted", None, "", ""
                document.failure_verdict = document.failure_cause = None
                document.changed_epoch, document.updated_at = epoch, datetime.now(UTC)
            live = select(DocumentVersion.content_hash).join(Document).where(Document.state != "deleted")
            shared = set(session.scalars(live.where(DocumentVersion.content_hash.in_(hashes))))
            shared |= set(session.scalars(select(ArrivalRow.blob).where(ArrivalRow.blob.in_(hashes))))
            hashes = [hash_ for hash_ in hashes if hash_ not in shared]
    return rows, hashes


def referenced_bytes(catalog: Catalog) -> set[str]:
    """The hashes of the bytes that documents have, in any version, or that are on their way in."""
    versions = select(DocumentVersion.content_hash).join(Document).where(Document.state != "deleted")
    with catalog.read() as session:
        arriving = session.scalars(select(ArrivalRow.blob).where(ArrivalRow.blob.is_not(None)))
        return {*session.scalars(versions), *filter(None, arriving)}


def _with_attachments(catalog: Catalog, document_ids: Sequence[str]) -> list[str]:
    """These documents and what they carry, each once."""
    places = select(Document.source_id, Document.external_id)
    attachments = select(Document.id, Document.source_id, Document.external_id, Document.uri).where(
        Document.uri.contains("#"), Document.state != "deleted"
    )
    carriers: set[tuple[int, str]] = set()
    with catalog.read() as session:
        for at in range(0, len(document_ids), _SLICE):
            some = session.execute(places.where(Document.id.in_(document_ids[at : at + _SLICE])))
            carriers.update((row.source_id, row.external_id) for row in some)
        inside = [row.id for row in session.execute(attachments) if (row.source_id, carrier(row)) in carriers]
    return list(dict.fromkeys([*document_ids, *inside]))


def _at_or_under(external_id: str) -> ColumnElement[bool]:
    return or_(Document.external_id == external_id, Document.external_id.startswith(f"{external_id}/", autoescape=True))


def abandon_unpublished(catalog: Catalog, document_ids: Sequence[str] | None = None) -> list[int]:
    """Forget versions that an interrupted run staged and never published, of all documents or of these.

    Returns their rows, which an index may have.
    """
    ours = Document.id.in_(document_ids) if document_ids is not None else true()
    texts = maintenance(catalog, "ingestion")
    rows: list[int] = []
    with catalog.write() as session:
        versions = session.scalars(
            select(DocumentVersion.id)
            .join(Document, Document.id == DocumentVersion.document_id)
            .where(ours, DocumentVersion.number > Document.version)
        ).all()
        for version_id in versions:
            rows += _drop_chunks(session, version_id)
        texts.forget(session, versions)
        session.execute(delete(DocumentVersion).where(DocumentVersion.id.in_(versions)))
        never = select(Document.id).where(ours, Document.state == "pending", Document.version == 0)
        session.execute(delete(Grant).where(Grant.document_id.in_(never)))
        forget_labels(session, Document.id.in_(never))
        session.execute(delete(Document).where(ours, Document.state == "pending", Document.version == 0))
        session.execute(update(Document).where(ours, Document.state == "pending").values(state="deleted"))
    return rows


def _by_id(decisions: Iterable[tuple[Known, Decision]]) -> list[tuple[str, Decision]]:
    return [(known.document_id, decision) for known, decision in decisions]


def _until_known(decision: Decision, lists: AccessLists) -> Decision:
    """A decision of which only a part holds yet; in words for `access explain` and `documents why`."""
    rule = f"{decision.rule}; until its content is known again, only for whom the rules before it let in too"
    return Decision(lists, rule)


def _readdress(session: Session, decisions: Sequence[tuple[str, Decision]], epoch: int) -> set[str]:
    """Put documents, by their ids, under these decisions; returns the ids of those whose readers are others now."""
    interned = cache(partial(intern_lists, session))
    changed: set[str] = set()
    _at_hand = _loaded(session, [document_id for document_id, _ in decisions])
    for document_id, decision in decisions:
        document, set_id = session.get_one(Document, document_id), interned(decision.lists)
        if set_id != document.source_set_id:
            changed.add(document_id)
        elif decision.rule == document.rule:
            continue
        _place(session, document, decision, set_id, epoch)
    return changed


def _loaded(session: Session, document_ids: Sequence[str]) -> list[Document]:
    """These documents, asked for together; while somebody holds them, the session asks for none of them again."""
    found: list[Document] = []
    for at in range(0, len(document_ids), _SLICE):
        found += session.scalars(select(Document).where(Document.id.in_(document_ids[at : at + _SLICE])))
    return found


def _place(session: Session, document: Document, decision: Decision, set_id: int, epoch: int | None) -> None:
    """Put a document under the source's lists with its grants over them; None: nothing readers see has changed."""
    if document.version_id is not None and document.source_set_id != set_id:
        # Whom the rules let in from now on may read what comes, and not what this version will have been.
        version = session.get_one(DocumentVersion, document.version_id)
        version.replaced_set_id = version.replaced_set_id or document.access_set_id
    document.source_set_id = document.access_set_id = set_id
    document.rule = decision.rule
    if epoch is not None:
        document.changed_epoch = epoch
    if document in session.new:
        session.flush()
    document.access_set_id = effective_set(session, document.id, set_id)


def _vector_row(hash_: str, fingerprint: str, vector: NDArray[np.float16]) -> dict[str, object]:
    return {"hash": hash_, "fingerprint": fingerprint, "data": vector.astype("<f2").tobytes()}


def _chunk_row(version_id: int, prepared: Prepared, index: int) -> dict[str, object]:
    chunk = prepared.chunks[index]
    return {
        "version_id": version_id,
        "ordinal": chunk.ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "heading": list(chunk.heading),
        "header": chunk.header,
        "page": chunk.page,
        "language": prepared.chunk_languages[index],
        "vector_hash": prepared.vector_hashes[index],
    }


def _drop_chunks(session: Session, version_id: int) -> list[int]:
    """Remove a version's chunks, links and signature, and the vectors that no other chunk shares; returns the rows."""
    found = session.execute(select(ChunkRow.id, ChunkRow.vector_hash).where(ChunkRow.version_id == version_id)).all()
    forget_links(session, version_id)
    session.execute(delete(ChunkRow).where(ChunkRow.version_id == version_id))
    forget_signatures(session, [version_id])
    hashes = sorted({hash_ for _, hash_ in found})
    for at in range(0, len(hashes), _SLICE):
        some = hashes[at : at + _SLICE]
        used = select(ChunkRow.vector_hash).where(ChunkRow.vector_hash.in_(some))
        session.execute(delete(Vector).where(Vector.hash.in_(some), Vector.hash.not_in(used)))
    return [row for row, _ in found]
