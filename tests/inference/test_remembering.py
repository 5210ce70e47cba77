"""Questions that were encoded a moment ago are not encoded again."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.hashing import HashingEncoder
from inference.remembering import RememberingEncoder


def test_a_question_is_encoded_once_and_its_vector_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    encode = HashingEncoder.encode_query

    def counted(self: HashingEncoder, text: str) -> NDArray[np.float32]:
        asked.append(text)
        return encode(self, text)

    monkeypatch.setattr(HashingEncoder, "encode_query", counted)
    encoder = RememberingEncoder(HashingEncoder())

    for question in ("How long?", "How much?", "How long?"):
        np.testing.assert_array_equal(encoder.encode_query(question), encode(HashingEncoder(), question))
    with pytest.raises(ValueError, match="read-only"):
        encoder.encode_query("How long?")[0] = 1

    assert asked == ["How long?", "How much?"]
