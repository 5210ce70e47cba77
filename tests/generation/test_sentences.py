"""Sentences: what is cut, and where."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.sentences import SentenceKind, plain, split_sentences


def cut(text: str) -> list[str]:
    return [text[s.start : s.end] for s in split_sentences(text)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith paid 3.5 m.", "He left in 1990."],
        ["The U.S. Army came, i.e. they did.", '"Yes!" she said.'],
        ["See fig. 3 for the rates.", "J. R. Tolkien wrote it (in 1954).", "Is it so?"],
        ["It grew by 4.2 %.[3]", "Then it fell."],
        ["Sie gilt seit dem 1. Februar 2023.", "Es war 1999.", "Januar kam."],
    ],
)
def test_prose_is_cut_at_its_stops_and_not_at_abbreviations_or_decimals(sentences: list[str]) -> None:
    assert cut(" ".join(sentences)) == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["今日は雨。", "明日は晴れ！", "そう？"],
        ["合同期限为三年。", "双方可以续签。"],
        ["यह एक है।", " दूसरा वाक्य।"],
        ["ما هذا؟", " نعم."],
    ],
)
def test_scripts_are_cut_at_their_own_stops(sentences: list[str]) -> None:
    assert cut("".join(sentences)) == [sentence.strip() for sentence in sentences]


def test_thai_is_cut_at_spaces_into_spans_of_a_sentences_length() -> None:
    clause = "บริษัทกำหนดให้พนักงานทุกคนส่งรายงานประจำเดือนภายในวันที่ห้าของเดือนถัดไป"

    assert len(cut(" ".join([clause] * 6))) > 1


def test_headings_list_items_and_table_rows_are_sentences_of_their_own() -> None:
    text = "# Leave\n\nYou get leave:\n\n- thirty days\n- more later\n\n| Grade | Days |\n|---|---|\n| A | 30 |\n"

    found = [(text[s.start : s.end], s.kind) for s in split_sentences(text)]

    assert found == [
        ("Leave", SentenceKind.HEADING),
        ("You get leave:", SentenceKind.PROSE),
        ("thirty days", SentenceKind.ITEM),
        ("more later", SentenceKind.ITEM),
        ("| Grade | Days |", SentenceKind.ROW),
        ("| A | 30 |", SentenceKind.ROW),
    ]


def test_a_wrapped_line_does_not_end_a_sentence() -> None:
    assert cut("The term is\nthree years. It renews.") == ["The term is\nthree years.", "It renews."]


def test_a_sentence_reads_in_an_answer_without_markup_or_reference_marks() -> None:
    assert plain("**Ask** [the desk](https://example.org/x)\nfirst [12].") == "Ask the desk first."
    assert plain("| Grade A | 30 days |") == "Grade A, 30 days"


@given(st.text(alphabet="aA1 .!?\n|#-*。।؟ก中[]()\"'", max_size=200))
def test_sentences_are_ordered_apart_trimmed_and_miss_no_letter(text: str) -> None:
    found = split_sentences(text)

    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(text[s.start : s.end].strip() == text[s.start : s.end] != "" for s in found)
    letters = "".join(text[s.start : s.end] for s in found)
    assert all(letters.count(letter) == text.count(letter) for letter in "中ก")
