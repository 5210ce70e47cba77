"""Ranking: a question and the rows its asker may read in, those rows ranked out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from core.errors import Conflict
from inference.encoder import Encoder
from inference.language import detect
from retrieval.analysis import query_terms
from retrieval.dense import nearest, similarity
from retrieval.fusion import convex_combination
from retrieval.index.manifest import REBUILD
from retrieval.index.reader import IndexReader, Snapshot
from retrieval.index.segment import language_code
from retrieval.index.selection import Selection
from retrieval.lexical import bm25

# How many of each ranking are fused. Results down to any k start the same way.
FUSION_DEPTH = 200

# Measured over eleven public sets, see docs/decisions/index-and-ranking.md.
DENSE_WEIGHT = 0.8

# A query longer than this is cut: a question is shorter, and a pasted document would only cost time.
_QUERY_CHARACTERS = 4_000


@dataclass(frozen=True)
class Ranking:
    """Catalog rows with their scores, best first; and the milliseconds of `dense` and `lexical`."""

    hits: tuple[tuple[int, float], ...]
    timings_ms: dict[str, float]
    generation: int


@dataclass(frozen=True)
class Ranker:
    """Hybrid search over the rows a person may read, which are decided before anything is ranked."""

    reader: IndexReader
    encoder: Encoder

    def embed(self, query: str) -> NDArray[np.float32]:
        """The vector of a query, of which a very long one's beginning decides."""
        return self.encoder.encode_query(query[:_QUERY_CHARACTERS])

    def rank(self, query: str, vector: NDArray[np.float32], readable: BitMap | FrozenBitMap, k: int) -> Ranking:
        """The min(k, number of readable rows in the index) best rows for a query and its vector.

        Rows outside `readable` change neither the order nor a single score. Equal scores are ordered by row.
        Raises `Conflict` if the index holds vectors of another model than the encoder's.
        """
        query = query[:_QUERY_CHARACTERS]
        snapshot = self.reader.snapshot()
        self._check(snapshot)
        selection = snapshot.select(readable)
        timings_ms = {"dense": 0.0, "lexical": 0.0}
        if len(selection) == 0 or k <= 0:
            return Ranking((), timings_ms, snapshot.generation)
        language = detect(query)
        with _timed(timings_ms, "dense"):
            near, _ = nearest(selection, vector, max(k, FUSION_DEPTH))
        with _timed(timings_ms, "lexical"):
            lexical = bm25(selection, query_terms(query, language))
        slots, scores = self._fuse(selection, vector, near[:FUSION_DEPTH], lexical, language)
        slots, scores = _filled(slots[:k], scores[:k], near, k)
        hits = zip(selection.rows[slots].tolist(), scores.tolist(), strict=True)
        return Ranking(tuple(hits), timings_ms, snapshot.generation)

    def _fuse(
        self,
        selection: Selection,
        vector: NDArray[np.float32],
        near: NDArray[np.int64],
        lexical: NDArray[np.float32],
        language: str,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The best of both rankings, best first, with their fused scores."""
        spoken = self.encoder.languages
        if spoken and language not in spoken:
            slots = _best(lexical, FUSION_DEPTH)
            fused = convex_combination(np.zeros(len(slots), np.float32), lexical[slots], 0.0)
        else:
            slots = np.union1d(near, _best(lexical, FUSION_DEPTH))
            dense = similarity(selection, vector, slots)
            if spoken:  # a chunk in another language lies where its names happen to put it: that is no evidence
                understood = np.isin(selection.languages[slots], [language_code(known) for known in spoken])
                dense = np.where(understood, dense, np.minimum(dense, 0))
            fused = convex_combination(dense, lexical[slots], DENSE_WEIGHT)
        order = np.lexsort((slots, -fused))
        return slots[order], fused[order]

    def _check(self, snapshot: Snapshot) -> None:
        if snapshot.fingerprint and snapshot.fingerprint != self.encoder.fingerprint:
            raise Conflict(
                f"The index holds vectors of the model {snapshot.fingerprint}, the encoder is "
                f"{self.encoder.fingerprint}: {REBUILD}."
            )


def _best(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The slots of the k best positive scores, equal ones by slot; in no order."""
    matched = np.flatnonzero(scores > 0)
    if len(matched) <= k:
        return matched
    threshold = np.partition(scores[matched], len(matched) - k)[len(matched) - k]
    contenders = matched[scores[matched] >= threshold]
    best: NDArray[np.int64] = contenders[np.argsort(-scores[contenders], kind="stable")[:k]]
    return best


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
