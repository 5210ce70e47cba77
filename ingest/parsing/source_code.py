"""Source code: its text to the letter, with the lines that begin definitions as headings of what follows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.documents import Block, BlockKind, Parsed, clean_text
from core.errors import UnreadableDocument
from ingest.parsing.charsets import decode
from ingest.parsing.code_languages import DEFINITIONS, media_type

# No definition begins on a longer line: what is longer was written by a program, and patterns are tried on each line.
_LINE_CHARACTERS = 400
_DEEPEST = 6
_LINE = re.compile(r"[^\n]+")
_CONTROLS = {control: " " for control in range(32) if control not in (9, 10)} | {0x7F: " "}


def parse_code(data: bytes, language: str) -> Parsed:
    """Each definition's first line is a heading, deeper for one within another; all between is code.

    The text is the file's own, comments and indentation included. Raises `UnreadableDocument("empty")`.
    """
    text = clean_text(decode(data)).translate(_CONTROLS).rstrip()
    blocks = tuple(_blocks(text, language))
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise UnreadableDocument("empty", "The file holds no text; there is nothing to index.")
    return Parsed(text, blocks, "", media_type(language))


def _blocks(text: str, language: str) -> Iterator[Block]:
    pattern = DEFINITIONS.get(language)
    indents: list[int] = []
    start = end = -1
    for line in _LINE.finditer(text):
        begin, last = _visible(text, *line.span())
        if begin >= last:
            continue
        is_short = last - line.start() <= _LINE_CHARACTERS
        if pattern is not None and is_short and pattern.match(text, line.start(), line.end()):
            if start >= 0:
                yield Block(BlockKind.CODE, start, end)
            start = -1
            indent = begin - line.start()
            indents = [*(outer for outer in indents if outer < indent), indent]
            yield Block(BlockKind.HEADING, begin, last, min(len(indents), _DEEPEST))
            continue
        start, end = (line.start() if start < 0 else start), last
    if start >= 0:
        yield Block(BlockKind.CODE, start, end)


def _visible(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends."""
    line = text[start:end]
    return start + len(line) - len(line.lstrip()), start + len(line.rstrip())
