"""Asking: a question and a principal in; an answer out whose quotes were checked, whose asker may read them still,
and which is on record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from core.answers import Answer, Citation, Hit, Passage
from core.principals import Principal
from generation.answerer import Answerer
from generation.compose import compose
from governance.audit import AuditLog, Entry, Kind, new_audit_id
from governance.doors import Gate
from inference.encoder import Encoder
from retrieval.search import NO_FILTERS, Filters, Searcher, checked_query, evidence

# A citation that stops holding while the answer is made (access revoked, document replaced) means asking again.
_ROUNDS = 3


@dataclass(frozen=True)
class AskService:
    """Answers from what the asker may read. Raises `AuditUnavailable`, and answers nothing, without a record."""

    searcher: Searcher
    gate: Gate
    answerer: Answerer
    encoder: Encoder
    audit: AuditLog
    passages: int

    def ask(self, question: str, principal: Principal, actor: str, filters: Filters = NO_FILTERS) -> Answer:
        """One grounded answer, or an abstention with its reason and the nearest readable documents.

        The intent is on record before retrieval; what was retrieved and what is answered before anything returns.
        Every quote is compared with the stored text, read again for this principal after the answer was made.
        """
        began = time.perf_counter()
        question = checked_query(question)
        audit_id = new_audit_id()
        asked = {"action": "ask", "question": question, "actor": actor, "filters": vars(filters)}
        intent = self.audit.submit([Entry(Kind.INTENT, principal, asked, audit_id)])
        for _ in range(_ROUNDS):
            found = self.searcher.search(question, principal, self.passages, filters, on_record=intent.wait)
            retrieved = time.perf_counter()
            answer = compose(question, principal, found.hits, self.answerer, self.encoder)
            if self._still_holds(principal, answer, found.hits):
                break
        else:
            answer = _withheld(answer)
        timings = {"retrieve": found.timings_ms["total"], "answer": round((time.perf_counter() - retrieved) * 1000, 3)}
        at = time.perf_counter()
        self.audit.append_all(
            [
                Entry(Kind.EVIDENCE, principal, evidence(found, self.searcher.ranker), audit_id),
                Entry(Kind.RECEIPT, principal, _receipt(answer), audit_id),
            ]
        )
        waited = (time.perf_counter() - at) * 1000 + found.timings_ms["record"]
        timings["audit"] = round(waited, 3)
        timings["total"] = timings["first_token"] = round((time.perf_counter() - began) * 1000, 3)
        return replace(answer, audit_id=audit_id, timings_ms=timings)

    def _still_holds(self, principal: Principal, answer: Answer, hits: Sequence[Hit]) -> bool:
        """Whether the principal may still read every passage retrieved, and every quote is still the stored text.

        All passages count, not only the cited ones: an abstention names the documents that came near.
        """
        live = self.gate.passages(principal, [hit.passage.row for hit in hits])
        if len(live) != len(hits):
            return False
        return all(any(_quotes(citation, passage) for passage in live) for citation in answer.citations)


def _quotes(citation: Citation, passage: Passage) -> bool:
    """Whether the quote is exactly the passage's stored text at the citation's offsets."""
    if (citation.document_id, citation.version) != (passage.document_id, passage.version):
        return False
    if not passage.start <= citation.start < citation.end <= passage.end:
        return False
    return passage.text[citation.start - passage.start : citation.end - passage.start] == citation.quote


def _withheld(answer: Answer) -> Answer:
    """What is said when the ground keeps moving under an answer."""
    return replace(
        answer,
        text="",
        abstained=True,
        reason="unavailable",
        citations=(),
        claims=(),
        nearest=(),
        safety={**answer.safety, "passages": []},
    )


def _receipt(answer: Answer) -> dict[str, object]:
    return {
        "answer": answer.text,
        "abstained": answer.abstained,
        "reason": answer.reason,
        "citations": [asdict(citation) for citation in answer.citations],
        "claims": [asdict(claim) for claim in answer.claims],
        "safety": answer.safety,
        "mode": answer.mode,
        "model": answer.model,
    }
