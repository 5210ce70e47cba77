"""One contract for every engine: what is published is found, what is dropped is not, access comes first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines_under_test import ENCODER, LOSING, WORDS, EngineUnderTest, rank, row_of, text_of
from pyroaring import BitMap

from core.errors import Conflict, IndexDamaged
from retrieval.dense import nearest, similarity
from retrieval.engines import refilling
from retrieval.index import IndexReader, IndexRow, IndexWriter
from retrieval.ranking import Ranker

QUERIES = ("alpha", "contract notice zeta zeta", "nothing of this")


@pytest.fixture(autouse=True)
def few_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is for many chunks is used for ten already."""
    monkeypatch.setattr(refilling, "FEW", 10)


def test_nothing_is_there_before_the_first_publish(engine: EngineUnderTest) -> None:
    snapshot = engine.reader().snapshot()
    assert (snapshot.generation, len(snapshot.rows()), snapshot.fingerprint) == (0, 0, "")
    assert rank(engine.ranker(), "alpha", [1, 2], 5).hits == ()
    engine.reader().verify()


def test_each_generation_is_seen_at_once_and_an_older_one_stays_whole(engine: EngineUnderTest) -> None:
    reader = engine.reader()
    assert engine.publish(range(20)) == 1
    held = reader.snapshot()
    assert engine.publish(range(20, 30), range(5)) == 2
    now = reader.snapshot()
    assert (held.generation, held.rows()) == (1, BitMap(range(20)))
    assert (now.generation, now.rows()) == (2, BitMap(range(5, 30)))
    assert (now.fingerprint, now.dimension) == (ENCODER.fingerprint, ENCODER.dimension)
    for snapshot, rows in ((held, range(20)), (now, range(5, 30))):
        selection = snapshot.select(BitMap(range(100)))
        query = ENCODER.encode_query("alpha")
        found, scores = nearest(selection, query, 100)
        ranked = selection.rows_of(found).tolist()
        assert sorted(ranked) == list(rows)
        np.testing.assert_allclose(scores, [row_of(row).vector @ query for row in ranked], atol=1e-6)
    engine.reader().verify()


def test_every_engine_ranks_as_ours_to_the_last_bit(engine: EngineUnderTest, tmp_path: Path) -> None:
    """Whatever it holds besides, in whatever pieces, and whatever was dropped or replaced since."""
    random = np.random.default_rng(3)
    engine.publish(range(200))
    engine.publish(range(200, 260), range(0, 200, 7))
    engine.writer().publish([row_of(3, "alpha notice"), row_of(250, "zeta")], [11])
    live = set(range(260)) - set(range(0, 200, 7)) - {11}
    texts = {row: text_of(row) for row in live} | {3: "alpha notice", 250: "zeta"}
    for readable in (live, {row for row in live if row % 5 == 2}, set(random.choice(260, 70).tolist()), {3}, set()):
        alone = tmp_path / f"alone-{len(readable)}"
        IndexWriter(alone, ENCODER.fingerprint, ENCODER.dimension).publish(
            row_of(row, texts[row]) for row in sorted(readable & live)
        )
        ours, theirs = Ranker(IndexReader(alone), ENCODER), engine.ranker()
        for query in QUERIES:
            expected = rank(ours, query, readable, 60).hits
            assert rank(theirs, query, readable, 60).hits == expected
            assert len(expected) == min(60, len(readable & live))


def test_k_is_filled_where_access_has_changed_since_the_index_was_written(engine: EngineUnderTest) -> None:
    """The engine looks by the access sets of then; who may read is decided by those of now."""
    query = ENCODER.encode_query("alpha alpha")
    near = [replace(row_of(row, "alpha alpha"), locality=1) for row in range(100)]
    far = [replace(row_of(row, "contract zeta"), locality=1 + row % 2) for row in range(100, 160)]
    engine.writer().publish([*near, *far])
    snapshot = engine.reader().snapshot()
    for readable in (range(90, 160), range(99, 160), [*range(0, 100, 9), 101, 130], range(100, 160)):
        selection = snapshot.select(BitMap(readable))
        for k in (1, 10, 12, 500):
            found, scores = nearest(selection, query, k)
            rows = selection.rows_of(found).tolist()
            expected = sorted(readable, key=lambda row: (row >= 100, row))[:k]
            assert rows == expected
            assert scores.tolist() == similarity(selection, query, found).tolist()


def test_chunks_that_say_the_same_come_in_the_order_of_their_rows(engine: EngineUnderTest) -> None:
    rows = np.random.default_rng(1).permutation(80)
    engine.writer().publish(row_of(int(row), "the same words") for row in rows[:50])
    engine.writer().publish(row_of(int(row), "the same words") for row in rows[50:])
    selection = engine.reader().snapshot().select(BitMap(range(80)))
    for k in (1, 11, 30):
        found, scores = nearest(selection, ENCODER.encode_query("words"), k)
        assert selection.rows_of(found).tolist() == list(range(k))
        assert len(set(scores.tolist())) == 1


def test_a_row_published_again_is_replaced_and_a_dropped_one_never_comes_back(engine: EngineUnderTest) -> None:
    engine.publish(range(30))
    engine.writer().publish([row_of(7, "an unmistakable giraffe")], [8])
    for publication in range(5):  # also once no generation that is kept knows them
        ranker = engine.ranker()
        assert rank(ranker, "giraffe", range(40), 1).hits[0][0] == 7
        for word in WORDS:
            assert 8 not in dict(rank(ranker, word, range(40), 40).hits)
        selection = ranker.reader.snapshot().select(BitMap([7]))
        exact = similarity(selection, ENCODER.encode_query("an unmistakable giraffe"), selection.slots())
        np.testing.assert_allclose(exact, [1], atol=1e-6)
        engine.publish([30 + publication])
    engine.reader().verify()


def test_an_index_may_become_empty_and_full_again(engine: EngineUnderTest) -> None:
    engine.publish(range(12))
    engine.publish([], range(12))
    assert rank(engine.ranker(), "alpha", range(20), 9).hits == ()
    engine.publish([5])
    assert [row for row, _ in rank(engine.ranker(), "alpha", range(20), 9).hits] == [5]
    engine.reader().verify()


@pytest.mark.parametrize(
    ("vector", "reason"),
    [(np.full(16, np.nan), "NaN"), (np.full(16, np.inf), "infinite"), (np.zeros(16), "zero"), (np.ones(15), "16")],
)
def test_what_means_nothing_is_refused_and_nothing_changes(
    engine: EngineUnderTest, vector: np.ndarray[tuple[int, ...], np.dtype[np.float64]], reason: str
) -> None:
    engine.publish(range(5))
    with pytest.raises(Conflict, match=reason):
        engine.writer().publish([row_of(7), IndexRow(8, vector.astype(np.float32), "alpha", "en", 0)], [1])
    snapshot = engine.reader().snapshot()
    assert (snapshot.generation, snapshot.rows()) == (1, BitMap(range(5)))
    engine.reader().verify()
    assert engine.publish([7], [1]) == 2
    assert engine.reader().snapshot().rows() == BitMap([0, 2, 3, 4, 7])


def test_a_row_given_twice_is_refused(engine: EngineUnderTest) -> None:
    engine.publish(range(3))
    with pytest.raises(Conflict, match="twice"):
        engine.publish([3, 4, 3])
    assert engine.reader().snapshot().rows() == BitMap(range(3))


def test_another_model_is_refused_until_the_index_is_rebuilt(engine: EngineUnderTest) -> None:
    engine.publish(range(5))
    other = engine.writer("another-model")
    with pytest.raises(Conflict, match=r"hashing-words-16.*another-model.*footnote index rebuild"):
        other.publish([row_of(7)])
    held = engine.reader().snapshot()
    assert other.rebuild(map(row_of, [7, 8])) == 2
    snapshot = engine.reader().snapshot()
    assert (snapshot.fingerprint, snapshot.rows()) == ("another-model", BitMap([7, 8]))
    selection = held.select(BitMap(range(9)))
    found, _ = nearest(selection, ENCODER.encode_query("alpha"), 9)
    assert sorted(selection.rows_of(found).tolist()) == list(range(5)), "who has the old one finishes with it"
    engine.reader().verify()


def test_compacted_nothing_of_what_was_dropped_is_kept(engine: EngineUnderTest) -> None:
    engine.publish(range(30))
    engine.publish([], range(10))
    engine.writer().publish([row_of(20, "new words")])
    engine.writer().compact()
    snapshot = engine.reader().snapshot()
    assert snapshot.rows() == BitMap(range(10, 30))
    assert sorted(int(row) for segment in snapshot.segments for row in segment.arrays.rows) == list(range(10, 30))
    assert rank(engine.ranker(), "new words", range(30), 1).hits[0][0] == 20
    engine.reader().verify()
    engine.writer().compact()
    assert engine.publish([1]) > snapshot.generation


def test_writers_wait_for_each_other_and_lose_nothing_while_readers_go_on(engine: EngineUnderTest) -> None:
    engine.publish(range(10))
    done = threading.Event()
    wrong: list[object] = []

    def write(first: int) -> None:
        try:
            for row in range(first, first + 4):
                engine.publish([row])
        except BaseException as error:
            wrong.append(error)
            raise

    def read() -> None:
        ranker, seen = engine.ranker(), 0
        while not done.is_set():
            ranking = rank(ranker, "alpha contract", range(400), 400)
            rows = {row for row, _ in ranking.hits}
            if not set(range(10)) <= rows or len(rows) != 10 + ranking.generation - 1 or ranking.generation < seen:
                wrong.append((ranking.generation, rows))
            seen = ranking.generation

    writers = [threading.Thread(target=write, args=(first,)) for first in (100, 200, 300)]
    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join(60)
    done.set()
    reader.join(60)
    assert not wrong
    snapshot = engine.reader().snapshot()
    assert (snapshot.generation, len(snapshot.rows())) == (13, 22)
    engine.reader().verify()


def breaking(rows: Iterator[IndexRow], error: BaseException) -> Iterator[IndexRow]:
    yield from rows
    raise error


def test_a_publish_that_breaks_off_leaves_the_present_generation_and_no_trace(engine: EngineUnderTest) -> None:
    engine.publish(range(10))
    for rows in ([], [11], range(2_000)):
        with pytest.raises(KeyboardInterrupt):
            engine.writer().publish(breaking(map(row_of, rows), KeyboardInterrupt()), [3])
        snapshot = engine.reader().snapshot()
        assert (snapshot.generation, snapshot.rows()) == (1, BitMap(range(10)))
        assert len(rank(engine.ranker(), "alpha", range(2_000), 50).hits) == 10
    engine.publish([10])
    assert engine.reader().snapshot().rows() == BitMap(range(11))
    assert len(rank(engine.ranker(), "alpha", range(2_000), 50).hits) == 11
    engine.reader().verify()


@pytest.mark.parametrize("engine", sorted(LOSING), indirect=True)
def test_a_lost_vector_is_told_from_then_on_and_not_ranked_as_nothing(engine: EngineUnderTest) -> None:
    engine.publish(range(30))
    ranker = engine.ranker()
    ranker.reader.snapshot()
    LOSING[engine.name](engine, 7)
    with pytest.raises(IndexDamaged, match="row 7"):
        rank(ranker, "alpha", range(40), 40)
    with pytest.raises(IndexDamaged, match="row 7"):
        ranker.reader.snapshot()  # so that the catalog stands in from the next question on
    engine.writer().rebuild(map(row_of, range(30)))
    assert len(rank(ranker, "alpha", range(40), 40).hits) == 30
