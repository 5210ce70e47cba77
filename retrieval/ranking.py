"""Ranking: a question and the rows its asker may read in, those rows ranked out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from core.errors import Conflict
from inference.encoder import Encoder
from inference.language import detect
from retrieval.analysis import identifiers, query_terms
from retrieval.dense import nearest, similarity
from retrieval.engines.protocol import IndexReading
from retrieval.fusion import convex_combination, named_first, raised_by
from retrieval.index.manifest import REBUILD
from retrieval.index.reader import Snapshot
from retrieval.index.segment import language_code
from retrieval.index.selection import Selection
from retrieval.lexical import K1, B, LexicalScores, bm25, frequencies
from retrieval.links import Follow, named_links
from retrieval.spelling import corrections
from retrieval.timeliness import shares_of_time

# How many of each ranking are fused. Results down to any k start the same way.
FUSION_DEPTH = 200

# An identifier that more chunks hold does not tell them apart: it is a product's name and no ticket's.
_FEW = 20

# Of a document that links lead to the best of so many chunks is raised.
_POINTED_ROWS = 500

# A query longer than this is cut: a question is shorter, and a pasted document would only cost time.
_QUERY_CHARACTERS = 4_000


@dataclass(frozen=True)
class Method:
    """What a ranking is made of, as `footnote eval --ablation` chose it (docs/decisions/ranking-quality.md).

    `dense_weight` is the cosine's, the words have the rest. Names and corrections: see `named_first` and `corrections`;
    in its `own_language` a word is rare or common, see `bm25`. `time_weight`: see `shares_of_time`.
    `link_weight` is that of what links call a document, see `retrieval.links`.
    """

    dense_weight: float = 0.8
    k1: float = K1
    b: float = B
    own_language: bool = True
    names: bool = True
    corrections: bool = True
    time_weight: float = 0.1
    link_weight: float = 0.2


CHOSEN = Method()


@dataclass(frozen=True)
class Ranking:
    """Catalog rows with their scores, best first; and the milliseconds of `dense`, `lexical` and `links`."""

    hits: tuple[tuple[int, float], ...]
    timings_ms: dict[str, float]
    generation: int


@dataclass(frozen=True)
class Ranker:
    """Hybrid search over the rows a person may read, which are decided before anything is ranked."""

    reader: IndexReading
    encoder: Encoder
    method: Method = CHOSEN

    def embed(self, query: str) -> NDArray[np.float32]:
        """The vector of a query, of which a very long one's beginning decides."""
        return self.encoder.encode_query(query[:_QUERY_CHARACTERS])

    def rank(
        self,
        query: str,
        vector: NDArray[np.float32],
        readable: BitMap | FrozenBitMap,
        k: int,
        follow: Follow | None = None,
    ) -> Ranking:
        """The min(k, number of readable rows in the index) best rows for a query and its vector.

        Rows outside `readable` change neither the order nor a single score. Equal scores are ordered by row. `follow`
        looks up where the links of rows lead for whoever asks; without it links say nothing.
        Raises `Conflict` if the index holds vectors of another model than the encoder's.
        """
        query = query[:_QUERY_CHARACTERS]
        snapshot = self.reader.snapshot()
        self._check(snapshot)
        selection = snapshot.select(readable)
        timings_ms = {"dense": 0.0, "lexical": 0.0, "links": 0.0}
        if len(selection) == 0 or k <= 0:
            return Ranking((), timings_ms, snapshot.generation)
        language = detect(query)
        with _timed(timings_ms, "dense"):
            near, _ = nearest(selection, vector, max(k, FUSION_DEPTH))
        with _timed(timings_ms, "lexical"):
            lexical = self._by_words(selection, query, language)
            matching, _ = lexical.best(FUSION_DEPTH)
            named, shares = _by_name(selection, identifiers(query) if self.method.names else ())
        with _timed(timings_ms, "links"):
            pointed = self._pointed(selection, query, language, readable, follow) if follow else []
        matching = reduce(np.union1d, (slots for slots, _ in pointed), np.union1d(matching, named))
        slots, scores = self._fuse(selection, query, vector, near[:FUSION_DEPTH], matching, lexical, language, pointed)
        if len(named):
            slots, scores = named_first(slots, scores, named, shares, selection.rows_of(slots))
        slots, scores = _filled(slots[:k], scores[:k], near, k)
        hits = zip(selection.rows_of(slots).tolist(), scores.tolist(), strict=True)
        return Ranking(tuple(hits), timings_ms, snapshot.generation)

    def _by_words(self, selection: Selection, query: str, language: str) -> LexicalScores:
        """BM25 of a query's words, and of what was meant by those that nothing readable holds."""
        terms = query_terms(query, language)
        score = partial(bm25, language=language if self.method.own_language else "", k1=self.method.k1, b=self.method.b)
        found = score(selection, terms)
        further = corrections(selection, query, language, terms, found) if self.method.corrections else []
        return score(selection, [*terms, *further]) if further else found

    def _fuse(
        self,
        selection: Selection,
        query: str,
        vector: NDArray[np.float32],
        near: NDArray[np.int64],
        matching: NDArray[np.int64],
        lexical: LexicalScores,
        language: str,
        pointed: Sequence[tuple[NDArray[np.int64], float]],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The best of both rankings, best first, with their fused scores."""
        spoken = self.encoder.languages
        if spoken and language not in spoken:
            slots = matching
            fused = convex_combination(np.zeros(len(slots), np.float32), lexical.of(slots), 0.0)
        else:
            slots = np.union1d(near, matching)
            dense = similarity(selection, vector, slots)
            if spoken:  # a chunk in another language lies where its names happen to put it: that is no evidence
                understood = np.isin(selection.languages_of(slots), [language_code(known) for known in spoken])
                dense = np.where(understood, dense, np.minimum(dense, 0))
            fused = convex_combination(dense, lexical.of(slots), self.method.dense_weight)
        if self.method.time_weight and (shares := shares_of_time(selection, query, slots)) is not None:
            fused = raised_by(fused, shares, self.method.time_weight)
        if pointed:
            fused = raised_by(fused, _best_of_each(slots, fused, pointed), self.method.link_weight)
        order = np.lexsort((selection.rows_of(slots), -fused))
        return slots[order], fused[order]

    def _pointed(
        self, selection: Selection, query: str, language: str, readable: BitMap | FrozenBitMap, follow: Follow
    ) -> list[tuple[NDArray[np.int64], float]]:
        """The readable slots of each document that links lead to which the question names, and these links' share."""
        named = named_links(selection, query, language) if self.method.link_weight else []
        found = follow(named, readable) if named else []
        slots = [(selection.slots_for(one.rows[:_POINTED_ROWS]), one.share) for one in found]
        return [(some, share) for some, share in slots if len(some)]

    def _check(self, snapshot: Snapshot) -> None:
        if snapshot.fingerprint and snapshot.fingerprint != self.encoder.fingerprint:
            raise Conflict(
                f"The index holds vectors of the model {snapshot.fingerprint}, the encoder is "
                f"{self.encoder.fingerprint}: {REBUILD}."
            )


def _best_of_each(
    slots: NDArray[np.int64], scores: NDArray[np.float64], pointed: Sequence[tuple[NDArray[np.int64], float]]
) -> NDArray[np.float64]:
    """For the best slot of each document that is pointed to its share; 0 for all others."""
    shares = np.zeros(len(slots))
    for some, share in pointed:
        at = np.searchsorted(slots, np.sort(some))
        at = at[np.take(slots, at, mode="clip") == np.sort(some)]
        shares[at[np.argmax(scores[at])]] = share
    return shares


def _by_name(selection: Selection, wanted: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The chunks that hold what a query calls by its identifier, if these are few, and how much of it in (0, 1]."""
    counts = frequencies(selection, wanted)
    telling = [(term, 1.0) for term, count in zip(wanted, counts, strict=True) if 0 < count <= _FEW]
    slots, scores = bm25(selection, telling).best(FUSION_DEPTH)
    return slots, scores / scores[0] if len(scores) else scores


def _filled(
    slots: NDArray[np.int64], scores: NDArray[np.float64], near: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`slots`, and after them the nearest others until there are k, with score 0."""
    if len(slots) >= k:
        return slots, scores
    others = near[~np.isin(near, slots)][: k - len(slots)]
    return np.concatenate([slots, others]), np.concatenate([scores, np.zeros(len(others))])


@contextmanager
def _timed(timings_ms: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    timings_ms[part] = (time.perf_counter() - start) * 1e3
