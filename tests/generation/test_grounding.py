"""Grounding: what a draft says is resolved to stored text, or is not shown."""

from __future__ import annotations

from asking import encoder, passage

from generation.answerer import DraftSentence
from generation.grounding import GroundedSentence, ground
from generation.support import support

TERM = "The NDA runs for 3 years from signature."
DESK = "Flights are booked through the travel desk."


def grounded(*drafts: str) -> list[GroundedSentence]:
    passages = [passage(TERM, document="nda", start=10), passage(DESK, document="travel")]
    return list(ground([DraftSentence(draft) for draft in drafts], passages, encoder()))


def test_markers_are_renumbered_in_order_of_first_use_and_point_at_the_span() -> None:
    first, second = grounded(f"{DESK} [2]", f"{TERM} [1]")

    assert first.text == "Flights are booked through the travel desk [1]."
    assert second.text == "The NDA runs for 3 years from signature [2]."
    assert (second.citations[0].start, second.citations[0].end) == (10, 10 + len(TERM))


def test_a_paraphrase_is_cited_with_the_sentence_that_supports_it_and_an_invention_is_dropped() -> None:
    found = grounded("The NDA runs 3 years [1].", "The cafeteria serves lunch at noon [2].")

    assert [sentence.citations[0].quote for sentence in found] == [TERM]
    assert 0.5 <= found[0].claim.support <= 1


def test_a_marker_of_no_passage_and_a_repetition_add_no_citation() -> None:
    found = grounded(f"{TERM} [9]", f"{TERM} [1]")

    assert [sentence.claim.markers for sentence in found] == [(1,)]


def test_support_falls_with_a_changed_number_a_changed_name_and_a_negation() -> None:
    evidence = ["Ana Weber approved the 40 day plan in Berlin."]

    def supported(claim: str) -> float:
        return support(claim, evidence, encoder())

    faithful = supported("The 40 day plan was approved by Ana Weber in Berlin")
    assert faithful > 0.5
    assert supported("The 90 day plan was approved by Ana Weber in Berlin") < faithful / 2
    assert supported("The 40 day plan was approved by Ben Okafor in Berlin") < faithful / 2
    assert supported("The 40 day plan was not approved by Ana Weber in Berlin") < faithful / 2
    assert supported(evidence[0]) == 1.0
