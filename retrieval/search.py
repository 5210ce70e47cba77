"""Search: a query and a principal in, the passages they may read out, ranked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from catalog.database import Catalog
from catalog.models import now
from core.answers import Hit, SearchResult
from core.documents import clean_text
from core.errors import LimitExceeded, WrongUsage
from core.principals import Principal
from core.telemetry import span
from governance.access.readable import Readable, ReadableRows
from governance.doors import Gate
from retrieval.diversity import Diversity
from retrieval.facets import DocumentFacets, Matching
from retrieval.filters import NO_FILTERS, Filters
from retrieval.links import Links
from retrieval.ranking import Ranker, Ranking
from retrieval.recency import Recency
from retrieval.repeats import Ranked, kin_of, once
from retrieval.reranking import Reranking

MAX_QUERY_CHARACTERS = 8_000
MAX_K = 1_000

# Access that changes while a query runs costs another round. Changes this often in a row mean somebody is
# rewriting everything; the caller then gets what is certain to be readable.
_ROUNDS = 5

# So many rows beyond k are looked over for what repeats, and so many times all of these where that leaves fewer than k:
# behind a thousand copies of a page there may be something else, but nobody waits for it.
_BEYOND, _DEEPER = 30, 4


@dataclass(frozen=True)
class _Found:
    """What may be read, how many rows that is with the filters, and the best of them without repeats."""

    view: Readable
    readable: int
    distinct: list[Ranked]


@dataclass(frozen=True)
class Searcher:
    """Finds passages without a record of its own: for those who keep one. See `retrieval.recorded`.

    `recency`, `diversity`, `reranking` and `links` are preferences: None does without. `clock` says what day it is.
    """

    catalog: Catalog
    readable: ReadableRows
    ranker: Ranker
    gate: Gate
    facets: DocumentFacets
    recency: Recency | None = None
    diversity: Diversity | None = None
    clock: Callable[[], datetime] = now
    reranking: Reranking | None = None
    links: Links | None = None

    def search(
        self,
        query: str,
        principal: Principal,
        k: int,
        filters: Filters = NO_FILTERS,
        on_record: Callable[[], object] = lambda: None,
    ) -> SearchResult:
        """The best `k` readable chunks, best first; fewer only where fewer are readable.

        What says the same in near-duplicates is ranked once: the best of it names the others in `also_in`, and they
        come as hits of their own only after everything else, to fill k.

        Access is decided before ranking and again on the text, by the live catalog. When a row has become unreadable
        in between, or an index generation has passed by, the whole is done again. `on_record` is called before
        anything is looked up: the embedding needs no record, and gives it time to be written.
        """
        query = checked_query(query)
        if not 1 <= k <= MAX_K:
            raise WrongUsage(f"k must lie between 1 and {MAX_K}; it is {k}.")
        with span("search", k=k) as traced:
            result = self._search(query, principal, k, filters, on_record)
            traced.note(epoch=result.epoch, hits=len(result.hits))
        return result

    def _search(
        self, query: str, principal: Principal, k: int, filters: Filters, on_record: Callable[[], object]
    ) -> SearchResult:
        began = time.perf_counter()
        with span("embed"):
            vector = self.ranker.embed(query)
        timings = dict.fromkeys(
            ("embed", "record", "access", "dense", "lexical", "links", "gate", "repeats", "rerank"), 0.0
        )
        timings["embed"] = _ms_since(began)
        with _timed(timings, "record"):
            on_record()
        for rounds_left in reversed(range(_ROUNDS)):
            found = self._best(query, vector, principal, k, filters, timings)
            if self.reranking is None:
                break
            with _timed(timings, "rerank"), span("rerank"):
                found = replace(found, distinct=self.reranking.ranked(query, found.distinct))
            # A model takes its time, and access may have changed meanwhile.
            with _timed(timings, "gate"):
                kept = self._still_readable(principal, found.distinct)
            if len(kept) == len(found.distinct) or not rounds_left:
                found = replace(found, distinct=kept)
                break
        hits = _filled(self.diversity.spread(found.distinct, k) if self.diversity else found.distinct, k)
        timings["total"] = _ms_since(began)
        spent = {name: round(ms, 3) for name, ms in timings.items()}
        return SearchResult(query, principal, hits, spent, found.view.epoch, found.view.view)

    def _best(
        self,
        query: str,
        vector: NDArray[np.float32],
        principal: Principal,
        k: int,
        filters: Filters,
        timings: dict[str, float],
    ) -> _Found:
        """At least k rows that differ, and as many as the reranker reads, where there are so many."""
        wanted = max(k, self.reranking.passages) if self.reranking else k
        depth = min(wanted + _BEYOND, MAX_K)
        found = self._found(query, vector, principal, wanted, depth, filters, timings)
        if len(found.distinct) < wanted and depth < min(found.readable, MAX_K):
            return self._found(query, vector, principal, wanted, min(_DEEPER * depth, MAX_K), filters, timings)
        return found

    def _still_readable(self, principal: Principal, ranking: Sequence[Ranked]) -> list[Ranked]:
        """What of a ranking may be read now, word for word as it was."""
        rows = [passage.row for one in ranking for passage in (one.passage, *(again for again, _ in one.repeats))]
        now_there = {passage.row: passage for passage in self.gate.passages(principal, rows)}
        return [
            replace(one, repeats=[(again, score) for again, score in one.repeats if now_there.get(again.row) == again])
            for one in ranking
            if now_there.get(one.passage.row) == one.passage
        ]

    def _found(
        self,
        query: str,
        vector: NDArray[np.float32],
        principal: Principal,
        k: int,
        depth: int,
        filters: Filters,
        timings: dict[str, float],
    ) -> _Found:
        """The best k rows without what repeats another; so many of the best `depth` where something does."""
        for rounds_left in reversed(range(_ROUNDS)):
            with _timed(timings, "access"):
                view = self.readable.of(principal)
                matching = self.facets.matching(view, filters) if filters else Matching(view.rows, view.epoch)
            if matching.epoch != view.epoch and rounds_left:
                continue  # documents have changed in between, and some of the view may be missing
            rows = matching.rows
            with span("rank", readable=len(rows)):
                ranking = self._ranked(query, vector, principal, rows, depth, timings)
            with _timed(timings, "repeats"):
                kin = kin_of(self.catalog, [row for row, _ in ranking.hits])
            wanted = depth if kin.near else k
            with _timed(timings, "gate"), span("gate"):
                passages = self.gate.passages(principal, [row for row, _ in ranking.hits[:wanted]])
                if wanted < depth and self.diversity and self.diversity.crowded(passages):
                    wanted = depth
                    passages = self.gate.passages(principal, [row for row, _ in ranking.hits])
            if len(passages) == min(wanted, len(rows)):
                break
        scores = dict(ranking.hits)
        with _timed(timings, "repeats"):
            distinct = once([(passage, scores[passage.row]) for passage in passages], kin)
        return _Found(view, len(rows), distinct)

    def _ranked(
        self,
        query: str,
        vector: NDArray[np.float32],
        principal: Principal,
        rows: BitMap | FrozenBitMap,
        depth: int,
        timings: dict[str, float],
    ) -> Ranking:
        """The best `depth` of these rows, by score or, where recency is preferred, by what age leaves of it."""
        looked_at = depth
        follow = partial(self.links.follow, principal) if self.links else None
        while True:
            ranking = self.ranker.rank(query, vector, rows, looked_at, follow)
            for name, spent in ranking.timings_ms.items():
                timings[name] = timings.get(name, 0.0) + spent
            if self.recency is None:
                return ranking
            changed_us = self.facets.changed_us([row for row, _ in ranking.hits])
            hits, certain = self.recency.preferred(ranking.hits, changed_us, self.clock().astimezone(UTC).date())
            if certain >= depth or len(ranking.hits) < looked_at or looked_at >= len(rows):
                return replace(ranking, hits=hits[:depth])
            looked_at *= _DEEPER


def checked_query(query: str) -> str:
    """A query in the form stored text has; raises `WrongUsage` if empty and `LimitExceeded` if too long."""
    query = clean_text(query).strip()
    if not query:
        raise WrongUsage("The question is empty. Write what you want to know.")
    if len(query) > MAX_QUERY_CHARACTERS:
        raise LimitExceeded(
            f"The question has {len(query):,} characters and the limit is {MAX_QUERY_CHARACTERS:,}. Shorten it; "
            "a document to ask about is brought in with `footnote ingest`."
        )
    return query


def _filled(distinct: Sequence[Ranked], k: int) -> tuple[Hit, ...]:
    """The first k that are distinct; where there are fewer, what repeats them comes after, and no score rises."""
    lowest = min((one.score for one in distinct), default=0.0)
    scores = list(accumulate((one.score for one in distinct[:k]), min))
    hits = [
        (one.passage, score, tuple(passage for passage, _ in one.repeats))
        for one, score in zip(distinct, scores, strict=False)
    ]
    repeats = sorted((again for one in distinct for again in one.repeats), key=lambda again: -again[1])
    hits += [(passage, min(score, lowest), ()) for passage, score in repeats[: k - len(hits)]]
    return tuple(Hit(rank, score, passage, also) for rank, (passage, score, also) in enumerate(hits, start=1))


@contextmanager
def _timed(timings: dict[str, float], part: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    timings[part] += _ms_since(began)


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
