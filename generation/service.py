"""Asking: a question and a principal in; an answer out whose quotes were checked, whose asker may read them still,
and which is on record."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from core.answers import Answer, Citation, Hit, SearchResult
from core.cancellation import Cancellation
from core.principals import Principal
from core.telemetry import span
from generation.answerer import Answerer, Writing
from generation.compose import Outcome, assembled, composing, drain
from generation.grounding import GroundedSentence
from generation.guarded import guarded, safety_of
from generation.rights import Rights, watched
from generation.turns import Turns
from governance.audit import AuditLog, Entry, Kind, new_audit_id
from governance.audit.log import Pending
from governance.doors import Gate
from governance.safety.guard import Finding, Guard, severest
from governance.safety.sensitive import Policy
from inference.encoder import Encoder
from retrieval.filters import NO_FILTERS, Filters
from retrieval.neighbours import Neighbours
from retrieval.recorded import evidence
from retrieval.search import Searcher, checked_query

# A citation that stops holding while the answer is made (access revoked, document replaced) means asking again.
_ROUNDS = 3

Ending = Literal["answered", "left", "withdrawn"]
"""How a stream ended: with its answer, because nobody listened any more, because a right was lost."""


@dataclass(frozen=True)
class PassagesFound:
    """What was retrieved, before anything is written; a later one replaces it."""

    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class SentenceChecked:
    """One sentence that its citations support and its reader may see, on record."""

    text: str
    markers: tuple[int, ...]
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class Answered:
    """The whole answer, on record; the last event."""

    answer: Answer


AskEvent = PassagesFound | SentenceChecked | Answered


@dataclass
class _Asked:
    """One question on its way."""

    question: str
    query: str
    principal: Principal
    audit_id: str
    intent: Pending
    filters: Filters
    writing: Writing
    began: float
    found: tuple[Finding, ...]
    """What the guard found in the question."""
    conversation: str = ""
    """Whose history stands in the prompt, as a salt: nobody else shares what a model caches of it."""
    policy: Policy = "strict"
    """What was masked for the asker in what was retrieved."""
    shown: list[GroundedSentence] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class AskService:
    """Answers from what the asker may read. Raises `AuditUnavailable`, and answers nothing, without a record."""

    searcher: Searcher
    gate: Gate
    answerer: Answerer
    encoder: Encoder
    audit: AuditLog
    guard: Guard
    passages: int
    turns: Turns = field(default_factory=Turns)
    neighbours: Neighbours | None = None
    """What is read beside the passages that were found; None: nothing."""

    def ask(
        self,
        question: str,
        principal: Principal,
        actor: str,
        filters: Filters = NO_FILTERS,
        writing: Writing | None = None,
    ) -> Answer:
        """One grounded answer, or an abstention with its reason and the nearest readable documents.

        The intent is on record before retrieval; what was retrieved and what is answered before anything returns.
        Every quote is compared with the stored text, read again for this principal after the answer was made.
        """
        asked = self._asked(question, principal, actor, filters, writing)
        if refusal := self._refusal(asked):
            return refusal
        with self.turns.taken(asked.writing), span("ask", audit_id=asked.audit_id) as traced:
            for _ in range(_ROUNDS):
                found = self._found(asked)
                at = time.perf_counter()
                sentences, outcome = drain(self._composed(asked, found, asked.writing))
                answer = _answered(asked, found.hits, sentences, outcome)
                if Rights(self.gate, principal, found.hits).hold(answer.citations):
                    break
            else:
                answer = _withheld(answer)
            asked.timings |= {"retrieve": found.timings_ms["total"], "answer": _ms_since(at)}
            at = time.perf_counter()
            ending: Ending = "left" if asked.writing.cancel.cancelled else "answered"
            self.audit.append_all(
                [self._evidence(asked, found), self._receipt(asked, answer, outcome.prompt_sha256, ending)]
            )
            asked.timings["audit"] = round(_ms_since(at) + found.timings_ms["record"], 3)
            traced.note(mode=answer.mode, abstained=answer.abstained, sentences=len(answer.claims))
            return _timed(answer, asked)

    def stream(
        self,
        question: str,
        principal: Principal,
        actor: str,
        filters: Filters = NO_FILTERS,
        writing: Writing | None = None,
    ) -> Generator[AskEvent, None, None]:
        """The same answer as it is made: each sentence checked, on record, and its asker's rights looked up again
        before it leaves; they are looked up every `RECHECK_SECONDS` in between too.

        A right that is lost before anything was shown means asking again; after that, what was shown stays with its
        reader, nothing follows, and `Answered` holds an abstention for `unavailable` which repeats none of it. Closing
        the iterator, interrupting it, or cancelling `writing`, ends the writing; the record then says what was shown.
        """
        asked = self._asked(question, principal, actor, filters, writing)
        if refusal := self._refusal(asked):
            yield Answered(refusal)
            return
        with self.turns.taken(asked.writing), span("ask", audit_id=asked.audit_id) as traced:
            for _ in range(_ROUNDS):
                found = self._found(asked)
                asked.timings |= {"retrieve": found.timings_ms["total"], "audit": found.timings_ms["record"]}
                self._record(asked, self._evidence(asked, found))
                try:
                    yield PassagesFound(found.hits)
                    outcome, ending = yield from self._written(asked, found)
                except (GeneratorExit, KeyboardInterrupt):
                    self._end(asked, found, Outcome(self.answerer.mode, self.answerer.model), "left")
                    raise
                if ending != "withdrawn" or asked.shown:
                    break
            answer = self._end(asked, found, outcome, ending)
            traced.note(mode=answer.mode, abstained=answer.abstained, sentences=len(asked.shown), ending=ending)
            if ending != "left":
                yield Answered(answer)

    def _written(self, asked: _Asked, found: SearchResult) -> Generator[SentenceChecked, None, tuple[Outcome, Ending]]:
        """The sentences, each shown only after its record, and only while the rights to all passages hold."""
        rights = Rights(self.gate, asked.principal, found.hits)
        # Rights that are lost end this writing; whoever listens may still be answered otherwise.
        cancel = Cancellation()
        asked.writing.cancel.on_cancel(cancel.cancel)
        writing = replace(asked.writing, cancel=cancel)
        composed = self._composed(asked, found, writing)
        with closing(composed), watched(rights, cancel) as lost:
            while True:
                try:
                    sentence = next(composed)
                except StopIteration as end:
                    outcome: Outcome = end.value
                    held = not lost.is_set() and rights.hold()
                    left = asked.writing.cancel.cancelled
                    return outcome, "left" if left else "answered" if held else "withdrawn"
                self._record(asked, self._sentence(asked, sentence))
                if not rights.hold(sentence.citations):
                    return Outcome(self.answerer.mode, self.answerer.model), "withdrawn"
                asked.timings.setdefault("first_token", _ms_since(asked.began))
                asked.shown.append(sentence)
                yield SentenceChecked(sentence.text, sentence.claim.markers, sentence.citations)

    def _asked(
        self, question: str, principal: Principal, actor: str, filters: Filters, writing: Writing | None
    ) -> _Asked:
        """Put the question on its way: its record is being written while the caller goes on."""
        began = time.perf_counter()
        writing = writing or Writing()
        question = checked_query(question)
        query = checked_query(writing.query) if writing.query else question
        audit_id = new_audit_id()
        asked = {"action": "ask", "question": question, "query": query, "actor": actor, "filters": filters.to_record()}
        intent = self.audit.submit([Entry(Kind.INTENT, principal, asked, audit_id)])
        findings = dict.fromkeys(
            self.guard.question(question) + (self.guard.question(query) if query != question else ())
        )
        conversation = writing.cache_salt if writing.history else ""
        return _Asked(
            question, query, principal, audit_id, intent, filters, writing, began, tuple(findings), conversation
        )

    def _refusal(self, asked: _Asked) -> Answer | None:
        """An abstention where the question is not to be answered: on record, and nothing was retrieved for it."""
        if severest([finding.action for finding in asked.found]) != "block":
            return None
        asked.intent.wait()
        answer = _answered(asked, (), (), Outcome(self.answerer.mode, self.answerer.model, "filtered"))
        self._record(asked, self._receipt(asked, answer, None, "answered"))
        return _timed(answer, asked)

    def _found(self, asked: _Asked) -> SearchResult:
        found = self.searcher.search(
            asked.query, asked.principal, self.passages, asked.filters, on_record=asked.intent.wait
        )
        if self.neighbours is not None:
            found = self.neighbours.read_with(found)
        asked.policy = self.gate.policy(asked.principal)
        asked.writing = replace(asked.writing, cache_salt=f"{found.view}:{asked.policy}:{asked.conversation}")
        return found

    def _composed(
        self, asked: _Asked, found: SearchResult, writing: Writing
    ) -> Generator[GroundedSentence, None, Outcome]:
        """The sentences of the answer, grounded and guarded."""
        composed = composing(asked.query, found.hits, self.answerer, self.encoder, writing)
        return guarded(composed, found.hits, self.guard, asked.policy)

    def _end(self, asked: _Asked, found: SearchResult, outcome: Outcome, ending: Ending) -> Answer:
        """The answer that was shown, on record; where a right was lost, one that repeats none of it."""
        answer = _answered(asked, found.hits, asked.shown, outcome)
        self._record(asked, self._receipt(asked, answer, outcome.prompt_sha256, ending))
        return _timed(_withheld(answer) if ending == "withdrawn" else answer, asked)

    def _record(self, asked: _Asked, entry: Entry) -> None:
        """Wait until this is on record."""
        at = time.perf_counter()
        self.audit.append_all([entry])
        asked.timings["audit"] = round(asked.timings.get("audit", 0.0) + _ms_since(at), 3)

    def _evidence(self, asked: _Asked, found: SearchResult) -> Entry:
        return Entry(Kind.EVIDENCE, asked.principal, evidence(found, self.searcher.ranker), asked.audit_id)

    def _sentence(self, asked: _Asked, sentence: GroundedSentence) -> Entry:
        content = {
            "number": len(asked.shown) + 1,
            "sentence": sentence.text,
            "citations": [asdict(citation) for citation in sentence.citations],
        }
        return Entry(Kind.SENTENCE, asked.principal, content, asked.audit_id)

    def _receipt(self, asked: _Asked, answer: Answer, prompt_sha256: str | None, ending: Ending) -> Entry:
        content = {
            "ending": ending,
            "answer": answer.text,
            "abstained": answer.abstained,
            "reason": answer.reason,
            "citations": [asdict(citation) for citation in answer.citations],
            "claims": [asdict(claim) for claim in answer.claims],
            "safety": answer.safety,
            "mode": answer.mode,
            "model": answer.model,
            "degraded": answer.degraded,
            "prompt_sha256": prompt_sha256,
            "usage": answer.usage,
        }
        return Entry(Kind.RECEIPT, asked.principal, content, asked.audit_id)


def _answered(asked: _Asked, hits: Sequence[Hit], sentences: Sequence[GroundedSentence], outcome: Outcome) -> Answer:
    answer = assembled(asked.question, asked.principal, hits, sentences, outcome)
    return replace(answer, safety=safety_of(outcome, asked.found))


def _withheld(answer: Answer) -> Answer:
    """What is said when the ground moves under an answer."""
    return replace(
        answer,
        text="",
        abstained=True,
        reason="unavailable",
        citations=(),
        claims=(),
        nearest=(),
        safety={**answer.safety, "passages": [], "output": []},
    )


def _timed(answer: Answer, asked: _Asked) -> Answer:
    total = _ms_since(asked.began)
    timings = {"retrieve": 0.0, "first_token": total, **asked.timings, "total": total}
    rewritten = asked.query if asked.query != asked.question else None
    return replace(answer, audit_id=asked.audit_id, timings_ms=timings, rewritten_question=rewritten)


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
