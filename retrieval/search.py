"""Search: a query and a principal in, the passages they may read out, ranked; each search on record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyroaring import BitMap
from sqlalchemy import select

from catalog.database import Catalog
from catalog.models import ChunkRow, Document, Source
from core.answers import Hit, SearchResult
from core.documents import clean_text, content_hash
from core.errors import LimitExceeded, WrongUsage
from core.principals import Principal
from core.telemetry import span
from governance.access.readable import ReadableRows
from governance.audit import AuditLog, Entry, Kind, new_audit_id
from governance.doors import Gate
from retrieval.ranking import Ranker

MAX_QUERY_CHARACTERS = 8_000
MAX_K = 1_000

# Access that changes while a query runs costs another round. Changes this often in a row mean somebody is
# rewriting everything; the caller then gets what is certain to be readable.
_ROUNDS = 5


@dataclass(frozen=True)
class Filters:
    """Narrows a search to documents with one of the values named; an empty tuple names nothing."""

    sources: tuple[str, ...] = ()
    document_ids: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sources or self.document_ids or self.media_types or self.languages)


NO_FILTERS = Filters()


@dataclass(frozen=True)
class Searcher:
    """Finds passages without a record of its own: for those who keep one. See `RecordedSearch`."""

    catalog: Catalog
    readable: ReadableRows
    ranker: Ranker
    gate: Gate

    def search(
        self,
        query: str,
        principal: Principal,
        k: int,
        filters: Filters = NO_FILTERS,
        on_record: Callable[[], object] = lambda: None,
    ) -> SearchResult:
        """The best `k` readable chunks, best first; fewer only where fewer are readable.

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
        timings = {"embed": _ms_since(began), "record": 0.0, "access": 0.0, "dense": 0.0, "lexical": 0.0, "gate": 0.0}
        at = time.perf_counter()
        on_record()
        timings["record"] = _ms_since(at)
        for _ in range(_ROUNDS):
            at = time.perf_counter()
            view = self.readable.of(principal)
            rows = BitMap(view.rows & self._matching(filters)) if filters else view.rows
            timings["access"] += _ms_since(at)
            with span("rank", readable=len(rows)):
                ranking = self.ranker.rank(query, vector, rows, k)
            for name, spent in ranking.timings_ms.items():
                timings[name] = timings.get(name, 0.0) + spent
            at = time.perf_counter()
            with span("gate"):
                passages = self.gate.passages(principal, [row for row, _ in ranking.hits])
            timings["gate"] += _ms_since(at)
            if len(passages) == min(k, len(rows)):
                break
        scores = dict(ranking.hits)
        hits = tuple(Hit(rank, scores[one.row], one) for rank, one in enumerate(passages, start=1))
        timings["total"] = _ms_since(began)
        return SearchResult(
            query, principal, hits, {name: round(ms, 3) for name, ms in timings.items()}, view.epoch, view.view
        )

    def _matching(self, filters: Filters) -> BitMap:
        query = (
            select(ChunkRow.id)
            .join(Document, Document.version_id == ChunkRow.version_id)
            .join(Source, Source.id == Document.source_id)
        )
        columns = {
            Source.name: filters.sources,
            Document.id: filters.document_ids,
            Document.media_type: filters.media_types,
            Document.language: filters.languages,
        }
        for column, values in columns.items():
            if values:
                query = query.where(column.in_(values))
        with self.catalog.read() as session:
            return BitMap(session.scalars(query).all())


@dataclass(frozen=True)
class RecordedSearch:
    """Search as people reach it: the intent is on record before anything is looked up, the evidence before a hit
    leaves. Raises `AuditUnavailable` and returns nothing when a record cannot be written."""

    searcher: Searcher
    audit: AuditLog

    def search(
        self, query: str, principal: Principal, k: int, actor: str, filters: Filters = NO_FILTERS
    ) -> tuple[SearchResult, str]:
        """As `Searcher.search`; also the id of its audit records."""
        audit_id = new_audit_id()
        asked = {"action": "search", "query": checked_query(query), "k": k, "actor": actor, "filters": vars(filters)}
        intent = self.audit.submit([Entry(Kind.INTENT, principal, asked, audit_id)])
        result = self.searcher.search(query, principal, k, filters, on_record=intent.wait)
        self.audit.append_all([Entry(Kind.EVIDENCE, principal, evidence(result, self.searcher.ranker), audit_id)])
        return result, audit_id


def evidence(result: SearchResult, ranker: Ranker) -> Mapping[str, object]:
    """What was retrieved and under which state of access, index and model: enough to find it again byte for byte."""
    return {
        "epoch": result.epoch,
        "model": ranker.encoder.fingerprint,
        "chunks": [
            {
                "chunk_id": hit.passage.chunk_id,
                "document_id": hit.passage.document_id,
                "version": hit.passage.version,
                "start": hit.passage.start,
                "end": hit.passage.end,
                "sha256": content_hash(hit.passage.text),
                "score": hit.score,
            }
            for hit in result.hits
        ],
    }


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


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
