"""Filters applied: what a principal may read, narrowed to documents that match; and what there is to filter by."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import FrozenBitMap
from sqlalchemy import select

from catalog.database import Catalog
from catalog.models import Epoch
from governance.access.readable import Readable
from retrieval.facet_table import Codes, FacetTable, in_microseconds
from retrieval.filters import Filters
from retrieval.path_patterns import paths_matching

# Of a million rows, a kept answer takes at most 125 kB.
_KEPT_ANSWERS = 256

# Readings that a commit disturbs are done again so often.
_READINGS = 5


@dataclass(frozen=True)
class Matching:
    """The rows of a view whose documents match, and the epoch of what was asked of them; None: of no single one."""

    rows: FrozenBitMap
    epoch: int | None


@dataclass(frozen=True)
class Facets:
    """How many documents that somebody may read have each value: the most frequent first, equal ones by name."""

    sources: Mapping[str, int]
    media_types: Mapping[str, int]
    languages: Mapping[str, int]
    labels: Mapping[str, int]


class DocumentFacets:
    """Keeps what filters ask of every document, and follows the catalog by its epoch.

    What is looked at are the readable rows, in time that does not depend on the values asked for: a value that only
    hidden documents have is met as one that nothing has. Nothing is kept before the first filtered question; then about
    90 bytes and its path for each document, and the last answers.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._table = FacetTable()
        self._epoch = -1
        self._answers: dict[tuple[str, Filters], FrozenBitMap] = {}  # of this epoch

    def matching(self, view: Readable, filters: Filters) -> Matching:
        """The rows of `view` that match.

        Exact when their epoch is the view's. If not, documents have changed since the view was made, some of its rows
        may be missing, and both are to be asked for again.
        """
        with self._lock:
            epoch = self._follow()
            if epoch != view.epoch:
                return Matching(_matching(self._table, view, filters), epoch)
            key = (view.view, filters)
            if key not in self._answers:
                if len(self._answers) >= _KEPT_ANSWERS:
                    self._answers.clear()
                self._answers[key] = _matching(self._table, view, filters)
            return Matching(self._answers[key], epoch)

    def of(self, view: Readable) -> Facets:
        """What filters can ask of the documents in `view`, and of how many."""
        with self._lock:
            self._follow()
            table = self._table
            runs = table.runs[_used(table, table.place(_array(view)))]
            runs = runs[np.unique(runs["document"], return_index=True)[1]]
            labels: dict[str, int] = {}
            for source, code in zip(runs["source"].tolist(), runs["labels"].tolist(), strict=True):
                own = table.label_sets.values[code] or frozenset()
                for label in own | table.source_labels.get(table.sources.values[source] or "", frozenset()):
                    labels[label] = labels.get(label, 0) + 1
            return Facets(
                sources=_counted(table.sources, runs["source"]),
                media_types=_counted(table.media_types, runs["media_type"]),
                languages=_counted(table.languages, runs["language"]),
                labels=_by_frequency(labels),
            )

    def changed_us(self, rows: Sequence[int]) -> NDArray[np.int64]:
        """For each of these rows, when its document's content came in, in microseconds since 1970; 0 for one that is
        of no document any more."""
        with self._lock:
            self._follow()
            at = self._table.place(np.asarray(rows, np.uint32))
            return np.asarray(self._table.runs["changed_us"][at])

    def _follow(self) -> int | None:
        """Bring the table to the present epoch and return that; None if something was committed at every reading.

        PostgreSQL shows each statement what was committed before it, so that two may tell of two moments.
        """
        with self._catalog.read() as session:
            for _ in range(_READINGS):
                epoch = session.scalars(_EPOCH).one()
                if epoch == self._epoch:
                    return epoch
                self._answers.clear()
                self._table.follow(session, self._epoch)
                self._epoch = epoch
        return None


_EPOCH = select(Epoch.value)


def _matching(table: FacetTable, view: Readable, filters: Filters) -> FrozenBitMap:
    rows = _array(view)
    at = table.place(rows)
    wanted = _wanted(table, filters)
    if filters.paths:
        pattern = paths_matching(filters.paths)
        # Of readable documents alone: how long a pattern takes tells of the paths it is tried on.
        for run in _used(table, at):
            wanted[run] &= pattern.search(table.paths[run]) is not None
    return FrozenBitMap(rows[wanted[at]])


def _wanted(table: FacetTable, filters: Filters) -> NDArray[np.bool_]:
    """For each run, whether its document matches in everything but its path."""
    runs = table.runs
    wanted = runs["first"] >= 0
    if filters.sources:
        wanted &= table.sources.flags(map(table.sources.known, filters.sources))[runs["source"]]
    if filters.media_types:
        wanted &= table.media_types.flags(map(table.media_types.known, filters.media_types))[runs["media_type"]]
    if filters.languages:
        wanted &= table.languages.flags(map(table.languages.known, filters.languages))[runs["language"]]
    if filters.labels:
        asked = frozenset(filters.labels)
        own = table.label_sets.flags(code for code, one in enumerate(table.label_sets.values) if one and one & asked)
        named = (table.sources.known(source) for source, labels in table.source_labels.items() if labels & asked)
        wanted &= own[runs["labels"]] | table.sources.flags(named)[runs["source"]]
    if filters.document_ids:
        # Longer ones are no ids, and would be cut to one.
        ids = [one.encode() for one in filters.document_ids if len(one) <= 32 and one.isascii()]
        wanted &= np.isin(runs["document"], np.array(ids, "S32"))
    if filters.changed_from is not None:
        wanted &= runs["changed_us"] >= in_microseconds(filters.changed_from)
    if filters.changed_before is not None:
        wanted &= runs["changed_us"] < in_microseconds(filters.changed_before)
    return np.asarray(wanted)


def _used(table: FacetTable, at: NDArray[np.intp]) -> NDArray[np.intp]:
    """The numbers of the runs that are named."""
    used = np.zeros(len(table.runs), np.bool_)
    used[at] = True
    return np.flatnonzero(used)


def _array(view: Readable) -> NDArray[np.uint32]:
    return np.frombuffer(view.rows.to_array(), np.uint32) if len(view.rows) else np.empty(0, np.uint32)


def _counted(codes: Codes[str], column: NDArray[np.int32]) -> dict[str, int]:
    counts = np.bincount(column, minlength=len(codes.values)).tolist()
    return _by_frequency({value: count for value, count in zip(codes.values, counts, strict=True) if value and count})


def _by_frequency(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
