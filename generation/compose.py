"""From hits to an answer: planted instructions set aside, drafted, grounded, or an abstention with what came near."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.answers import AbstentionReason, Answer, Citation, Hit, NearDocument, Passage
from core.errors import WrongUsage
from core.principals import Principal
from generation.answerer import Abstention, Answerer, Draft, DraftSentence
from generation.grounding import GroundedSentence, ground
from generation.planted import without_instructions
from inference.encoder import Encoder

_NEAREST = 3


def compose(question: str, principal: Principal, hits: Sequence[Hit], answerer: Answerer, encoder: Encoder) -> Answer:
    """An answer to `question` from `hits` (best first), every sentence cited; or an abstention with its reason.

    `audit_id`, `timings_ms` and the guards' part of `safety` are left to the caller. Raises `WrongUsage` when there is
    no question, and what the answerer raises.
    """
    if not question.strip():
        raise WrongUsage("There is no question: write what you want to know.")
    passages = [hit.passage for hit in hits]
    clean = [part for passage in passages for part in without_instructions(passage)]
    reasons: list[AbstentionReason] = []
    grounded = list(ground(_sentences(answerer.draft(question, clean), reasons), clean, encoder)) if clean else []
    safety = {"input": [], "passages": _verdicts(passages, clean), "output": [], "action": "allow"}
    if not grounded:
        reason = reasons[0] if reasons else ("low_support" if clean else "no_evidence")
        return Answer(
            question, principal, "", True, reason, (), (), answerer.mode, answerer.model, nearest(passages), safety
        )
    return Answer(
        question=question,
        principal=principal,
        text=joined(grounded),
        abstained=False,
        reason=None,
        citations=_citations(grounded),
        claims=tuple(sentence.claim for sentence in grounded),
        mode=answerer.mode,
        model=answerer.model,
        safety=safety,
    )


def joined(sentences: Sequence[GroundedSentence]) -> str:
    """The answer's text; sentences of scripts without spaces follow one another directly."""
    text = ""
    for sentence in sentences:
        text += sentence.text if not text or text.endswith("。") else f" {sentence.text}"
    return text


def nearest(passages: Sequence[Passage]) -> tuple[NearDocument, ...]:
    """The documents of the first passages, each once: where a person may look when nothing answers."""
    found = {
        p.document_id: NearDocument(p.document_id, p.source, p.external_id, p.uri, p.title) for p in reversed(passages)
    }
    return tuple(reversed(found.values()))[:_NEAREST]


def _sentences(drafts: Iterator[Draft], reasons: list[AbstentionReason]) -> Iterator[DraftSentence]:
    """The sentences of `drafts` as they come; why the answerer abstained goes to `reasons`."""
    for draft in drafts:
        if isinstance(draft, Abstention):
            reasons.append(draft.reason)
        else:
            yield draft


def _citations(grounded: Sequence[GroundedSentence]) -> tuple[Citation, ...]:
    by_marker = {citation.marker: citation for sentence in grounded for citation in sentence.citations}
    return tuple(by_marker[marker] for marker in sorted(by_marker))


def _verdicts(passages: Sequence[Passage], clean: Sequence[Passage]) -> list[dict[str, str]]:
    """One entry for each document of which a passage held a planted instruction."""
    whole = set(clean)
    marked = dict.fromkeys(passage.document_id for passage in passages if passage not in whole)
    return [{"document_id": document_id, "verdict": "injection"} for document_id in marked]
