"""Lexical retrieval: BM25 over the readable chunks, with statistics of the readable chunks only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.index.postings import term_key
from retrieval.index.segment import Segment
from retrieval.index.selection import Selection

# Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009): the usual values.
K1 = 1.2
B = 0.75


def bm25(selection: Selection, terms: Sequence[tuple[str, float]]) -> NDArray[np.float32]:
    """The BM25 score of each slot for weighted `terms`: shape (n,), at least 0, and 0 where no term occurs.

    The number of chunks, their mean length and how many of them hold a term are those of the selection. Statistics of
    a whole index would tell what it holds to people who may not read it (Wang et al., "Side-Channel Attacks on Shared
    Search Indexes", IEEE S&P 2017). The inverse document frequency is Lucene's, which is never negative.
    """
    scores = np.zeros(len(selection), np.float32)
    if not terms or len(selection) == 0:
        return scores
    normalization = _normalization(selection)
    found = [_look_up(segment, [term for term, _ in terms]) for segment in selection.segments]
    for number, (_, weight) in enumerate(terms):
        slots, frequencies = _postings(selection, [places[number] for places in found])
        if len(slots) == 0:
            continue
        idf = math.log1p((len(selection) - len(slots) + 0.5) / (len(slots) + 0.5))
        gain = np.float32(weight * idf * (K1 + 1))
        scores[slots] += gain * frequencies / (frequencies + normalization[slots])
    return scores


def _normalization(selection: Selection) -> NDArray[np.float32]:
    """What a term's frequency is weighed against in each slot: K1, scaled by length against the mean."""
    mean = float(selection.lengths.sum(dtype=np.float64)) / len(selection)
    return np.float32(K1) * (np.float32(1 - B) + np.float32(B / max(mean, 1.0)) * selection.lengths)


def _look_up(segment: Segment, terms: Sequence[str]) -> list[slice]:
    """Where each term's postings stand in a segment; empty slices for terms it does not know."""
    known = segment.arrays.terms
    keys = np.array([term_key(term) for term in terms], np.uint64)
    places = np.searchsorted(known, keys)
    within = np.minimum(places, max(len(known) - 1, 0))
    hits = known[within] == keys if len(known) else np.zeros(len(keys), bool)
    offsets = segment.arrays.offsets
    return [
        slice(int(offsets[p]), int(offsets[p + 1])) if hit else slice(0, 0) for p, hit in zip(within, hits, strict=True)
    ]


def _postings(selection: Selection, places: Sequence[slice]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The slots a term occurs in, and how often."""
    slots, frequencies = [], []
    for segment, mapping, place in zip(selection.segments, selection.slots, places, strict=True):
        if place.start == place.stop:
            continue
        mapped = mapping[segment.arrays.chunks[place]]
        readable = mapped >= 0
        slots.append(mapped[readable])
        frequencies.append(segment.arrays.frequencies[place][readable].astype(np.float32))
    if not slots:
        return np.zeros(0, np.int32), np.zeros(0, np.float32)
    return np.concatenate(slots), np.concatenate(frequencies)
