"""Stored texts that today's detectors have not looked at: what is sensitive in them is found, and leaves the index."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from catalog.database import Catalog
from catalog.models import ChunkRow, DocumentVersion, Vector
from core.documents import Chunk, content_hash
from governance.doors import maintenance
from governance.redaction import store_spans
from governance.safety.sensitive import Span, sensitive_spans
from governance.searchable import searchable_texts


def tag_stored_texts(catalog: Catalog) -> int:
    """Look at every text that has not been looked at; returns how many there were.

    Each is one short transaction, so it may be interrupted and repeated. Chunks that are embedded otherwise now have
    the key of a vector that is not there yet: `IndexPublisher.embed_missing` makes it.
    """
    door = maintenance(catalog, "ingestion")
    versions = door.unseen()
    for version_id in versions:
        text = door.text(version_id)
        if text is None:
            continue
        spans = sensitive_spans(text)
        with catalog.write() as session:
            store_spans(session, version_id, spans)
            _rekey(session, version_id, text, spans)
    return len(versions)


def _rekey(session: Session, version_id: int, text: str, spans: tuple[Span, ...]) -> None:
    """Give the chunks the keys of what is embedded of them, and forget the vectors that nothing has any more."""
    title = session.get_one(DocumentVersion, version_id).title
    rows = session.scalars(select(ChunkRow).where(ChunkRow.version_id == version_id)).all()
    chunks = [Chunk(row.ordinal, row.start, row.end, tuple(row.heading), row.page, row.header) for row in rows]
    before: set[str] = set()
    for row, embedded in zip(rows, searchable_texts(title, chunks, text, spans), strict=True):
        before.add(row.vector_hash)
        row.vector_hash = content_hash(embedded)
    session.flush()
    for hash_ in before.difference(row.vector_hash for row in rows):
        if session.scalar(select(ChunkRow.id).where(ChunkRow.vector_hash == hash_).limit(1)) is None:
            session.execute(delete(Vector).where(Vector.hash == hash_))
