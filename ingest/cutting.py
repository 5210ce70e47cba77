"""Where a block's text may be cut: between sentences, rows and lines, then between words, then anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.documents import BlockKind

Span = tuple[int, int]

_WHOLE_CHARACTERS = 240
_SENTENCE_END = re.compile(
    r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[^\W\d_]|[\"'“‘(\[\d])"  # most scripts put a space after a sentence,
    r"|(?<=[。！？｡])[」』”’）]*"  # Chinese and Japanese none
    r"|\n+"
)
_VISIBLE = re.compile(r"\S(?:.*\S)?", re.S)


def units(kind: BlockKind, text: str) -> Iterator[Span]:
    """The runs of a block kept whole where they fit: rows, lines of code, sentences, short blocks and headings."""
    if kind in (BlockKind.TABLE, BlockKind.CODE):
        ends = [match.end() for match in re.finditer(r"\n", text)]
    elif kind is BlockKind.HEADING or len(text) <= _WHOLE_CHARACTERS:
        ends = []
    else:
        ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    for start, end in zip([0, *ends], [*ends, len(text)], strict=True):
        yield from visible(text, start, end)


def pieces(text: str, start: int, end: int, size: int) -> Iterator[Span]:
    """`text[start:end]` in pieces of at most `size` characters, cut between words where it has any."""
    while start < end:
        cut = last_word_end(text, start, min(start + size, end), end)
        yield from visible(text, start, cut)
        start = cut


def visible(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without white space at its ends; nothing if it is nothing else."""
    found = _VISIBLE.search(text, start, end)
    if found:
        yield found.span()


def last_word_end(text: str, start: int, end: int, last: int) -> int:
    """`end`, or the last place before it, but past the half, where a word ends; `last` if it lies no further."""
    if end >= last:
        return last
    for place in range(end, (start + end) // 2, -1):
        if text[place].isspace():
            return place
    return end


def head(text: str, tokens: int, limit: int) -> str:
    """The beginning of `text` that should take `limit` of its `tokens`."""
    if tokens <= limit:
        return text
    return text[: last_word_end(text, 0, len(text) * limit // tokens, len(text))].rstrip(" |")
