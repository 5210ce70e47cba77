"""Results as the published JSON, the same on the command line and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from apps import job_words
from catalog.job_records import JobView, Progress
from core.answers import AbstentionReason, Answer, Citation, Hit, SearchResult
from governance.access.mirrored import AccountLink
from governance.batch_results import Failure
from governance.batches import SETTLED, BatchView
from governance.conversations import ConversationView, Turn
from governance.doors import DocumentView
from governance.feedback import FeedbackFigures
from governance.identity import KeyView
from governance.near_duplicates import NearDuplicate
from governance.slack_accounts import LinkView
from ingest.connections import Freshness
from ingest.failures import FailureGroup
from ingest.sources import SourceView
from retrieval.facets import Facets
from retrieval.filters import type_name

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


def facets_json(facets: Facets) -> dict[str, Any]:
    """For each filter its values, each with how many documents have it, the most frequent first."""

    def values(counts: Mapping[str, int]) -> list[dict[str, Any]]:
        return [{"value": value, "documents": count} for value, count in counts.items()]

    return {
        "sources": values(facets.sources),
        "types": [{**one, "name": type_name(one["value"])} for one in values(facets.media_types)],
        "languages": values(facets.languages),
        "labels": values(facets.labels),
    }


def near_json(near: Sequence[NearDuplicate]) -> dict[str, Any]:
    """Documents that say nearly the same; `similarity` is the share of their text that is in both, estimated."""
    return {"near_duplicates": [asdict(one) for one in near]}


def job_json(view: JobView) -> dict[str, Any]:
    """A job's record: `attempts` of those it has, the cause why the last one failed, and both in words."""
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
        "why": job_words.why(view),
        "next_steps": job_words.next_steps(view),
        "worker": view.worker,
        "not_before": view.not_before.isoformat(),
        "created": view.created_at.isoformat(),
        "started": view.started_at.isoformat() if view.started_at else None,
        "finished": view.finished_at.isoformat() if view.finished_at else None,
    }


def progress_json(progress: Progress) -> dict[str, Any]:
    """How far the jobs of a group are; `per_second` and `seconds_left` are null until the first of them is settled."""
    left = progress.eta
    return {
        "total": progress.total,
        "settled": progress.settled,
        "states": progress.states,
        "per_second": None if progress.per_second is None else round(progress.per_second, 2),
        "seconds_left": None if left is None else round(left.total_seconds(), 1),
    }


def source_json(view: SourceView) -> dict[str, Any]:
    """A source's record; `waiting` documents are on their way in.

    Lags are seconds since everything the source had was last known here, and since its readers were: null before the
    first time, the latter also where the operator's rules decide. `notices` counts what the source did not tell.
    """
    return {
        "source_id": view.source_id,
        "source": view.name,
        "uri": view.uri,
        "standing": view.standing,
        "every_seconds": view.every_s,
        "prune": view.prune,
        "paused": view.paused,
        "due": view.due_at.isoformat() if view.due_at else None,
        "documents": view.documents,
        "failed": view.failed,
        "waiting": view.waiting,
        "kind": view.kind,
        "content_at": view.content_at.isoformat() if view.content_at else None,
        "content_lag_s": _seconds_since(view.content_at),
        "permissions_at": view.permissions_at.isoformat() if view.permissions_at else None,
        "permissions_lag_s": _seconds_since(view.permissions_at),
        "problem": view.problem,
        "notices": view.notices,
    }


def connection_json(freshness: Freshness) -> dict[str, Any]:
    """How a source that is a system is reached (its credential only by its place), and all that it did not tell."""
    return {
        "settings": dict(freshness.settings),
        "secret": freshness.secret,
        "problem_at": freshness.problem_at.isoformat() if freshness.problem_at else None,
        "notices": [vars(notice) for notice in freshness.notices],
    }


def failure_group_json(group: FailureGroup) -> dict[str, Any]:
    """Documents that could not be read for one reason (at most 100 are named), and what to do about it."""
    return {**asdict(group), "documents": list(group.documents[:100]), "count": len(group.documents)}


def account_link_json(link: AccountLink) -> dict[str, Any]:
    """An account of another system and the person it belongs to."""
    return {"account": str(link.account), "person": str(link.person)}


def _seconds_since(moment: datetime | None) -> float | None:
    return None if moment is None else round(max(0.0, (datetime.now(UTC) - moment).total_seconds()), 1)


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
    """A passage with its rank and score; `also_in` names passages that say the same in near-duplicates."""
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
        "also_in": [
            {"document_id": one.document_id, "title": one.title, "uri": one.uri, "chunk_id": one.chunk_id}
            for one in hit.also_in
        ],
    }


def slack_link_json(view: LinkView) -> dict[str, Any]:
    """One proved Slack account."""
    return {
        "team_id": view.account.team_id,
        "user_id": view.account.user_id,
        "principal": str(view.principal),
        "linked": view.linked.isoformat(),
    }
