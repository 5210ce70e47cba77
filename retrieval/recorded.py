"""Search as people reach it: on record before anything is looked up, and before a hit leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.answers import SearchResult
from core.documents import content_hash
from core.principals import Principal
from governance.audit import AuditLog, Entry, Kind, new_audit_id
from retrieval.filters import NO_FILTERS, Filters
from retrieval.ranking import Ranker
from retrieval.search import Searcher, checked_query


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
        query = checked_query(query)
        asked = {"action": "search", "query": query, "k": k, "actor": actor, "filters": filters.to_record()}
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
                "also_in": [passage.chunk_id for passage in hit.also_in],
            }
            for hit in result.hits
        ],
    }
