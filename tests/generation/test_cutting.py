"""Sentences are cut out of a stream the same way, however it comes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.cutting import SentenceCutter

TEXTS = [
    "The NDA runs for three years [1]. It renews itself [2][3]. Either side may end it.",
    "The NDA runs for three years. [1] It renews itself. [2] [3] Nobody else knows!",
    "Dr. Smith pays 3.5 % of approx. 20 euros, i.e. little [1]. The rest follows on 3. Mai 2024 [2].",
    "Ja, das gilt ab dem 1. Januar [1]. Danach gilt es nicht mehr [2].",
    "第一条规定了期限[1]。第二条规定了例外[2]。",
    "- One thing [1].\n- Another thing [2].\n\nAnd a last one [3].",
    "NO ANSWER",
    "It costs 10 [1]. [2] [3] What else? [4]",
]


def cut(pieces: Sequence[str]) -> list[str]:
    cutter = SentenceCutter()
    return [*(sentence for piece in pieces for sentence in cutter.feed(piece)), *cutter.rest()]


def test_markers_belong_to_the_sentence_before_them() -> None:
    assert cut([TEXTS[1]]) == [
        "The NDA runs for three years [1].",
        "It renews itself [2] [3].",
        "Nobody else knows!",
    ]


@pytest.mark.parametrize("text", TEXTS)
@given(data=st.data())
def test_every_way_of_cutting_a_text_into_pieces_gives_the_same_sentences(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(1, max(1, len(text) - 1)))))
    pieces = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]

    assert cut(pieces) == cut([text])


@pytest.mark.parametrize("text", TEXTS)
def test_one_character_at_a_time_gives_the_same_sentences(text: str) -> None:
    assert cut(list(text)) == cut([text])


def test_a_sentence_is_given_before_the_text_ends() -> None:
    cutter = SentenceCutter()

    assert list(cutter.feed("The NDA runs for three years [1]. It renews itself every ")) == [
        "The NDA runs for three years [1]."
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("It renews itself [1]. Either side may", ["It renews itself [1]."]),
        ("It renews itself [1]. Either side may [2]", ["It renews itself [1]."]),
        ("It renews itself [1]. Either side may end it [2].", ["It renews itself [1].", "Either side may end it [2]."]),
        ("Either side may", []),
    ],
)
def test_of_a_text_that_was_cut_off_a_last_sentence_without_its_end_is_left_out(text: str, kept: list[str]) -> None:
    cutter = SentenceCutter()
    given = list(cutter.feed(text))

    assert [*given, *cutter.rest(cut_off=True)] == kept
