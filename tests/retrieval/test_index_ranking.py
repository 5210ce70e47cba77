"""Rankings agree with plainer derivations, and depend on nothing but what the asker may read."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexed import ENCODER, WORDS, build, publish, rank, ranker, row_of, text_of, writer
from pyroaring import BitMap

from core.errors import Conflict
from evaluation.bench.corpus import synthetic_queries, synthetic_rows
from inference.hashing import HashingEncoder
from retrieval.analysis import index_terms, query_terms
from retrieval.dense import nearest
from retrieval.index import IndexReader, IndexRow, IndexWriter, Snapshot
from retrieval.lexical import K1, B, bm25
from retrieval.ranking import FUSION_DEPTH, Ranker

ROWS = st.sets(st.integers(0, 99))
PUBLICATIONS = st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=4)
QUERY = st.lists(st.sampled_from([*WORDS, "unknown", "the"]), min_size=1, max_size=5).map(" ".join)


def live_rows(publications: list[tuple[set[int], set[int]]]) -> set[int]:
    live: set[int] = set()
    for added, dropped in publications:
        live = (live - dropped) | added
    return live


def plain_bm25(query: str, texts: dict[int, str]) -> dict[int, float]:
    """BM25 as the formula stands in the paper, a dictionary for an index."""
    documents = {row: index_terms(text, "en") for row, text in texts.items()}
    mean = sum(length for _, length in documents.values()) / max(len(documents), 1)
    scores: dict[int, float] = Counter()
    for term, weight in query_terms(query, "en"):
        having = [row for row, (counts, _) in documents.items() if term in counts]
        idf = math.log(1 + (len(documents) - len(having) + 0.5) / (len(having) + 0.5))
        for row in having:
            counts, length = documents[row]
            tf = counts[term]
            scores[row] += weight * idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length / mean))
    return scores


@given(publications=PUBLICATIONS, readable=ROWS, query=QUERY)
@settings(max_examples=30, deadline=None)
def test_lexical_scores_are_those_of_an_index_of_the_readable_chunks_alone(
    publications: list[tuple[set[int], set[int]]], readable: set[int], query: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        snapshot = build(Path(folder), publications).reader.snapshot()

        selection = snapshot.select(BitMap(readable))
        slots = selection.slots()
        lexical = bm25(selection, query_terms(query, "en"))
        scores = dict(zip(selection.rows_of(slots).tolist(), lexical.of(slots).tolist(), strict=True))
        best = selection.rows_of(lexical.best(10)[0]).tolist()

    visible = sorted(readable & live_rows(publications))
    expected = plain_bm25(query, {row: text_of(row) for row in visible})
    assert sorted(scores) == visible
    np.testing.assert_allclose([scores[row] for row in visible], [expected.get(row, 0.0) for row in visible], rtol=1e-4)
    assert best == sorted((row for row in visible if scores[row] > 0), key=lambda row: (-scores[row], row))[:10]


@given(publications=PUBLICATIONS, readable=ROWS, query=QUERY, k=st.integers(1, 110))
@settings(max_examples=30, deadline=None)
def test_dense_search_equals_comparing_with_every_readable_chunk(
    publications: list[tuple[set[int], set[int]]], readable: set[int], query: str, k: int
) -> None:
    vector = ENCODER.encode_query(query)
    with tempfile.TemporaryDirectory() as folder:
        selection = build(Path(folder), publications).reader.snapshot().select(BitMap(readable))
        slots, scores = nearest(selection, vector, k)

    visible = sorted(readable & live_rows(publications))
    exact = {row: float(ENCODER.encode_query(text_of(row)) @ vector) for row in visible}
    assert len(slots) == min(k, len(visible))
    np.testing.assert_allclose(scores, sorted(exact.values(), reverse=True)[:k], atol=1e-6)
    np.testing.assert_allclose(scores, [exact[row] for row in selection.rows_of(slots).tolist()], atol=1e-6)


@given(publications=PUBLICATIONS, readable=ROWS, query=QUERY, k=st.integers(1, 110))
@settings(max_examples=30, deadline=None)
def test_k_is_filled_while_readable_chunks_are_left_and_nothing_else_is_found(
    publications: list[tuple[set[int], set[int]]], readable: set[int], query: str, k: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        hits = rank(build(Path(folder), publications), query, BitMap(readable), k).hits

    visible = readable & live_rows(publications)
    rows = [row for row, _ in hits]
    scores = [score for _, score in hits]
    assert len(rows) == len(set(rows)) == min(k, len(visible))
    assert set(rows) <= visible
    assert scores == sorted(scores, reverse=True)


@given(
    own=st.sets(st.integers(0, 99), min_size=1),
    hidden=st.lists(st.tuples(st.integers(100, 199), st.lists(st.sampled_from(WORDS), max_size=300)), max_size=20),
    query=QUERY,
)
@settings(max_examples=30, deadline=None)
def test_what_is_hidden_changes_no_score_by_a_single_bit(
    own: set[int], hidden: list[tuple[int, list[str]]], query: str
) -> None:
    """The STRESS attack reads hidden words from how scores move; here there is nothing to read."""
    with tempfile.TemporaryDirectory() as alone, tempfile.TemporaryDirectory() as among:
        publish(Path(alone), own)
        writer(Path(among)).publish(row_of(row, " ".join(words)) for row, words in dict(hidden).items())
        publish(Path(among), own)
        readable = BitMap(own)

        assert (
            rank(ranker(Path(among)), query, readable, 50).hits == rank(ranker(Path(alone)), query, readable, 50).hits
        )


@pytest.fixture(scope="module")
def large() -> Iterator[Snapshot]:
    """Three segments, of which two are large enough for codes; a tenth of the rows has the vector of another."""
    with tempfile.TemporaryDirectory() as folder:
        writer = IndexWriter(Path(folder), "synthetic", 64)
        for size, first in ((9_000, 1), (4_200, 20_000), (300, 40_000)):
            writer.publish(synthetic_rows(size, seed=first, dimension=64, first_row=first))
        snapshot = IndexReader(Path(folder)).snapshot()
        assert [segment.codes is not None for segment in snapshot.segments].count(True) == 2
        yield snapshot


@pytest.mark.parametrize("part", [1.0, 0.5, 0.2, 0.03])
@pytest.mark.parametrize("k", [1, 10, 200, 3_000])
def test_scanning_codes_loses_nothing(large: Snapshot, part: float, k: int) -> None:
    random = np.random.default_rng(k)
    rows = np.array(large.rows().to_array())
    selection = large.select(BitMap(rows[random.random(len(rows)) < part].tolist()))
    readable = selection.slots()
    everything = selection.vectors(readable)
    for query in next(zip(*[iter(synthetic_rows(3, seed=9, dimension=64))] * 3, strict=True)):
        exact = everything @ query.vector

        slots, scores = nearest(selection, np.asarray(query.vector, np.float32), k)

        np.testing.assert_allclose(scores, np.sort(exact)[::-1][:k], atol=1e-6)
        np.testing.assert_allclose(scores, exact[np.searchsorted(readable, slots)], atol=1e-6)


def test_chunks_of_equal_vectors_are_ordered_by_row_however_many_there_are() -> None:
    """More of them than any scan looks at first, in a segment that is scanned by its codes."""
    same = next(synthetic_rows(1, seed=1, dimension=64))
    count = 30 * FUSION_DEPTH
    with tempfile.TemporaryDirectory() as folder:
        rows = [IndexRow(row, same.vector, same.text, "en", locality=-row) for row in range(count)]
        IndexWriter(Path(folder), "synthetic", 64).publish(rows)
        selection = IndexReader(Path(folder)).snapshot().select(BitMap(range(7, count)))

    slots, _ = nearest(selection, np.asarray(same.vector, np.float32), FUSION_DEPTH)

    assert selection.rows_of(slots).tolist() == list(range(7, 7 + FUSION_DEPTH))


def test_a_deeper_search_begins_with_the_shallower_one() -> None:
    encoder = HashingEncoder(64)
    with tempfile.TemporaryDirectory() as folder:
        IndexWriter(Path(folder), encoder.fingerprint, 64).publish(synthetic_rows(3_000, seed=5, dimension=64))
        ranker = Ranker(IndexReader(Path(folder)), encoder)
        readable = ranker.reader.snapshot().rows()
        for query in synthetic_queries(5, seed=2):
            deep = [row for row, _ in rank(ranker, query, readable, 2_000).hits]
            assert len(deep) == 2_000
            for k in (1, 10, 100):
                assert [row for row, _ in rank(ranker, query, readable, k).hits] == deep[:k]


def test_vectors_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    publish(tmp_path, range(3))
    with pytest.raises(Conflict, match=r"hashing-words-32.*hashing-words-64.*footnote index rebuild"):
        rank(Ranker(IndexReader(tmp_path), HashingEncoder(64)), "alpha", BitMap(range(3)), 1)


@pytest.mark.parametrize("query", ["", "???", "the of and", "x" * 100_000, "alpha " * 50_000, "\ud800", "\x00", "🦜"])
def test_any_query_is_answered(tmp_path: Path, query: str) -> None:
    publish(tmp_path, range(20))
    assert len(rank(ranker(tmp_path), query, BitMap(range(20)), 5).hits) == 5


def test_equal_vectors_among_others_are_ordered_by_row() -> None:
    others = list(synthetic_rows(6_000, seed=3, dimension=64, first_row=1_000))
    same = next(synthetic_rows(1, seed=8, dimension=64))
    with tempfile.TemporaryDirectory() as folder:
        twins = [IndexRow(row, same.vector, "twin", "en", locality=row * 37 % 50) for row in range(50)]
        IndexWriter(Path(folder), "synthetic", 64).publish([*others, *twins])
        snapshot = IndexReader(Path(folder)).snapshot()
        selection = snapshot.select(snapshot.rows())

    slots, _ = nearest(selection, np.asarray(same.vector, np.float32), 60)

    assert selection.rows_of(slots[:50]).tolist() == list(range(50))


class EnglishEncoder(HashingEncoder):
    """Places every text by its words, and says that it understands English only."""

    languages = frozenset({"en"})


def test_a_question_in_a_language_the_encoder_does_not_know_is_ranked_by_its_words(tmp_path: Path) -> None:
    encoder = EnglishEncoder(32)
    question = "Wie lange dauert die Kündigungsfrist für Angestellte?"
    near = encoder.encode_query(question)
    far = -near
    publisher = IndexWriter(tmp_path, encoder.fingerprint, 32)
    publisher.publish(
        [
            IndexRow(1, near, "Nothing that was asked.", "en", 0),
            IndexRow(2, far, "Die Kündigungsfristen für Angestellte stehen hier.", "de", 0),
            IndexRow(3, near, "Nothing either.", "en", 0),
        ]
    )

    hits = rank(Ranker(IndexReader(tmp_path), encoder), question, BitMap([1, 2, 3]), 3).hits

    assert [row for row, _ in hits] == [2, 1, 3]
    assert rank(Ranker(IndexReader(tmp_path), encoder), question, BitMap([1, 3]), 3).hits == ((1, 0.0), (3, 0.0))


def test_a_chunk_in_a_language_the_encoder_does_not_know_gains_nothing_by_its_vector(tmp_path: Path) -> None:
    encoder = EnglishEncoder(32)
    question = "How long is the notice period of an employee?"
    near = encoder.encode_query(question)
    for written_in, first in (("de", 2), ("en", 1)):
        IndexWriter(tmp_path, encoder.fingerprint, 32).publish(
            [
                IndexRow(1, near, "Gar nichts dazu.", written_in, 0),
                IndexRow(2, near / 2 - encoder.encode_query("other"), "the period is a month", "en", 0),
            ]
        )
        hits = rank(Ranker(IndexReader(tmp_path), encoder), question, BitMap([1, 2]), 2).hits
        assert hits[0][0] == first
