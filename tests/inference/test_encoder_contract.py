"""What every encoder promises, kept by each of them."""

from __future__ import annotations

import numpy as np
import pytest

from inference.encoder import Encoder
from inference.hashing import HashingEncoder
from inference.minilm import load_default_encoder
from inference.remembering import RememberingEncoder
from inference.window import TextOverWindow

TEXTS = [
    "The non-disclosure agreement runs for three years after it ends.",
    "",
    "Zürich: 300 000 Fr. für die Sanierung, sagt Müller-Łukasiewicz.",
    "日本語の文書 🦉 والعربية",
    "Leave requests go to your manager. " * 20,
]


@pytest.fixture(scope="module", params=["hashing", "minilm", "remembering"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    if request.param == "hashing":
        return HashingEncoder()
    if request.param == "remembering":
        return RememberingEncoder(HashingEncoder())
    return load_default_encoder(threads=2)


def test_every_text_gets_a_row_of_length_one_in_the_order_given(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)

    assert vectors.shape == (len(TEXTS), encoder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    for row, text in zip(vectors, TEXTS, strict=True):
        assert row @ encoder.encode([text])[0] == pytest.approx(1, abs=1e-3)


def test_no_texts_give_no_rows(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dimension)
    assert encoder.count_tokens([]) == []


def test_a_question_lands_where_the_same_text_lands_as_a_chunk(encoder: Encoder) -> None:
    for text, row in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        question = encoder.encode_query(text)

        assert question.shape == (encoder.dimension,)
        assert question @ row == pytest.approx(1, abs=1e-3)


def test_shared_words_bring_texts_together(encoder: Encoder) -> None:
    question = encoder.encode_query("How long does the non-disclosure agreement run?")
    similarities = encoder.encode(TEXTS) @ question

    assert int(np.argmax(similarities)) == 0


def test_a_longer_text_never_counts_fewer_tokens_and_counting_never_cuts(encoder: Encoder) -> None:
    short, long = encoder.count_tokens(["budget", "budget " * 5000])

    assert short >= 1
    assert long - short == 4999


def test_a_text_over_the_window_is_refused_and_never_cut(encoder: Encoder) -> None:
    alone = encoder.count_tokens(["word"])[0]
    whole = "word " * (encoder.window_tokens - alone + 1)

    assert encoder.count_tokens([whole]) == [encoder.window_tokens]
    assert encoder.encode([whole]).shape == (1, encoder.dimension)
    with pytest.raises(TextOverWindow) as refusal:
        encoder.encode(["word", whole + "word"])
    assert refusal.value.position == 1
    assert refusal.value.tokens == encoder.window_tokens + 1
