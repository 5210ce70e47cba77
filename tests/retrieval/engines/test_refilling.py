"""An engine that finds only roughly is asked until nothing that it left out can be among the best k."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from engines_under_test import row_of
from numpy.typing import NDArray
from pyroaring import BitMap

from core.errors import IndexDamaged
from retrieval.dense import nearest, similarity
from retrieval.engines import refilling
from retrieval.engines.refilling import Found, RefillingVectors
from retrieval.engines.vectors import NO_VECTOR
from retrieval.index import IndexReader, IndexRow, IndexWriter, Snapshot
from retrieval.index.selection import Selection, select

ROWS, DIMENSION = 300, 16
READABLE = [
    BitMap(range(ROWS)),
    BitMap(row for row in range(ROWS) if row % 5 == 2),
    BitMap(row for row in range(ROWS) if row % 5 in (1, 3) and row % 3),
    BitMap(range(100, 140)),
    BitMap(np.random.default_rng(1).choice(ROWS, 25, replace=False).tolist()),
]


@dataclass
class RoughEngine:
    """Finds the nearest of what it has by a guess that is `error` off, and says truly how near the rest may be.

    It sums products in an order of its own: what it says of the rest may be `rounding` too low. `lost` are rows that
    it has no more.
    """

    vectors: NDArray[np.float32]  # (ROWS, DIMENSION): of row 0, of row 1 and so on
    error: float = 0.0
    rounding: float = 0.0
    deepest: int = ROWS
    lost: frozenset[int] = frozenset()
    newest: bool = True
    limits: list[int] = field(default_factory=list)
    fetched: list[int] = field(default_factory=list)

    def closest(
        self, query: NDArray[np.float32], localities: NDArray[np.int64] | None, limit: int, among: int
    ) -> Found:
        assert limit <= self.deepest, "an engine refuses that"
        self.limits.append(limit)
        rows = np.arange(len(self.vectors))
        rows = rows if localities is None else rows[np.isin(rows % 5, localities)]
        assert len(rows) == among
        products = self.vectors[rows] @ query
        guess = products + self.error * np.random.default_rng(limit).normal(size=len(rows))
        found, left_out = np.split(np.argsort(-guess, kind="stable"), [limit])
        found = found[np.lexsort((-found, -products[found]))]  # of equal ones the highest row
        unseen = float(products[left_out].max()) - self.rounding if len(left_out) else -np.inf
        return Found(rows[found], self.vectors[rows[found]], unseen, everything=len(left_out) == 0)

    def fetch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        self.fetched += rows.tolist()
        here = np.array([row for row in rows[::-1].tolist() if row not in self.lost], np.int64)
        return here, self.vectors[here]

    def is_present(self) -> bool:
        return self.newest


def unit(seed: int, count: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(autouse=True, scope="module")
def few_are_few() -> Iterator[None]:
    """What is for many chunks is used for ten already, and some at a time are three."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refilling, "FEW", 10)
        patch.setattr(refilling, "_BATCH", 3)
        yield


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The segments beside the vectors, in two pieces."""
    folder: Path = tmp_path_factory.mktemp("words")
    writer = IndexWriter(folder, "of another engine", len(NO_VECTOR))
    for rows in (range(ROWS // 3), range(ROWS // 3, ROWS)):
        writer.publish(IndexRow(row, NO_VECTOR, row_of(row).text, "en", row % 5) for row in rows)
    return IndexReader(folder).snapshot()


def selected(words: Snapshot, engine: RoughEngine, readable: BitMap) -> Selection:
    return select(words.segments, readable, RefillingVectors(engine, DIMENSION))


def rows_and_scores(selection: Selection, query: NDArray[np.float32], k: int) -> tuple[list[int], list[float]]:
    slots, scores = nearest(selection, query, k)
    return selection.rows_of(slots).tolist(), scores.tolist()


def by_sorting(selection: Selection, query: NDArray[np.float32], k: int) -> tuple[list[int], list[float]]:
    slots = selection.slots()
    every = zip(selection.rows_of(slots).tolist(), similarity(selection, query, slots).tolist(), strict=True)
    best = sorted(every, key=lambda one: (-one[1], one[0]))[:k]
    return [row for row, _ in best], [score for _, score in best]


@pytest.mark.parametrize("error", [0.0, 0.05, 0.3, 10.0])
@pytest.mark.parametrize("deepest", [ROWS, 40])
def test_however_roughly_an_engine_finds_the_best_are_those_of_comparing_all(
    words: Snapshot, error: float, deepest: int
) -> None:
    for seed in range(6):
        *vectors, query = unit(seed, ROWS + 1)
        if seed % 2:
            vectors[ROWS // 2 :] = vectors[: ROWS // 2]  # each is as near as another
        engine = RoughEngine(np.stack(vectors), error, deepest=deepest)
        for readable in READABLE:
            for k in (1, 4, 12, ROWS):
                selection = selected(words, engine, readable)
                assert rows_and_scores(selection, query, k) == by_sorting(selection, query, k)


def chunks_of(*similarities: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of rows 0, 1 and so on that are so similar to the query; the others are opposite to it."""
    query = np.eye(DIMENSION, dtype=np.float32)[0]
    vectors = np.tile(-query, (ROWS, 1))
    vectors[: len(similarities), 0] = similarities
    vectors[: len(similarities), 1] = np.sqrt(1 - np.square(similarities))
    return vectors, query


class Overlooking(RoughEngine):
    """Overlooks row 1 until it is asked for 100."""

    def closest(
        self, query: NDArray[np.float32], localities: NDArray[np.int64] | None, limit: int, among: int
    ) -> Found:
        self.limits.append(limit)
        rows = np.array([row for row in range(min(limit, ROWS)) if row != 1 or limit >= 100])
        unseen = float(self.vectors[1] @ query) - self.rounding if 1 not in rows else float(self.vectors[-1] @ query)
        return Found(rows, self.vectors[rows], unseen, everything=limit > ROWS)


@pytest.mark.parametrize(
    ("similarities", "rounding", "best"),
    [
        ((0.9, 0.7, 0.5), 0.0, [0, 1]),  # as good as the second, and not as the first
        ((0.9, 0.500004, 0.5), 9e-6, [0, 1]),  # better by less than the engine is off
        ((0.9, 0.5, 0.5), 0.0, [0, 1]),  # as good, and of a lower row
        ((0.9, 0.5, 0.5), 1e-5, [0, 1]),  # and the engine is as far off as it may be
    ],
)
def test_what_may_be_as_good_as_the_worst_of_the_best_is_looked_for(
    words: Snapshot, similarities: tuple[float, ...], rounding: float, best: list[int]
) -> None:
    vectors, query = chunks_of(*similarities)
    engine = Overlooking(vectors, rounding=rounding)

    assert rows_and_scores(selected(words, engine, READABLE[0]), query, 2)[0] == best
    assert len(engine.limits) > 1


def test_who_has_found_the_best_for_certain_asks_no_further(words: Snapshot) -> None:
    """And of so few chunks that comparing them takes no longer nothing is asked at all."""
    *vectors, query = unit(7, ROWS + 1)
    engine = RoughEngine(np.stack(vectors))

    for readable in READABLE[:3]:
        nearest(selected(words, engine, readable), query, 5)
    assert (len(engine.limits), engine.fetched) == (3, [])
    nearest(selected(words, engine, BitMap(range(10))), query, 5)
    assert (len(engine.limits), sorted(engine.fetched)) == (3, list(range(10)))

    engine.limits.clear()
    for query in unit(11, 20):
        nearest(selected(words, engine, READABLE[2]), query, 5)
    assert len(engine.limits) < 25, "a third of what it finds there is hidden, and that is reckoned with"


def test_each_selection_is_looked_for_where_it_lies(words: Snapshot) -> None:
    """Where that is, is remembered as long as the selection is, of this one and of no other."""
    *vectors, query = unit(8, ROWS + 1)
    elsewhere = RefillingVectors(RoughEngine(np.stack(vectors)), DIMENSION)
    selections = [select(words.segments, readable, elsewhere) for readable in READABLE]
    for _ in range(2):
        for selection in selections:
            assert rows_and_scores(selection, query, 5) == by_sorting(selection, query, 5)
    assert len(elsewhere._planned) == len(selections)

    del selection, selections[1:]
    nearest(selections[0], query, 5)

    assert len(elsewhere._planned) == 1


def test_vectors_that_are_remembered_are_bounded_and_each_is_of_its_row(
    words: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refilling, "_REMEMBERED", 20)
    *vectors, query = unit(9, ROWS + 1)
    engine = RoughEngine(np.stack(vectors))
    elsewhere = RefillingVectors(engine, DIMENSION)
    for first in (0, 5, 100, 0):
        nearest(select(words.segments, READABLE[0], elsewhere), query, 15)
        rows = np.array([*range(first, first + 18), first])
        np.testing.assert_array_equal(elsewhere.vectors(rows), engine.vectors[rows])
        assert len(elsewhere._known) <= 20

    engine.fetched.clear()
    for query in unit(12, 20):
        nearest(select(words.segments, READABLE[0], elsewhere), query, 15)
    assert engine.fetched == [], "what was found just now is not fetched, whenever it was met before"


def test_what_a_newer_generation_dropped_is_like_nothing_and_what_is_lost_is_told(words: Snapshot) -> None:
    *vectors, query = unit(10, ROWS + 1)
    engine = RoughEngine(np.stack(vectors), deepest=0, lost=frozenset({7}), newest=False)
    left = selected(words, engine, READABLE[0])
    assert sorted(rows_and_scores(left, query, ROWS - 1)[0]) == [row for row in range(ROWS) if row != 7]
    assert not RefillingVectors(engine, DIMENSION).vectors(np.array([7])).any()

    engine.newest = True
    elsewhere = RefillingVectors(engine, DIMENSION)
    for ask in (
        lambda: elsewhere.vectors(np.array([6, 7])),
        lambda: elsewhere.nearest(select(words.segments, READABLE[0]), query, 5),
    ):
        with pytest.raises(IndexDamaged, match="row 7 is missing"):
            ask()
    assert elsewhere.damage is not None
