"""What of a text the encoder can see: for comparing sentences, where the opening of a long one will do."""

from __future__ import annotations

from collections.abc import Sequence

from inference.encoder import Encoder

# A token is a character or more, and seldom more than five: longer texts are cut before they are counted.
_WINDOW_CHARACTERS = 1_200


def within_window(texts: Sequence[str], encoder: Encoder) -> list[str]:
    """`texts`, each cut to an opening that the encoder sees whole."""
    fitting = [text[:_WINDOW_CHARACTERS] for text in texts]
    while over := [i for i, n in enumerate(encoder.count_tokens(fitting)) if n > encoder.window_tokens]:
        for i in over:
            fitting[i] = fitting[i][: len(fitting[i]) * 3 // 4]
    return fitting
