"""The encoder without a model: the same everywhere, and near where words are shared."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.hashing import HashingEncoder


@given(texts=st.lists(st.text(max_size=60), max_size=8), dimension=st.integers(1, 80))
def test_any_text_has_a_vector_of_length_one(texts: list[str], dimension: int) -> None:
    vectors = HashingEncoder(dimension).encode(texts)

    assert vectors.shape == (len(texts), dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


@given(words=st.permutations(["ana", "approves", "travel", "budgets"]))
def test_order_and_case_of_words_do_not_matter(words: list[str]) -> None:
    encoder = HashingEncoder()

    assert np.array_equal(encoder.encode_query(" ".join(words)), encoder.encode_query("Ana approves TRAVEL budgets."))


def test_another_process_computes_the_same_vectors() -> None:
    script = (
        "from inference.hashing import HashingEncoder; print(HashingEncoder(8).encode_query('Ana travels').tolist())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert elsewhere.strip() == str(HashingEncoder(8).encode_query("Ana travels").tolist())
