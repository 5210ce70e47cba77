"""What a document is made of, for scoring parsers: its words, its headings and the rows of its tables."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from core.documents import BlockKind, Parsed

_WORD = re.compile(r"\w+")
# A reference's comments, and the targets of its links, which no reader of the document sees.
_MARKS = re.compile(r"<!--.*?-->|\]\([^)]*\)", re.S)
# Markdown's escapes (CommonMark 0.31, 2.4): the backslash is not of the text.
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*)$", re.M)
_ROW = re.compile(r"^\s*\|.*\|\s*$", re.M)
_RULE = re.compile(r"^[\s|:-]*$")

Words = Counter[str]
Lines = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Structure:
    """The words of a document; its headings and its tables' rows, each line as its words.

    Of a row the words count once and in no order, since converters repeat a merged cell's text or do not.
    """

    words: Words
    headings: Lines
    rows: Lines


def of_markdown(text: str) -> Structure:
    """The structure of a Markdown text; what only Markdown needs (escapes, targets of links, rules) is left out."""
    text = _MARKS.sub(" ", text)
    body = _FENCED.sub("", text)
    rows = (row for row in _ROW.findall(body) if not _RULE.match(row))
    return Structure(
        Counter(_words(_plain(text))),
        _lines(tuple(_words(_plain(line))) for line in _HEADING.findall(body)),
        _lines(_row(_plain(line)) for line in rows),
    )


def of_parsed(parsed: Parsed) -> Structure:
    """The structure of a document that our parsers read."""
    texts = [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]
    return Structure(
        Counter(_words(parsed.text)),
        _lines(tuple(_words(text)) for kind, text in texts if kind is BlockKind.HEADING),
        _lines(_row(line) for kind, text in texts if kind is BlockKind.TABLE for line in text.split("\n")),
    )


def _plain(markdown: str) -> str:
    return html.unescape(_ESCAPE.sub(r"\1", markdown))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _row(line: str) -> tuple[str, ...]:
    return tuple(sorted(set(_words(line))))


def _lines(lines: Iterable[tuple[str, ...]]) -> Lines:
    return Counter(line for line in lines if line)
