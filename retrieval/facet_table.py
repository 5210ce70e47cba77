"""What filters ask of documents, beside the rows of their chunks: read from the catalog and kept up with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, Select, bindparam, func, select
from sqlalchemy.orm import Session

from catalog.labels import DocumentLabelRow, SourceLabelRow
from catalog.models import ChunkRow, Document, DocumentVersion, Source

RUN = np.dtype(
    [
        ("first", np.int64),
        ("last", np.int64),
        ("version", np.int64),
        ("document", "S32"),
        ("changed_us", np.int64),
        ("source", np.int32),
        ("media_type", np.int32),
        ("language", np.int32),
        ("labels", np.int32),
    ]
)
"""Rows `first` to `last`, both included, of one version, and what is asked of its document: codes for words, and the
microseconds from 1970 (UTC) to when its content came in."""

# No row lies in this run and every row comes after it, so that each row has a run at or before its place.
_NOWHERE = np.array([(-1, -2, -1, b"", 0, 0, 0, 0, 0)], RUN)

T = TypeVar("T")

# Runs of replaced versions hurt nobody, since no view has their rows; everything is read anew once there are so many.
_STALE_RUNS = 10_000
_SLICE = 500
_EVER_SINCE = datetime(1970, 1, 1, tzinfo=UTC)


class Codes(Generic[T]):
    """A number from 1 for each value met; 0 stands for every other one, which no document has."""

    def __init__(self) -> None:
        self.values: list[T | None] = [None]
        self._codes: dict[T, int] = {}

    def of(self, value: T) -> int:
        code = self._codes.setdefault(value, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        return code

    def known(self, value: T) -> int:
        """The value's number, or 0."""
        return self._codes.get(value, 0)

    def flags(self, codes: Iterable[int]) -> NDArray[np.bool_]:
        """For each number, whether it is among these; never for 0."""
        flags = np.zeros(len(self.values), np.bool_)
        flags[list(codes)] = True
        flags[0] = False
        return flags


@dataclass
class FacetTable:
    """The runs of every current version, in the order of their rows, and of some that have been replaced."""

    runs: NDArray[np.void] = field(default_factory=_NOWHERE.copy)
    paths: NDArray[np.object_] = field(default_factory=lambda: np.array([""], object))
    """For each run the document's external id and its address, a line each."""
    sources: Codes[str] = field(default_factory=Codes)
    media_types: Codes[str] = field(default_factory=Codes)
    languages: Codes[str] = field(default_factory=Codes)
    label_sets: Codes[frozenset[str]] = field(default_factory=Codes)
    source_labels: dict[str, frozenset[str]] = field(default_factory=dict)
    _live: int = 0

    def follow(self, session: Session, since: int) -> None:
        """Take in every document that has changed after the epoch `since`; -1 reads everything."""
        if len(self.runs) > 2 * self._live + _STALE_RUNS:
            since = -1
        if since == -1:
            self.runs, self.paths = _NOWHERE.copy(), np.array([""], object)
        self.source_labels = _sets(session.execute(_SOURCE_LABELS))
        changed = session.execute(_CHANGED, {"epoch": since}).all()
        if not changed:
            return
        runs, paths = self._runs_of(session, changed, since)
        kept = ~np.isin(self.runs["version"], runs["version"])
        self.runs = np.concatenate([self.runs[kept], runs])
        self.paths = np.concatenate([self.paths[kept], paths])
        order = np.argsort(self.runs["first"], kind="stable")
        self.runs, self.paths = self.runs[order], self.paths[order]
        if since == -1:
            self._live = len(self.runs)

    def place(self, rows: NDArray[np.uint32]) -> NDArray[np.intp]:
        """For each of these rows the number of its run; 0 for one that is in none."""
        at = np.searchsorted(self.runs["first"], rows, side="right") - 1
        return np.where(rows <= self.runs["last"][at], at, 0)

    def _runs_of(
        self, session: Session, changed: Sequence[Row[*tuple[Any, ...]]], since: int
    ) -> tuple[NDArray[np.void], NDArray[np.object_]]:
        """The runs and paths of the current versions of these documents."""
        labels = _document_labels(session, [record.id for record in changed], everything=since == -1)
        spans = _spans(session, [record.version_id for record in changed], everything=since == -1)
        runs, paths = [], []
        for record in changed:
            codes = (
                self.sources.of(record.source),
                self.media_types.of(record.media_type),
                self.languages.of(record.language),
                self.label_sets.of(labels.get(record.id, frozenset())),
            )
            changed_us = in_microseconds(record.created_at)
            for first, last in spans.get(record.version_id, ()):
                runs.append((first, last, record.version_id, record.id.encode(), changed_us, *codes))
                paths.append(f"{record.external_id}\n{record.uri}")
        return np.array(runs, RUN), np.array(paths, object)


def in_microseconds(moment: datetime) -> int:
    """From 1970 (UTC) to a moment that knows its zone."""
    return (moment - _EVER_SINCE) // timedelta(microseconds=1)


_CHANGED = (
    select(
        Document.id,
        Document.external_id,
        Document.uri,
        Document.media_type,
        Document.language,
        Document.version_id,
        Source.name.label("source"),
        DocumentVersion.created_at,
    )
    .join(Source, Source.id == Document.source_id)
    # What was deleted, or never read, has no current version.
    .join(DocumentVersion, DocumentVersion.id == Document.version_id)
    .where(Document.changed_epoch > bindparam("epoch"))
)
_SOURCE_LABELS = select(Source.name, SourceLabelRow.label).join(Source, Source.id == SourceLabelRow.source_id)
_DOCUMENT_LABELS = select(DocumentLabelRow.document_id, DocumentLabelRow.label)
_SPANS = select(ChunkRow.version_id, func.min(ChunkRow.id), func.max(ChunkRow.id), func.count()).group_by(
    ChunkRow.version_id
)


def _document_labels(session: Session, ids: Sequence[str], *, everything: bool) -> dict[str, frozenset[str]]:
    some = None if everything else ids
    return _sets(_sliced(session, _DOCUMENT_LABELS, DocumentLabelRow.document_id, some))


def _spans(session: Session, versions: Sequence[int], *, everything: bool) -> dict[int, list[tuple[int, int]]]:
    """The first and last row of each run of these versions.

    A version's rows are written together and nearly always follow one another; those of one that do not are asked for.
    """
    spans: dict[int, list[tuple[int, int]]] = {}
    for version, first, last, count in _sliced(session, _SPANS, ChunkRow.version_id, None if everything else versions):
        if last - first + 1 == count:
            spans[version] = [(first, last)]
        else:
            rows = session.scalars(select(ChunkRow.id).where(ChunkRow.version_id == version).order_by(ChunkRow.id))
            spans[version] = _consecutive(rows.all())
    return spans


def _consecutive(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as runs of those that follow one another."""
    ends = [place for place in range(1, len(rows)) if rows[place] != rows[place - 1] + 1]
    return [(rows[start], rows[end - 1]) for start, end in zip([0, *ends], [*ends, len(rows)], strict=True)]


def _sliced(
    session: Session, query: Select[*tuple[Any, ...]], column: Any, values: Sequence[Any] | None
) -> Iterable[Any]:
    """The rows whose column has one of these values, asked for in slices since databases bound the length of a list;
    all rows for None."""
    if values is None:
        yield from session.execute(query).all()
        return
    for at in range(0, len(values), _SLICE):
        yield from session.execute(query.where(column.in_(values[at : at + _SLICE]))).all()


def _sets(pairs: Iterable[Any]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name, label in pairs:
        found.setdefault(name, set()).add(label)
    return {name: frozenset(labels) for name, labels in found.items()}
