"""Lexical retrieval: BM25 over the readable chunks, with statistics of the readable chunks only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.postings import term_key
from retrieval.index.segment import Segment, language_code
from retrieval.index.selection import Selection
from retrieval.scoring import Loops, Terms, loops

# Trotman, Puurula and Burgess, "Improvements to BM25 and Language Models Examined", ADCS 2014, found k1 0.9 and b 0.4
# best over their collections; over ours, whose chunks are of like length, b does best between that and the usual 0.75.
K1 = 0.9
B = 0.6


@dataclass(frozen=True)
class LexicalScores:
    """The BM25 scores of a selection for one query: at least 0, and 0 where no term occurs."""

    selection: Selection
    terms: tuple[Terms, ...]
    """For each segment."""
    loops: Loops
    having: tuple[int, ...] = ()
    """How many chunks hold each of the terms, in the order given."""

    def best(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The slots of the k best positive scores, best first, equal ones by row; and their scores."""
        parts = [self.loops.best(terms, k) for terms in self.terms]
        slots = np.concatenate(
            [np.zeros(0, np.int64), *(self.selection.slots_at(i, found) for i, (found, _) in enumerate(parts))]
        )
        scores = np.concatenate([np.zeros(0, np.float32), *(found for _, found in parts)])
        order = np.lexsort((self.selection.rows_of(slots), -scores))[:k]
        return slots[order], scores[order]

    def of(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of some slots."""
        scores = np.zeros(len(slots), np.float32)
        if self.terms:
            for number, here, positions in self.selection.within(slots):
                scores[here] = self.loops.of(self.terms[number], positions)
        return scores


def bm25(
    selection: Selection,
    terms: Sequence[tuple[str, float]],
    using: Loops | None = None,
    language: str = "",
    k1: float = K1,
    b: float = B,
) -> LexicalScores:
    """The BM25 scores of a selection for weighted `terms`.

    With a `language` (ISO 639-1), a term is rare or common among the chunks in that language: among a hundred English
    pages a German article would be the rarest word of a German question. Should more chunks hold one of the terms, the
    language is not theirs alone, and so many are what the others are compared with.

    The number of chunks, their mean length and how many of them hold a term are those of the selection. Statistics of
    a whole index would tell what it holds to people who may not read it (Wang et al., "Side-Channel Attacks on Shared
    Search Indexes", IEEE S&P 2017). The inverse document frequency is Lucene's, which is never negative.
    """
    using = using or loops()
    if not terms or len(selection) == 0:
        return LexicalScores(selection, (), using)
    found = _postings(selection, [term for term, _ in terms])
    having = np.sum([using.counts(postings) for postings in found], axis=0)
    among = max(selection.speaking(language_code(language)), int(having.max())) if language else len(selection)
    gains = [
        weight * inverse_frequency(among, int(df)) * (k1 + 1) for (_, weight), df in zip(terms, having, strict=True)
    ]
    base, slope = _normalization(selection, k1, b)
    scored = (
        Terms(at.arrays, at.readable, at.first, at.last, np.array(gains, np.float32), base, slope) for at in found
    )
    return LexicalScores(selection, tuple(scored), using, tuple(having.tolist()))


def frequencies(selection: Selection, terms: Sequence[str], using: Loops | None = None) -> list[int]:
    """How many chunks of a selection hold each of some terms."""
    if not terms or len(selection) == 0:
        return [0] * len(terms)
    counts = np.sum([(using or loops()).counts(postings) for postings in _postings(selection, terms)], axis=0)
    return [int(count) for count in counts]


def holding(selection: Selection, term: str, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some slots hold a term."""
    found = np.zeros(len(slots), np.bool_)
    for number, here, positions in selection.within(slots):
        arrays = selection.segments[number].arrays
        first, last = _look_up(selection.segments[number], np.array([term_key(term)], np.uint64))
        chunks = arrays.chunks[first[0] : last[0]]
        places = np.minimum(np.searchsorted(chunks, positions), max(len(chunks) - 1, 0))
        found[here] = chunks[places] == positions if len(chunks) else False
    return found


def occurrences(
    selection: Selection, terms: Sequence[str], at_most: int
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.uint16]]]:
    """The terms that readable chunks hold, each with the slots of the first of these by row, and how often there."""
    parts: dict[str, list[tuple[NDArray[np.int64], NDArray[np.uint16]]]] = {}
    for number, at in enumerate(_postings(selection, terms) if terms and len(selection) else ()):
        for place in np.flatnonzero(at.first < at.last).tolist():
            listed = slice(at.first[place], at.last[place])
            chunks, often = at.arrays.chunks[listed], at.arrays.frequencies[listed]
            readable = selection.are_readable(number, chunks)
            if readable.any():
                held = selection.slots_at(number, chunks[readable]), often[readable]
                parts.setdefault(terms[place], []).append(held)
    return {term: _first_by_row(selection, held, at_most) for term, held in parts.items()}


def _first_by_row(
    selection: Selection, parts: Sequence[tuple[NDArray[np.int64], NDArray[np.uint16]]], at_most: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    slots, often = (np.concatenate(column) for column in zip(*parts, strict=True))
    first = np.argsort(selection.rows_of(slots), kind="stable")[:at_most]
    return slots[first], often[first]


def _postings(selection: Selection, terms: Sequence[str]) -> list[Terms]:
    """For each segment, where it lists the chunks that hold some terms, and which of them are readable."""
    keys = np.array([term_key(term) for term in terms], np.uint64)
    nothing = np.zeros(len(keys), np.float32)
    return [
        Terms(segment.arrays, readable, *_look_up(segment, keys), nothing, np.float32(0), np.float32(0))
        for segment, readable in zip(selection.segments, selection.bits, strict=True)
    ]


def inverse_frequency(chunks: int, having: int) -> float:
    return math.log1p((chunks - having + 0.5) / (having + 0.5))


def _normalization(selection: Selection, k1: float, b: float) -> tuple[np.float32, np.float32]:
    """What a term's frequency is weighed against: k1 scaled by a chunk's length against the mean, as base + slope l."""
    mean = max(selection.words / len(selection), 1.0)
    return np.float32(k1 * (1 - b)), np.float32(k1 * b / mean)


def _look_up(segment: Segment, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the postings of each term begin and end in a segment; nowhere for terms it does not know."""
    known, offsets = segment.arrays.terms, segment.arrays.offsets
    places = np.searchsorted(known, keys)
    within = np.minimum(places, max(len(known) - 1, 0))
    hits = known[within] == keys if len(known) else np.zeros(len(keys), np.bool_)
    return np.where(hits, offsets[within], 0), np.where(hits, offsets[np.minimum(within + 1, len(offsets) - 1)], 0)
