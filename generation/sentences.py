"""Sentences of a text with their offsets: prose, headings, list items and table rows, in any script.

Pure, and quick enough to run on every passage of a question. Boundaries follow the spirit of Unicode UAX #29
(sentence boundaries) with the corrections that running prose needs: abbreviations, initials and decimals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import regex


class SentenceKind(StrEnum):
    PROSE = "prose"
    HEADING = "heading"
    ITEM = "item"
    ROW = "row"


@dataclass(frozen=True)
class Sentence:
    """`text[start:end]`, in code points, never empty and without surrounding white space.

    A list item is split like prose, and its marker belongs to no sentence; a table row is one sentence.
    """

    start: int
    end: int
    kind: SentenceKind


def split_sentences(text: str) -> list[Sentence]:
    """Every sentence of `text` in reading order; they do not overlap."""
    return [sentence for unit in _units(text) for sentence in _sentences_of(text, unit)]


_LINK = regex.compile(r"!?\[([^\]\n]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)")
_REFERENCE = regex.compile(r"\s*\[\d{1,3}\]")
_MARKUP = regex.compile(r"\*\*|__|`")
_CELLS = regex.compile(r"\s*(?:\|\s*)+")


def plain(text: str) -> str:
    """A sentence as it reads in an answer: one line, links as their text, no reference marks, commas between cells."""
    bare = _MARKUP.sub("", _REFERENCE.sub("", _LINK.sub(r"\1", text)))
    return " ".join(_CELLS.sub(", ", bare.strip().strip("|")).split()) if "|" in bare else " ".join(bare.split())


_LINE = regex.compile(r"[^\n]*\n?")
_ITEM = regex.compile(r"[ \t]*(?:[-*+•‣◦▪–]|\d{1,3}[.)]|[a-zA-Z][.)]|\[[ xX]\])[ \t]+(?:\[[ xX]\][ \t]+)?")
_HEADING = regex.compile(r"[ \t]*#{1,6}[ \t]+")
_ROW = regex.compile(r"[ \t]*\||[^|\n]*\|[^|\n]*\||[^\t\n]+\t[^\t\n]+")
_RULE = regex.compile(r"[\s|:=_*`~+-]*")
_HEADING_CHARS = 90
_ENDS_PROSE = regex.compile(r"[.!?…。！？।॥؟۔:;,]['\"”’»)\]*_]*$")


def _units(text: str) -> Iterator[Sentence]:
    """Headings, items, rows and paragraphs; a paragraph or item runs on over its wrapped lines."""
    start = end = 0
    kind = SentenceKind.PROSE
    lines = 0
    for line in _LINE.finditer(text):
        blank = _RULE.fullmatch(line.group()) is not None
        own = None if blank else _line_kind(line.group())
        if (blank or own is not None) and lines:
            yield _unit(text, start, end, kind, lines)
            lines = 0
        if blank:
            continue
        if own in (SentenceKind.HEADING, SentenceKind.ROW):
            yield Sentence(line.start(), line.end(), own)
            continue
        if not lines:
            start, kind = line.start(), own or SentenceKind.PROSE
        end, lines = line.end(), lines + 1
    if lines:
        yield _unit(text, start, end, kind, lines)


def _line_kind(line: str) -> SentenceKind | None:
    """What a line's first characters make of it; None for a line of prose."""
    if _HEADING.match(line):
        return SentenceKind.HEADING
    if _ITEM.match(line):
        return SentenceKind.ITEM
    return SentenceKind.ROW if _ROW.match(line) else None


def _unit(text: str, start: int, end: int, kind: SentenceKind, lines: int) -> Sentence:
    """A short line of its own that ends like no sentence is a heading, as parsers leave them."""
    line = text[start:end].strip()
    alone = kind is SentenceKind.PROSE and lines == 1 and len(line) <= _HEADING_CHARS
    if alone and "\n" in text[end - 1 : end + 1] and end < len(text) and not _ENDS_PROSE.search(line):
        kind = SentenceKind.HEADING
    return Sentence(start, end, kind)


# A stop that ends a sentence: with closing quotes and brackets, before white space; in scripts that write
# without spaces, anywhere.
_STOP = regex.compile(r"[.!?…؟۔]+['\"”’»)\]*_]*(?:\[[^\]\n]{1,24}\])*(?=\s)|[。！？｡।॥]+[」』”’）)\"']*")
_OPENS = regex.compile(r"\s+['\"“‘«(\[*_¿¡—–-]*[^\s\p{Ll}]")
_ABBREVIATIONS = frozenset(
    """mr mrs ms dr prof sr jr st mt rev hon gen col maj capt lt sgt gov sen rep pres messrs vs etc e.g i.e cf al fig
    figs eq sec ch vol vols no nos art arts op ed eds pp p approx est dept inc ltd co corp jan feb mar apr jun jul aug
    sep sept oct nov dec u.s u.k u.n d.c a.m p.m ph.d bzw z.b d.h u.a ca nr bd usw sog geb gest sra sres dra ud uds
    núm pág av т.е т.д г гг им ул""".split()  # noqa: SIM905
)
# German writes the day of a date as an ordinal, "1. Februar", and capitals its months as it does any noun.
_ORDINAL_DAY = regex.compile(
    r"(?<=(?<!\d)\d{1,2})\.\s+(?:J[aä]n(?:uar|ner)|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember)\b"
)
_WORD_BEFORE = regex.compile(r"[\p{L}.]+$")
_INITIAL = regex.compile(r"\p{Lu}|(?:\p{L}\.)+\p{L}")


def _sentences_of(text: str, unit: Sentence) -> Iterator[Sentence]:
    """A unit cut at its stops; headings and rows whole."""
    start = unit.start
    marker = {SentenceKind.HEADING: _HEADING, SentenceKind.ITEM: _ITEM}.get(unit.kind)
    if marker and (match := marker.match(text, start, unit.end)):
        start = match.end()
    if unit.kind in (SentenceKind.PROSE, SentenceKind.ITEM):
        for end in _ends(text, start, unit.end):
            yield from _trimmed(text, start, end, unit.kind)
            start = end
    yield from _trimmed(text, start, unit.end, unit.kind)


def _ends(text: str, start: int, end: int) -> Iterator[int]:
    if _THAI.search(text, start, min(end, start + 200)):
        yield from _thai_ends(text, start, end)
        return
    for stop in _STOP.finditer(text, start, end):
        before = text[max(start, stop.start() - 12) : stop.start()]
        unspaced = stop.group()[0] in "。！？｡।॥"
        if unspaced or (
            _OPENS.match(text, stop.end(), end)
            and not _abbreviates(before, stop.group())
            and not _ORDINAL_DAY.match(text, stop.start(), end)
        ):
            yield stop.end()


# Thai separates sentences, and much else, by spaces alone: cut at the first space after a sentence's usual length.
_THAI = regex.compile(r"\p{Thai}{12}")
_THAI_CHARS = 90


def _thai_ends(text: str, start: int, end: int) -> Iterator[int]:
    for space in regex.finditer(r"\s+", text, pos=start, endpos=end):
        if space.start() - start >= _THAI_CHARS:
            yield space.start()
            start = space.end()


def _abbreviates(before: str, stop: str) -> bool:
    """Whether a single full stop after `before` marks an abbreviation or an initial."""
    if stop != ".":
        return False
    match = _WORD_BEFORE.search(before)
    if match is None:
        return False
    word = match.group().lstrip(".")
    return word.casefold() in _ABBREVIATIONS or _INITIAL.fullmatch(word) is not None


def _trimmed(text: str, start: int, end: int, kind: SentenceKind) -> Iterator[Sentence]:
    span = text[start:end]
    start += len(span) - len(span.lstrip())
    end = start + len(span.strip())
    if end > start:
        yield Sentence(start, end, kind)
