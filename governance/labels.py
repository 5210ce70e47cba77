"""Labels of documents and sources, given by administrators: words to filter by, which decide about nobody's rights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from catalog.database import bump_epoch
from catalog.labels import MAX_LABEL_CHARACTERS, DocumentLabelRow, SourceLabelRow
from catalog.models import Document
from core.documents import clean_text
from core.errors import WrongUsage

_MAX_LABELS = 50
"""Of one document or source: labels are words to filter by, and no place to keep data."""


def as_label(text: str) -> str:
    """A label as it is kept and asked for: case, and the space around and within it, do not count."""
    return " ".join(clean_text(text).split()).casefold()


def label_document(session: Session, document_id: str, add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """Change a document's own labels, in the caller's writing transaction; returns them all.

    They stay with it until it is deleted. Raises `WrongUsage` for what can be no label.
    """
    epoch = bump_epoch(session)
    held = session.scalars(select(DocumentLabelRow.label).where(DocumentLabelRow.document_id == document_id)).all()
    labels = _changed(held, add, remove)
    forget_labels(session, Document.id == document_id)
    session.add_all(DocumentLabelRow(document_id=document_id, label=label) for label in labels)
    session.execute(update(Document).where(Document.id == document_id).values(changed_epoch=epoch))
    return labels


def label_source(session: Session, source_id: int, add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """Change the labels of a source, which all of its documents have, also those to come; returns them all.

    One row for each label, however many documents there are. Raises `WrongUsage` for what can be no label.
    """
    if add or remove:
        bump_epoch(session)
    held = session.scalars(select(SourceLabelRow.label).where(SourceLabelRow.source_id == source_id)).all()
    labels = _changed(held, add, remove)
    session.execute(delete(SourceLabelRow).where(SourceLabelRow.source_id == source_id))
    session.add_all(SourceLabelRow(source_id=source_id, label=label) for label in labels)
    return labels


def labels_of(session: Session, document_id: str) -> list[str]:
    """A document's labels, its source's among them."""
    own = select(DocumentLabelRow.label).where(DocumentLabelRow.document_id == document_id)
    given = (
        select(SourceLabelRow.label)
        .join(Document, Document.source_id == SourceLabelRow.source_id)
        .where(Document.id == document_id)
    )
    return sorted({*session.scalars(own), *session.scalars(given)})


def forget_labels(session: Session, which: ColumnElement[bool]) -> None:
    """Take their own labels from these documents, in the caller's writing transaction."""
    ids = select(Document.id).where(which)
    session.execute(delete(DocumentLabelRow).where(DocumentLabelRow.document_id.in_(ids)))


def _changed(held: Iterable[str], add: Sequence[str], remove: Sequence[str]) -> list[str]:
    labels = sorted(({*held} - {as_label(one) for one in remove}) | {_checked(one) for one in add})
    if len(labels) > _MAX_LABELS:
        raise WrongUsage(f"{len(labels)} labels are too many for one thing; at most {_MAX_LABELS} are.")
    return labels


def _checked(text: str) -> str:
    label = as_label(text)
    if not label or len(label) > MAX_LABEL_CHARACTERS or not label.isprintable():
        raise WrongUsage(f"{text[:80]!r} can be no label: write 1 to {MAX_LABEL_CHARACTERS} visible characters.")
    return label
