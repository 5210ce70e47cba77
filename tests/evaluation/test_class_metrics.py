from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.classification import (
    accuracy,
    auroc,
    f1,
    false_positive_rate,
    precision_and_recall,
    recall_at_false_positive_rate,
)

# Few different scores, so that ties are common.
rows = st.lists(st.tuples(st.integers(0, 5).map(float), st.booleans()), min_size=2).filter(
    lambda found: len({wanted for _, wanted in found}) == 2
)


@given(rows)
def test_auroc_is_the_share_of_pairs_in_the_right_order(found: list[tuple[float, bool]]) -> None:
    scores, positive = zip(*found, strict=True)
    pairs = [
        1.0 if good > bad else 0.5 if good == bad else 0.0
        for good, wanted in found
        for bad, unwanted in found
        if wanted and not unwanted
    ]

    assert auroc(scores, positive) == pytest.approx(sum(pairs) / len(pairs))


@given(rows, st.floats(0, 1))
def test_recall_at_a_false_positive_rate_is_the_best_of_any_threshold_that_keeps_it(
    found: list[tuple[float, bool]], rate: float
) -> None:
    scores, positive = zip(*found, strict=True)
    best = 0.0
    for threshold in range(7):
        flagged = [score >= threshold for score in scores]
        wrong = sum(flag for flag, wanted in zip(flagged, positive, strict=True) if not wanted) / positive.count(False)
        right = sum(flag for flag, wanted in zip(flagged, positive, strict=True) if wanted) / positive.count(True)
        best = max(best, right if wrong <= rate else 0.0)

    assert recall_at_false_positive_rate(scores, positive, rate) == pytest.approx(best)


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    flagged, positive = [True, True, True, False, False], [True, False, True, True, False]
    precision, recall = precision_and_recall(flagged, positive)

    assert (precision, recall) == (2 / 3, 2 / 3)
    assert f1([True, False, False], [True, True, True]) == pytest.approx(2 * 1 * (1 / 3) / (1 + 1 / 3))
    assert false_positive_rate(flagged, positive) == 1 / 2
    assert accuracy(flagged, positive) == 3 / 5


def test_a_figure_that_needs_a_class_the_set_lacks_is_none_and_not_zero() -> None:
    assert auroc([0.1, 0.9], [True, True]) is None
    assert recall_at_false_positive_rate([0.1, 0.9], [False, False], 0.01) is None
    assert false_positive_rate([True], [True]) is None
    assert f1([True], [False]) is None
    assert precision_and_recall([False], [False]) == (None, None)
