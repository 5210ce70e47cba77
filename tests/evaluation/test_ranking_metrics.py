from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.metrics import has_relevant, mean, ndcg, recall, reciprocal_rank, success

DOCUMENTS = "abcdef"
grades_with_a_relevant_one = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(-1, 4), min_size=1).filter(
    has_relevant
)
rankings = st.lists(st.sampled_from([*DOCUMENTS, "unjudged"]), unique=True)
depths = st.integers(1, 8)


def test_ndcg_is_the_discounted_gain_over_that_of_the_best_order() -> None:
    grades = {"d1": 3.0, "d2": 2.0, "d3": 3.0, "d4": 0.0, "d5": 1.0, "d6": 2.0, "d7": 3.0}
    gained = 3 / math.log2(2) + 2 / math.log2(3) + 3 / math.log2(4) + 0 + 1 / math.log2(6) + 2 / math.log2(7)
    # The best order also has the document that was not found.
    best = (
        3 / math.log2(2) + 3 / math.log2(3) + 3 / math.log2(4) + 2 / math.log2(5) + 2 / math.log2(6) + 1 / math.log2(7)
    )

    assert ndcg(["d1", "d2", "d3", "d4", "d5", "d6"], grades, 6) == pytest.approx(gained / best)


@given(ranking=rankings, grades=grades_with_a_relevant_one, k=depths)
def test_ndcg_equals_the_gain_divided_by_the_largest_gain_of_any_order(
    ranking: list[str], grades: dict[str, float], k: int
) -> None:
    def gain(order: tuple[str, ...]) -> float:
        return sum(max(grades.get(one, 0), 0) / math.log2(i + 2) for i, one in enumerate(order[:k]))

    largest = max(gain(order) for order in itertools.permutations(grades))

    assert ndcg(ranking, grades, k) == pytest.approx(gain(tuple(ranking)) / largest)


@given(ranking=rankings, grades=grades_with_a_relevant_one, k=depths)
def test_recall_counts_relevant_documents_one_by_one(ranking: list[str], grades: dict[str, float], k: int) -> None:
    relevant = [one for one in DOCUMENTS if grades.get(one, 0) > 0]

    assert recall(ranking, grades, k) == sum(one in ranking[:k] for one in relevant) / len(relevant)


@given(ranking=rankings, grades=grades_with_a_relevant_one, k=depths)
def test_reciprocal_rank_looks_at_the_first_relevant_document_only(
    ranking: list[str], grades: dict[str, float], k: int
) -> None:
    expected = 0.0
    for rank in range(min(k, len(ranking)), 0, -1):
        if grades.get(ranking[rank - 1], 0) > 0:
            expected = 1 / rank

    assert reciprocal_rank(ranking, grades, k) == expected


def test_success_asks_for_one_relevant_document_among_the_first() -> None:
    grades = {"a": 0, "b": 2, "c": 1}
    assert [success("xabc", grades, k) for k in (1, 2, 3, 4)] == [0.0, 0.0, 1.0, 1.0]


def test_a_document_judged_not_relevant_is_worth_as_little_as_an_unjudged_one() -> None:
    judged = {"a": 1.0, "b": 0.0, "c": -1.0}

    assert ndcg(["b", "c", "a"], judged, 3) == ndcg(["x", "y", "a"], judged, 3)
    assert not has_relevant({"b": 0.0, "c": -1.0})


def test_a_mean_of_nothing_is_no_figure() -> None:
    assert mean([]) is None
    assert mean([0.0, 1.0]) == 0.5
