"""The plain chunks that peers are given: about 200 of the model's tokens each, overlapping by 40."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

TOKENS, OVERLAP = 200, 40
"""As the plain hybrid reference of the labelled sets has them; with a title they fit a window of 256."""

_SPECIAL_TOKENS = 2
"""What a model of BERT's kind adds to every text that it counts."""
_PIECE = re.compile(rf"\S{{1,{OVERLAP}}}\s*")
"""A word with the space behind it; scripts without spaces are cut anywhere, so that no piece is too long."""


@dataclass(frozen=True)
class Chunk:
    """A part of a document, under the document's title."""

    document: str
    text: str


def cut(text: str, count_tokens: Callable[[Sequence[str]], list[int]]) -> Iterator[str]:
    """The text in parts of at most `TOKENS`, each beginning with the last `OVERLAP` of the one before; one at least."""
    pieces = _PIECE.findall(text)
    distinct = list(dict.fromkeys(pieces))
    lengths = {
        piece: max(1, count - _SPECIAL_TOKENS) for piece, count in zip(distinct, count_tokens(distinct), strict=True)
    }
    start = 0
    while True:
        end, tokens = start, 0
        while end < len(pieces) and (end == start or tokens + lengths[pieces[end]] <= TOKENS):
            tokens += lengths[pieces[end]]
            end += 1
        yield "".join(pieces[start:end]).strip()
        if end >= len(pieces):
            return
        start, again = end, 0
        while start > 1 and again + lengths[pieces[start - 1]] <= OVERLAP:
            start -= 1
            again += lengths[pieces[start]]
