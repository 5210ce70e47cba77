"""What is preferred among passages that fit about as well: other documents, and what came in lately."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from prose import prose
from test_ranked_once import ANA, one_page, shelve

from catalog.database import bump_epoch
from catalog.models import DocumentVersion
from core.answers import Passage
from retrieval.diversity import Diversity
from retrieval.ranking import Ranker, Ranking
from retrieval.recency import MAX_DISCOUNT, Recency
from retrieval.repeats import Ranked
from retrieval.search import Searcher
from wiring.home import Home

TODAY = date(2026, 6, 1)


def passage(row: int, document: int) -> Passage:
    return Passage(row, str(row), f"d{document}", 1, "s", f"{document}.md", "", "", (), None, 0, 1, "x")


def ranking(*placed: tuple[int, float]) -> list[Ranked]:
    """Passages of these documents with these scores, numbered from 0."""
    return [Ranked(passage(row, document), score) for row, (document, score) in enumerate(placed)]


def rows(ranked: list[Ranked]) -> list[int]:
    return [one.passage.row for one in ranked]


rankings = st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), max_size=30).map(
    lambda placed: ranking(*sorted(placed, key=lambda one: -one[1]))
)


def test_a_third_passage_makes_way_for_another_document_that_fits_about_as_well() -> None:
    ranked = ranking((1, 0.90), (1, 0.89), (1, 0.88), (2, 0.86), (3, 0.50))

    assert rows(Diversity(2, 0.05).spread(ranked, 4)) == [0, 1, 3, 2, 4]
    assert rows(Diversity(2, 0.01).spread(ranked, 4)) == [0, 1, 2, 3, 4]
    assert rows(Diversity(3, 0.05).spread(ranked, 4)) == [0, 1, 2, 3, 4]
    assert rows(Diversity(2, 0.05).spread(ranked, 2)) == [0, 1, 2, 3, 4]


@given(ranked=rankings, k=st.integers(1, 20), per_document=st.integers(1, 3), margin=st.floats(0, 0.5))
def test_spreading_leaves_nothing_out_and_documents_in_their_order(
    ranked: list[Ranked], k: int, per_document: int, margin: float
) -> None:
    """Nobody comes before a passage that fits better by more than the margin, and documents rank as they did."""
    spread = Diversity(per_document, margin).spread(ranked, k)

    def documents(some: list[Ranked]) -> list[str]:
        return list(dict.fromkeys(one.passage.document_id for one in some))

    assert sorted(rows(spread)) == sorted(rows(ranked))
    assert documents(spread) == documents(ranked)
    for place, one in enumerate(spread):
        assert all(one.score >= later.score * (1 - margin) for later in spread[place + 1 :])


def test_one_document_does_not_take_every_place(home: Home, tmp_path: Path) -> None:
    """A long document about the question, and three that say a little of it; every score stays in its order."""
    sentences = prose(1)
    long = "\n\n".join(f"## Part {n}\n\n" + " ".join(sentences[:12]) + f" And that was part {n}." for n in range(12))
    short = {f"short-{n}.md": f"# Short {n}\n\n{' '.join(sentences[:12])} And it was short {n}." for n in range(3)}
    shelve(home, tmp_path / "org", {"long.md": f"# Long\n\n{long}"} | short)
    fair, plain = (replace(home.searcher, diversity=one) for one in (Diversity(3, 1.0), None))

    def first_ten(searcher: Searcher) -> list[str]:
        hits = searcher.search(" ".join(sentences[1].split()[:6]), ANA, 10).hits
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert len({hit.passage.row for hit in hits}) == 10
        return [hit.passage.external_id for hit in hits]

    assert first_ten(fair)[:6].count("long.md") <= 3
    assert set(first_ten(fair)) == {"long.md", *short}
    assert first_ten(plain).count("long.md") > first_ten(fair)[:6].count("long.md")


def in_days(days: list[int]) -> NDArray[np.int64]:
    """When something of so many days ago came in."""
    ago = [datetime(2026, 6, 1, 12, tzinfo=UTC) - timedelta(days=one) for one in days]
    return np.array([int(one.timestamp()) * 1_000_000 for one in ago])


def test_age_takes_half_of_its_share_in_a_half_life_and_never_more_than_all_of_it() -> None:
    kept = Recency(timedelta(days=30)).kept(in_days([0, 30, 60, 100_000, -5]), TODAY)

    assert kept == pytest.approx([1, 1 - MAX_DISCOUNT / 2, 1 - MAX_DISCOUNT * 3 / 4, 1 - MAX_DISCOUNT, 1])


def test_of_two_passages_that_fit_alike_the_newer_comes_first_and_a_better_one_stays_before_both() -> None:
    hits = [(1, 0.9), (2, 0.5), (3, 0.5), (4, 0.5)]
    preferred, _ = Recency(timedelta(days=30)).preferred(hits, in_days([1_000, 400, 3, 3]), TODAY)

    assert [row for row, _ in preferred] == [1, 3, 4, 2]
    early, late = (
        np.array([int(datetime(2026, 6, 1, hour, tzinfo=UTC).timestamp()) * 1_000_000] * 4) for hour in (0, 23)
    )
    recency = Recency(timedelta(days=30))
    assert recency.preferred(hits, early, TODAY) == recency.preferred(hits, late, TODAY), "a day has one ranking"


@given(
    scored=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 900)), min_size=1, max_size=60),
    looked_at=st.integers(1, 60),
)
def test_what_is_certain_is_what_ranking_all_of_them_gives(scored: list[tuple[float, int]], looked_at: int) -> None:
    scored.sort(key=lambda one: -one[0])
    hits, days = [(row, score) for row, (score, _) in enumerate(scored)], in_days([age for _, age in scored])
    recency = Recency(timedelta(days=30))

    everything, _ = recency.preferred(hits, days, TODAY)
    some, certain = recency.preferred(hits[:looked_at], days[:looked_at], TODAY)

    assert some[:certain] == everything[:certain]


@dataclass(frozen=True)
class AgedRanker(Ranker):
    """Ranks rows by their numbers, each a little worse than the one before."""

    def rank(self, *arguments: Any) -> Ranking:
        _, _, readable, k, _ = arguments
        return Ranking(tuple((row, 1 - 0.001 * place) for place, row in enumerate(sorted(readable)[:k])), {}, 0)


def test_a_search_looks_as_deep_as_it_takes_for_the_newest(home: Home, tmp_path: Path) -> None:
    """The best is the last of sixty: all before it came in years ago, and each fits a thousandth better."""
    shelve(home, tmp_path / "org", {f"{n:02}.md": one_page(f"Else {n}", prose(n + 1)) for n in range(60)})
    with home.catalog.write() as session:
        bump_epoch(session)
        for version in session.query(DocumentVersion):
            version.created_at = datetime(2020, 1, 1, tzinfo=UTC)
        version.created_at = datetime(2026, 5, 31, tzinfo=UTC)
        newest = version.document_id
    ranked = replace(home.searcher, ranker=AgedRanker(home.index_reader, home.encoder))
    aware = replace(ranked, recency=Recency(timedelta(days=30)), clock=lambda: datetime(2026, 6, 1, tzinfo=UTC))

    first, second = (one.search("what is new", ANA, 3).hits[0].passage.document_id for one in (aware, ranked))

    assert (first == newest, second == newest) == (True, False)
