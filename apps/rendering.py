"""Results as the published JSON, the same on the command line and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from catalog.job_records import JobView, Progress
from core.answers import AbstentionReason, Answer, Citation, Hit, SearchResult
from governance.batch_results import Failure
from governance.batches import SETTLED, BatchView
from governance.conversations import ConversationView, Turn
from governance.doors import DocumentView
from governance.feedback import FeedbackFigures
from governance.identity import KeyView
from governance.slack_accounts import LinkView
from ingest.sources import SourceView

ABSTENTIONS: Mapping[AbstentionReason, str] = {
    "no_evidence": "Nothing you may read answers this.",
    "low_support": "What you may read comes near, but nothing in it supports an answer.",
    "conflicting": "What you may read contradicts itself on this.",
    "filtered": "A safety rule of your organization holds this back.",
    "unavailable": "The documents behind an answer are changing right now. Ask again in a moment.",
}
"""What is said in place of an answer, by its reason."""


def search_json(result: SearchResult, audit_id: str) -> dict[str, Any]:
    """A ranking: `query`, `principal`, `hits` (best first), `timings_ms`, `audit_id`."""
    return {
        "query": result.query,
        "principal": str(result.principal),
        "hits": [hit_json(hit) for hit in result.hits],
        "timings_ms": dict(result.timings_ms),
        "audit_id": audit_id,
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """An answer or an abstention; `nearest` holds the readable documents that came near."""
    return {
        "question": answer.question,
        "principal": str(answer.principal),
        "answer": answer.text,
        "abstained": answer.abstained,
        "reason": answer.reason,
        "citations": [citation_json(citation) for citation in answer.citations],
        "claims": [
            {"text": claim.text, "markers": list(claim.markers), "support": claim.support} for claim in answer.claims
        ],
        "nearest": [asdict(document) for document in answer.nearest],
        "safety": answer.safety,
        "mode": answer.mode,
        "model": answer.model,
        "usage": dict(answer.usage),
        "timings_ms": dict(answer.timings_ms),
        "audit_id": answer.audit_id,
        "degraded": answer.degraded,
        "conversation_id": answer.conversation_id,
        "rewritten_question": answer.rewritten_question,
    }


def citation_json(citation: Citation) -> dict[str, Any]:
    """A checked footnote."""
    return {**asdict(citation), "heading": list(citation.heading)}


def conversation_json(view: ConversationView) -> dict[str, Any]:
    """A conversation as it is listed."""
    return {
        "conversation_id": view.conversation_id,
        "title": view.title,
        "created": view.created.isoformat(),
        "updated": view.updated.isoformat(),
    }


def turn_json(turn: Turn) -> dict[str, Any]:
    """A turn; `answer` is null, and `available` false, while it is withheld."""
    return {
        "audit_id": turn.audit_id,
        "asked": turn.asked.isoformat(),
        "question": turn.question,
        "available": turn.answer is not None,
        "answer": answer_json(turn.answer) if turn.answer else None,
    }


def batch_json(view: BatchView) -> dict[str, Any]:
    """A batch as it is listed; `seconds_left` is null until its pace is known."""
    left = view.time_left
    return {
        "batch_id": view.batch_id,
        "name": view.name,
        "per_document": view.pattern,
        "state": view.state,
        "created": view.created.isoformat(),
        "rows": {
            "total": view.total,
            "waiting": view.waiting,
            **{state: view.rows.get(state, 0) for state in SETTLED},
        },
        "seconds_left": None if left is None else round(left.total_seconds(), 1),
    }


def batch_failures_json(failures: Sequence[Failure]) -> list[dict[str, Any]]:
    """The rows of a batch without an answer: where each stands, and why."""
    return [asdict(failure) for failure in failures]


def feedback_json(figures: FeedbackFigures) -> dict[str, Any]:
    """Counts, and the newest verdicts by the audit ids of their answers."""
    newest = [
        {"audit_id": one.audit_id, "verdict": one.verdict, "commented": one.commented, "given": one.given.isoformat()}
        for one in figures.newest
    ]
    return {"helpful": figures.helpful, "not_helpful": figures.not_helpful, "newest": newest}


def document_json(view: DocumentView) -> dict[str, Any]:
    """A document's record, without text; `failure` says why the newest bytes could not be read, else null."""
    failure = {"verdict": view.failure_verdict, "cause": view.failure_cause} if view.failure_verdict else None
    return {
        "document_id": view.document_id,
        "source": view.source,
        "external_id": view.external_id,
        "uri": view.uri,
        "title": view.title,
        "media_type": view.media_type,
        "language": view.language,
        "version": view.version,
        "chunks": view.chunks,
        "state": view.state,
        "updated": view.updated.isoformat(),
        "failure": failure,
    }


def job_json(view: JobView) -> dict[str, Any]:
    """A job's record: `attempts` of those it has, and the cause why the last one failed."""
    return {
        "job_id": view.id,
        "kind": view.kind,
        "queue": view.queue,
        "subject_id": view.subject_id,
        "document": view.document,
        "group_id": view.group_id,
        "state": view.state,
        "attempts": view.attempts,
        "cause": view.cause,
        "worker": view.worker,
        "not_before": view.not_before.isoformat(),
        "created": view.created_at.isoformat(),
        "started": view.started_at.isoformat() if view.started_at else None,
        "finished": view.finished_at.isoformat() if view.finished_at else None,
    }


def progress_json(progress: Progress) -> dict[str, Any]:
    """How far the jobs of a group are; `seconds_left` is null until the first of them is settled."""
    left = progress.eta
    return {
        "total": progress.total,
        "settled": progress.settled,
        "states": progress.states,
        "seconds_left": None if left is None else round(left.total_seconds(), 1),
    }


def source_json(view: SourceView) -> dict[str, Any]:
    """A source's record; `waiting` documents are on their way in."""
    return {
        "source_id": view.source_id,
        "source": view.name,
        "uri": view.uri,
        "standing": view.standing,
        "every_seconds": view.every_s,
        "prune": view.prune,
        "due": view.due_at.isoformat() if view.due_at else None,
        "documents": view.documents,
        "failed": view.failed,
        "waiting": view.waiting,
    }


def key_json(view: KeyView) -> dict[str, Any]:
    """An API key without its secret."""
    return {
        "key_id": view.key_id,
        "name": view.name,
        "principal": str(view.principal),
        "scopes": list(view.scopes),
        "created": view.created.isoformat(),
        "expires": view.expires.isoformat() if view.expires else None,
        "revoked": view.revoked.isoformat() if view.revoked else None,
    }


def hit_json(hit: Hit) -> dict[str, Any]:
    """A passage with its rank and score."""
    passage = hit.passage
    return {
        "rank": hit.rank,
        "score": hit.score,
        "chunk_id": passage.chunk_id,
        "document_id": passage.document_id,
        "version": passage.version,
        "source": passage.source,
        "external_id": passage.external_id,
        "uri": passage.uri,
        "title": passage.title,
        "heading": list(passage.heading),
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
    }


def slack_link_json(view: LinkView) -> dict[str, Any]:
    """One proved Slack account."""
    return {
        "team_id": view.account.team_id,
        "user_id": view.account.user_id,
        "principal": str(view.principal),
        "linked": view.linked.isoformat(),
    }
