"""Sentences on their way out: masked, their links without effect, or held back; and what of it the answer tells."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

from core.answers import Hit
from generation.compose import Outcome
from generation.grounding import GroundedSentence
from governance.safety.guard import Action, Finding, Guard, severest
from governance.safety.sensitive import Policy


def guarded(
    composed: Generator[GroundedSentence, None, Outcome], hits: Sequence[Hit], guard: Guard, policy: Policy
) -> Generator[GroundedSentence, None, Outcome]:
    """The sentences of `composed` as they may leave; quotes stay what the stored text is for this reader.

    What was found is told in the outcome, whose reason is `filtered` when nothing was let through.
    """
    findings: dict[Finding, None] = {}
    blocked = shown = False
    with closing(composed):
        while True:
            try:
                sentence = next(composed)
            except StopIteration as end:
                outcome: Outcome = end.value
                outcome.output = [asdict(finding) for finding in findings]
                outcome.reason = "filtered" if blocked and not shown else outcome.reason
                return outcome
            found, leaving = _checked(sentence, hits, guard, policy)
            findings.update(dict.fromkeys(found))
            if leaving is None:
                blocked = True
                continue
            shown = True
            yield leaving


def safety_of(outcome: Outcome, question: Sequence[Finding]) -> dict[str, Any]:
    """The part of an answer that tells what the guards found and did."""
    actions: list[Action] = [finding.action for finding in question]
    actions += [finding["action"] for finding in outcome.output]
    actions += ["mark"] * bool(outcome.passages)
    return {
        "input": [asdict(finding) for finding in question],
        "passages": outcome.passages,
        "output": outcome.output,
        "action": severest(actions),
    }


def _checked(
    sentence: GroundedSentence, hits: Sequence[Hit], guard: Guard, policy: Policy
) -> tuple[list[Finding], GroundedSentence | None]:
    """What was found in a sentence and in what it quotes, and the sentence as it may leave."""
    cited = {citation.uri for citation in sentence.citations}
    text, found = guard.sentence(sentence.text, policy, cited)
    if any(finding.action == "block" for finding in found):
        return list(found), None
    claim, _ = guard.sentence(sentence.claim.text, policy, cited)
    masked = [Finding(category, "redact") for category in _masked(sentence, hits)]
    return [*masked, *found], replace(sentence, text=text, claim=replace(sentence.claim, text=claim))


def _masked(sentence: GroundedSentence, hits: Sequence[Hit]) -> list[str]:
    """The categories of what the gate masked in the quotes of a sentence."""
    return [
        span.category
        for citation in sentence.citations
        for passage in (hit.passage for hit in hits)
        if (passage.document_id, passage.version) == (citation.document_id, citation.version)
        for span in passage.masked
        if span.start < citation.end and citation.start < span.end
    ]
