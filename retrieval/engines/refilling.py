"""Looking into an engine that knows no access: asking it deeper until k readable chunks are the nearest for certain."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import IndexDamaged
from retrieval.dense import similarity
from retrieval.index.manifest import REBUILD
from retrieval.index.selection import Selection

# Up to this many readable chunks, all of them are compared: an engine would need longer to say which are near.
FEW = 1_000

# How many more than are needed are asked for at first, and how much deeper each time that was too few.
_OVERSAMPLING = 1.25
_DEEPER = 4

# Beyond this many chunks asked for per chunk that is readable, reading the readable ones costs less.
_MOST_HIDDEN = 50

# Where the readable localities hold this part of all chunks, asking for all of them costs no more.
_MOST = 0.5

# An engine sums a product of unit vectors in another order than we do, in 32 bits.
_ROUNDING = 1e-5

# Vectors of a generation that are remembered: a question asks for those of its candidates more than once.
_REMEMBERED = 4_096

# Vectors that are read at once where the readable chunks are all compared.
_BATCH = 8_192


@dataclass(frozen=True)
class Found:
    """What an engine found nearest: rows of the generation, best first, with their vectors.

    `unseen` bounds the similarity of what it left out, as far as the engine knows; `everything` says that it left out
    nothing that was asked for.
    """

    rows: NDArray[np.int64]  # (n,)
    vectors: NDArray[np.float32]  # (n, dimension)
    unseen: float
    everything: bool


class VectorStore(Protocol):
    """One generation's vectors in an engine."""

    @property
    def deepest(self) -> int:
        """The most chunks that one question can get."""

    def closest(
        self, query: NDArray[np.float32], localities: NDArray[np.int64] | None, limit: int, among: int
    ) -> Found:
        """The `limit` nearest chunks of these localities, or of all; `among` is how many chunks that concerns."""

    def fetch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Those of `rows` that the generation holds, in any order, and their vectors."""

    def is_present(self) -> bool:
        """No newer generation has been published."""


@dataclass(frozen=True)
class _Plan:
    """Where the readable chunks of a selection are, by the localities they were published with.

    A locality is the access set a chunk had then. It narrows what an engine looks at and authorizes nothing: what
    comes back is looked for in the selection, which was made from live access.
    """

    localities: NDArray[np.int64] | None  # None: every one
    among: int  # how many chunks have one of these localities


class RefillingVectors:
    """The vectors of one generation, nearest first; implements `VectorsElsewhere`. Safe to share between threads."""

    def __init__(self, store: VectorStore, dimension: int) -> None:
        self._store = store
        self._dimension = dimension
        self._lock = threading.Lock()
        self._known: dict[int, NDArray[np.float32]] = {}
        self.damage: IndexDamaged | None = None  # what was met, so that it is not met by every question
        self._planned: list[tuple[weakref.ref[Selection], _Plan]] = []

    def nearest(
        self, selection: Selection, query: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The min(k, n) slots most similar to `query`, best first, equal ones by row; and their similarities.

        As exact as what the engine claims of what it left out; always k while so many are readable.
        """
        k = min(k, len(selection))
        if len(selection) <= max(FEW, k):
            slots = selection.slots()
            return _best(selection, slots, similarity(selection, query, slots), k)
        plan = self._plan(selection)
        limit = int(k * _OVERSAMPLING * max(1.0, plan.among / len(selection))) + 1
        while limit <= min(self._store.deepest, _MOST_HIDDEN * len(selection)):
            found = self._store.closest(query, plan.localities, limit, plan.among)
            self._remember(found.rows, found.vectors)
            slots = selection.slots_for(found.rows)
            slots, scores = _best(selection, slots, similarity(selection, query, slots), k)
            if len(slots) == k and (found.everything or found.unseen + _ROUNDING < scores[-1]):
                return slots, scores
            if found.everything:
                break
            limit *= _DEEPER
        return self._compare_all(selection, query, k)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(len(rows), dimension): the exact vectors of rows of this generation.

        Zeros for what a newer generation has dropped since: the catalog has no such chunk any more. Raises
        `IndexDamaged` if the engine has lost one.
        """
        with self._lock:
            known = {row: self._known[row] for row in rows.tolist() if row in self._known}
        missing = np.array([row for row in rows.tolist() if row not in known], np.int64)
        if len(missing):
            fetched, vectors = self._fetched(missing)
            self._remember(fetched, vectors)
            known |= dict(zip(fetched.tolist(), vectors, strict=True))
        gone = np.zeros(self._dimension, np.float32)
        return np.array([known.get(row, gone) for row in rows.tolist()], np.float32).reshape(-1, self._dimension)

    def _compare_all(
        self, selection: Selection, query: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Every readable chunk compared: slow, and right whatever the engine found."""
        best, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
        everything = selection.slots()
        for at in range(0, len(everything), _BATCH):
            rows, vectors = self._fetched(selection.rows_of(everything[at : at + _BATCH]))
            products = np.einsum("ij,j->i", vectors, query)
            slots = np.concatenate([best, selection.slots_for(rows)])
            best, scores = _best(selection, slots, np.concatenate([scores, products]), k)
        return best, scores

    def _fetched(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        found, vectors = self._store.fetch(rows)
        if len(found) < len(rows) and self._store.is_present():
            lost = np.setdiff1d(rows, found)
            self.damage = lost_vector(int(lost[0]), "missing")
            raise self.damage
        return found, vectors

    def _remember(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        with self._lock:
            for row, vector in zip(rows[:_REMEMBERED].tolist(), vectors, strict=False):
                self._known.pop(row, None)  # what was met again is the newest, and not the first to go
                self._known[row] = vector
            for row in list(self._known)[: max(len(self._known) - _REMEMBERED, 0)]:
                del self._known[row]

    def _plan(self, selection: Selection) -> _Plan:
        with self._lock:
            self._planned = [(reference, plan) for reference, plan in self._planned if reference() is not None]
            known = next((plan for reference, plan in self._planned if reference() is selection), None)
        if known is None:
            known = _planned(selection)
            with self._lock:
                self._planned.append((weakref.ref(selection), known))
        return known


def lost_vector(row: int, how: str) -> IndexDamaged:
    """That the vector of a row is not what was written, and `how`."""
    return IndexDamaged(f"The index is damaged: the vector of row {row} is {how}. To repair it, {REBUILD}.")


def _planned(selection: Selection) -> _Plan:
    """The localities of what is readable; every one, where they hold most of the index anyway."""
    wanted: set[int] = set()
    sizes: Counter[int] = Counter()
    for segment, bitmap in zip(selection.segments, selection.bitmaps, strict=True):
        localities = segment.arrays.locality
        if len(localities) == 0:
            continue
        # Chunks of equal locality stand together, so there are few runs of them.
        starts = np.concatenate([[0], np.flatnonzero(np.diff(localities)) + 1])
        readable = np.unpackbits(bitmap, count=len(localities), bitorder="little")
        present = np.add.reduceat(readable, starts, dtype=np.int64) > 0
        for locality, size in zip(localities[starts].tolist(), np.diff([*starts, len(localities)]), strict=True):
            sizes[locality] += int(size)
        wanted |= set(localities[starts[present]].tolist())
    among, total = sum(sizes[locality] for locality in wanted), sum(sizes.values())
    if among >= _MOST * total:
        return _Plan(None, total)
    return _Plan(np.array(sorted(wanted), np.int64), among)


def _best(
    selection: Selection, slots: NDArray[np.int64], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    order = np.lexsort((selection.rows_of(slots), -scores))[:k]
    return slots[order], scores[order]
