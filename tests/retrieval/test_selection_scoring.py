"""The compiled loops of BM25 give what NumPy gives, and neither is told by how chunks lie in segments."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyroaring import BitMap, FrozenBitMap

from evaluation.bench.corpus import synthetic_queries, synthetic_rows
from retrieval.analysis import query_terms
from retrieval.index import IndexReader, IndexRow, IndexWriter, Snapshot
from retrieval.index import selection as selection_module
from retrieval.index.segment import language_code
from retrieval.index.selection import Selection, SelectionCache, select
from retrieval.lexical import bm25
from retrieval.scoring import CompiledLoops, NumpyLoops, loops

ROWS = 3_000
QUERIES = [*synthetic_queries(12, seed=4), "the of and", "unheard", ""]


@pytest.fixture(scope="module")
def scattered() -> Iterator[Snapshot]:
    """Two segments and a small one, of which some rows were dropped and some published again."""
    with tempfile.TemporaryDirectory() as folder:
        writer = IndexWriter(Path(folder), "synthetic", 8)
        rows = list(synthetic_rows(ROWS, seed=1, dimension=8))
        writer.publish(rows[:2_000])
        writer.publish([*rows[2_000:2_700], *rows[100:120]], dropped=range(500, 640))
        writer.publish(rows[2_700:], dropped=range(2_100, 2_110))
        snapshot = IndexReader(Path(folder)).snapshot()
        assert len(snapshot.segments) > 1
        yield snapshot


@pytest.fixture(scope="module")
def gathered(scattered: Snapshot) -> Iterator[Snapshot]:
    """The same chunks in one segment, in the order of their rows."""
    live = scattered.rows()
    with tempfile.TemporaryDirectory() as folder:
        writer = IndexWriter(Path(folder), "synthetic", 8)
        writer.publish(
            type(row)(row.row, row.vector, row.text, row.language, 0)
            for row in synthetic_rows(ROWS, seed=1, dimension=8)
            if row.row in live
        )
        yield IndexReader(Path(folder)).snapshot()


def readable_sets() -> Iterator[BitMap]:
    random = np.random.default_rng(5)
    yield BitMap(range(ROWS + 1_000))
    for part in (0.5, 0.1, 0.01):
        yield BitMap(np.flatnonzero(random.random(ROWS) < part).tolist())
    yield BitMap(range(700, 900))
    yield BitMap([3])
    yield BitMap()


def scores(selection: Selection, query: str, using: object) -> tuple[list[tuple[int, float]], dict[int, float]]:
    """The best rows in their order, and the score of every row."""
    lexical = bm25(selection, query_terms(query, "en"), using)  # type: ignore[arg-type]
    slots, best = lexical.best(50)
    everything = selection.slots()
    of = zip(selection.rows_of(everything).tolist(), lexical.of(everything).tolist(), strict=True)
    return list(zip(selection.rows_of(slots).tolist(), best.tolist(), strict=True)), dict(of)


def test_both_loops_and_both_layouts_give_the_same_bits(scattered: Snapshot, gathered: Snapshot) -> None:
    for readable in readable_sets():
        for query in QUERIES:
            found = {
                str((snapshot.generation, using)): scores(select(snapshot.segments, readable), query, using)
                for snapshot in (scattered, gathered)
                for using in (NumpyLoops(), loops())
            }
            best, of = next(iter(found.values()))
            assert all(one == (best, of) for one in found.values())
            matching = [(row, score) for row, score in of.items() if score > 0]
            assert best == sorted(matching, key=lambda one: (-one[1], one[0]))[:50]


def test_the_compiled_loops_are_there_where_a_compiler_is() -> None:
    if not isinstance(loops(), CompiledLoops):
        pytest.skip("installed without a compiler; NumPy's loops took their place")


def test_of_equal_scores_the_lowest_rows_are_kept_wherever_they_lie() -> None:
    """Twenty thousand chunks of the same words, more than any heap or block holds, stored highest row first."""
    count, vector = 20_000, np.ones(8, np.float32) / np.sqrt(np.float32(8))
    with tempfile.TemporaryDirectory() as folder:
        rows = (IndexRow(row, vector, "same words", "en", locality=-row) for row in range(count))
        IndexWriter(Path(folder), "synthetic", 8).publish(rows)
        selection = IndexReader(Path(folder)).snapshot().select(BitMap(range(7, count)))
    for using in (NumpyLoops(), loops()):
        slots, _ = bm25(selection, query_terms("words", "en"), using).best(200)
        assert selection.rows_of(slots).tolist() == list(range(7, 207))


def test_a_selection_holds_exactly_the_live_readable_chunks(scattered: Snapshot) -> None:
    for readable in readable_sets():
        selection = select(scattered.segments, readable)
        slots = selection.slots()
        rows = selection.rows_of(slots)
        visible = scattered.rows() & readable
        assert BitMap(rows.tolist()) == visible and len(rows) == len(visible) == len(selection)
        assert selection.words == int(selection.lengths_of(slots).sum())
        asked = [*range(ROWS + 2_000)]
        assert selection.rows_of(selection.slots_for(np.array(asked))).tolist() == [r for r in asked if r in visible]
        assert all(bits.nbytes % 8 == 0 for bits in selection.bitmaps)


def test_rows_of_which_most_numbers_are_gone_are_selected_alike() -> None:
    """Row numbers are never used twice, so those that are left may lie far apart."""
    chunks = list(synthetic_rows(20, seed=2, dimension=8))
    far = [4_000_000_000 - 10_000_000 * number for number in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        writer = IndexWriter(Path(folder), "synthetic", 8)
        writer.publish(
            type(chunk)(row, chunk.vector, chunk.text, "en", 0) for chunk, row in zip(chunks, far, strict=True)
        )
        selection = IndexReader(Path(folder)).snapshot().select(BitMap(far[3:9]))
        assert selection.rows_of(selection.slots()).tolist() == sorted(far[3:9])
        writer.publish([], dropped=[far[4]])
        selection = IndexReader(Path(folder)).snapshot().select(BitMap(far[3:9]))
        assert BitMap(selection.rows_of(selection.slots()).tolist()) == BitMap(far[3:9]) - BitMap([far[4]])


def test_the_chunks_of_each_language_are_counted_by_themselves() -> None:
    languages = ["en", "de", "de", "fr", "en", "en"]
    vector = np.ones(8, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        IndexWriter(Path(folder), "synthetic", 8).publish(
            IndexRow(row, vector, "text", language, 0) for row, language in enumerate(languages)
        )
        selection = IndexReader(Path(folder)).snapshot().select(BitMap([0, 1, 2, 3, 4]))
    for asked in ("en", "de", "fr", "da") * 2:
        assert selection.speaking(language_code(asked)) == languages[:5].count(asked)


def test_a_remembered_selection_is_of_these_rows_and_no_others(scattered: Snapshot) -> None:
    cache = SelectionCache()
    first, second = FrozenBitMap(range(10)), FrozenBitMap(range(1, 11))
    kept = cache.select(scattered.segments, first)
    assert BitMap(kept.rows_of(kept.slots()).tolist()) == scattered.rows() & first
    other = cache.select(scattered.segments, second)
    assert BitMap(other.rows_of(other.slots()).tolist()) == scattered.rows() & second
    for rows in (FrozenBitMap(range(2, 9)), FrozenBitMap(range(20)), FrozenBitMap()):
        part = cache.select(scattered.segments, rows)
        assert BitMap(part.rows_of(part.slots()).tolist()) == scattered.rows() & rows, "no more of them and no fewer"
    assert cache.select(scattered.segments, BitMap(first)) is kept
    assert cache.select(scattered.segments, second) is other


def test_the_selections_that_were_used_last_are_remembered_and_no_more(
    scattered: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection_module, "_REMEMBERED", 3)
    cache = SelectionCache()
    sets = [FrozenBitMap(range(number, number + 10)) for number in range(6)]
    first, second, third = (cache.select(scattered.segments, rows) for rows in sets[:3])

    assert cache.select(scattered.segments, sets[0]) is first
    for rows in sets[3:5]:
        cache.select(scattered.segments, rows)
        assert cache.select(scattered.segments, sets[0]) is first, "it was used last"

    assert len(cache._known) == 3
    assert cache.select(scattered.segments, sets[1]) is not second
    assert cache.select(scattered.segments, sets[2]) is not third


def test_a_set_that_its_owner_changes_later_is_another_set(scattered: Snapshot) -> None:
    cache, changing = SelectionCache(), BitMap(range(10))
    assert len(cache.select(scattered.segments, changing)) == len(scattered.rows() & changing)
    changing.add(11)
    assert len(cache.select(scattered.segments, changing)) == len(scattered.rows() & changing)
