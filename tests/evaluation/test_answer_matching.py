from __future__ import annotations

import pytest

from evaluation.matching import exact_match, holds_any, token_f1, without_markers


@pytest.mark.parametrize(
    ("answer", "accepted", "equal"),
    [
        ("the Denver Broncos!", "Denver  broncos", 1.0),
        ("An answer", "answer", 1.0),
        ("theatre", "atre", 0.0),
        ("1,000", "1000", 1.0),
        ("Carolina Panthers", "Denver Broncos", 0.0),
    ],
)
def test_exact_match_forgets_case_articles_and_punctuation_only(answer: str, accepted: str, equal: float) -> None:
    assert exact_match(answer, ["something else", accepted]) == equal


def test_f1_is_the_harmonic_mean_of_shared_words_with_the_best_accepted_answer() -> None:
    # "in", "10th", "century" against "10th", "and", "11th", "centuries": one word is shared.
    precision, recall = 1 / 3, 1 / 4

    f1 = token_f1("in the 10th century", ["10th and 11th centuries", "Denmark"])

    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert token_f1("", ["France"]) == 0.0
    assert token_f1("word word", ["word"]) == pytest.approx(2 * (1 / 2) * 1 / (1 / 2 + 1))


def test_an_accepted_answer_is_found_in_a_quote_whatever_its_case_and_white_space() -> None:
    assert holds_any("The term is\nTHREE\u00a0 years.", ["four years", "three years"])
    assert holds_any("Die STRASSE ist lang", ["straße"])
    assert holds_any("caf\u00e9", ["cafe\u0301"])
    assert not holds_any("The term is three long years.", ["three years"])


def test_only_the_markers_of_citations_are_left_out_of_an_answer() -> None:
    assert (
        without_markers("It runs three years [1][2]. See [3] and [2024].", 2)
        == "It runs three years. See [3] and [2024]."
    )
