"""From hits to an answer: planted instructions set aside, drafted, grounded, or an abstention with what came near."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.answers import AbstentionReason, Answer, Citation, Hit, Mode, NearDocument, Passage
from core.errors import WrongUsage
from core.principals import Principal
from generation.answerer import Abstention, Answerer, Draft, DraftSentence, Prompted, TakenOver, TokensUsed, Writing
from generation.grounding import GroundedSentence, ground
from generation.planted import without_instructions
from inference.encoder import Encoder

_NEAREST = 3


@dataclass
class Outcome:
    """How the sentences of an answer came about; complete when the last of them has come."""

    mode: Mode
    model: str
    reason: AbstentionReason | None = None
    """Why there is nothing to say; None where there is."""
    prompt_sha256: str | None = None
    usage: dict[str, int] = field(default_factory=lambda: {"prompt_tokens": 0, "completion_tokens": 0})
    degraded: dict[str, str] | None = None
    """Which model failed and why, where another answerer wrote the answer or its end."""
    passages: list[dict[str, str]] = field(default_factory=list)
    """One verdict for each document in which an instruction was planted."""
    output: list[dict[str, Any]] = field(default_factory=list)
    """What the guard found in the sentences, and what it did."""


def compose(question: str, principal: Principal, hits: Sequence[Hit], answerer: Answerer, encoder: Encoder) -> Answer:
    """An answer to `question` from `hits` (best first), every sentence cited; or an abstention with its reason.

    `audit_id`, `timings_ms` and the guards' part of `safety` are left to the caller. Raises `WrongUsage` when there is
    no question, and what the answerer raises.
    """
    sentences, outcome = drain(composing(question, hits, answerer, encoder, Writing()))
    return assembled(question, principal, hits, sentences, outcome)


def composing(
    question: str, hits: Sequence[Hit], answerer: Answerer, encoder: Encoder, writing: Writing
) -> Generator[GroundedSentence, None, Outcome]:
    """The sentences of an answer, each as soon as it is written and its citations support it; then how it went."""
    if not question.strip():
        raise WrongUsage("There is no question: write what you want to know.")
    passages = [hit.passage for hit in hits]
    clean = [part for passage in passages for part in without_instructions(passage)]
    outcome = Outcome(answerer.mode, answerer.model, "no_evidence", passages=_verdicts(passages, clean))
    if not clean:
        return outcome
    outcome.reason = "low_support"
    for sentence in ground(_sentences(answerer.draft(question, clean, writing), outcome), clean, encoder):
        outcome.reason = None
        yield sentence
    return outcome


def drain(composed: Generator[GroundedSentence, None, Outcome]) -> tuple[list[GroundedSentence], Outcome]:
    """All sentences, and how they came about."""
    sentences: list[GroundedSentence] = []
    while True:
        try:
            sentences.append(next(composed))
        except StopIteration as end:
            return sentences, end.value


def assembled(
    question: str, principal: Principal, hits: Sequence[Hit], sentences: Sequence[GroundedSentence], outcome: Outcome
) -> Answer:
    """The answer that `sentences` make; an abstention where there are none."""
    safety: dict[str, Any] = {"input": [], "passages": outcome.passages, "output": [], "action": "allow"}
    return Answer(
        question=question,
        principal=principal,
        text=joined(sentences),
        abstained=not sentences,
        reason=None if sentences else outcome.reason or "low_support",
        citations=_citations(sentences),
        claims=tuple(sentence.claim for sentence in sentences),
        mode=outcome.mode,
        model=outcome.model,
        nearest=() if sentences else nearest([hit.passage for hit in hits]),
        safety=safety,
        usage=outcome.usage,
        degraded=outcome.degraded,
    )


def joined(sentences: Sequence[GroundedSentence]) -> str:
    """The answer's text."""
    text = ""
    for sentence in sentences:
        text += following(text, sentence.text)
    return text


def following(text: str, sentence: str) -> str:
    """What `sentence` adds to the `text` before it: sentences of scripts without spaces follow one another directly."""
    return sentence if not text or text.endswith("。") else f" {sentence}"


def nearest(passages: Sequence[Passage]) -> tuple[NearDocument, ...]:
    """The documents of the first passages, each once: where a person may look when nothing answers."""
    found = {
        p.document_id: NearDocument(p.document_id, p.source, p.external_id, p.uri, p.title) for p in reversed(passages)
    }
    return tuple(reversed(found.values()))[:_NEAREST]


def _sentences(drafts: Iterator[Draft], outcome: Outcome) -> Iterator[DraftSentence]:
    """The sentences of `drafts` as they come; what else the answerer tells goes to `outcome`."""
    for draft in drafts:
        match draft:
            case DraftSentence():
                yield draft
            case Abstention(reason):
                # What has been said before stands.
                outcome.reason = outcome.reason and reason
            case Prompted(sha256):
                outcome.prompt_sha256 = sha256
            case TokensUsed(prompt, completion):
                outcome.usage = {"prompt_tokens": prompt, "completion_tokens": completion}
            case TakenOver(kind, cause, mode, model):
                outcome.degraded = {"mode": outcome.mode, "model": outcome.model, "kind": kind, "cause": cause}
                if outcome.reason is not None:
                    # Nothing of the first answerer was shown, so the answer is all the other's.
                    outcome.mode, outcome.model = mode, model


def _citations(grounded: Sequence[GroundedSentence]) -> tuple[Citation, ...]:
    by_marker = {citation.marker: citation for sentence in grounded for citation in sentence.citations}
    return tuple(by_marker[marker] for marker in sorted(by_marker))


def _verdicts(passages: Sequence[Passage], clean: Sequence[Passage]) -> list[dict[str, str]]:
    """One entry for each document of which a passage held a planted instruction."""
    whole = set(clean)
    marked = dict.fromkeys(passage.document_id for passage in passages if passage not in whole)
    return [{"document_id": document_id, "verdict": "injection"} for document_id in marked]
