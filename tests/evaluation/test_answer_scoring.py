from __future__ import annotations

from evaluation.answers import AnswerRecord, Quote, answer_figures
from evaluation.sets import Question

RUNS = Question("runs", "How long does it run?", ("three years",), True)
SIGNED = Question("signed", "Where was it signed?", ("Cork",), True)
MOON = Question("moon", "Who signed it on the moon?", ("Ana",), False)
JUDGEMENTS = {"runs": {"nda": 1.0, "leave": 0.0}, "signed": {"nda": 1.0}}


def said(question: Question, text: str, *quotes: tuple[str, str]) -> AnswerRecord:
    return AnswerRecord(question.id, text, False, tuple(Quote(*quote) for quote in quotes))


def silent(question: Question, text: str = "") -> AnswerRecord:
    return AnswerRecord(question.id, text, True, ())


def test_an_answer_in_the_second_quote_is_in_a_citation_but_not_in_the_first() -> None:
    record = said(RUNS, "x [1] y [2]", ("nda", "It binds both."), ("nda", "It runs THREE  years."))

    figures = answer_figures([RUNS], [record], JUDGEMENTS)

    assert (figures["answer_in_citation"], figures["answer_in_first_sentence"]) == (1.0, 0.0)


def test_the_text_is_compared_without_markers_and_the_text_of_an_abstention_not_at_all() -> None:
    right, withheld = said(RUNS, "Three years [1].", ("nda", "…")), silent(SIGNED, "Cork")

    assert answer_figures([RUNS], [right], JUDGEMENTS)["exact_match"] == 1.0
    assert answer_figures([SIGNED], [withheld], JUDGEMENTS)["exact_match"] == 0.0
    assert answer_figures([RUNS, SIGNED], [right, withheld], JUDGEMENTS)["f1"] == 0.5


def test_an_abstention_counts_nothing_towards_answers_in_citations() -> None:
    records = [said(RUNS, "x [1]", ("nda", "three years")), silent(SIGNED)]

    assert answer_figures([RUNS, SIGNED], records, JUDGEMENTS)["answer_in_citation"] == 0.5


def test_what_a_set_lists_for_an_unanswerable_question_is_no_accepted_answer() -> None:
    figures = answer_figures([MOON], [said(MOON, "Ana [1].", ("nda", "Ana"))], JUDGEMENTS)

    assert figures["answer_in_citation"] is None
    assert figures["questions"] == 0


def test_citation_precision_looks_at_quotes_of_questions_with_a_relevant_document_only() -> None:
    records = [
        said(RUNS, "x [1][2]", ("nda", "a"), ("leave", "b")),
        said(SIGNED, "x [1]", ("nda", "c")),
        said(MOON, "x [1]", ("nda", "d")),
    ]

    assert answer_figures([RUNS, SIGNED, MOON], records, JUDGEMENTS)["citation_precision"] == 2 / 3


def test_abstention_is_scored_as_finding_the_unanswerable_questions() -> None:
    other = Question("other", "And where is Mars?", (), False)
    records = [silent(RUNS), said(SIGNED, "Cork"), silent(MOON), said(other, "There")]

    both = answer_figures([RUNS, SIGNED, MOON, other], records, JUDGEMENTS)["abstention"]

    assert both == {"precision": 1 / 2, "recall": 1 / 2}
    nothing_to_find = answer_figures([RUNS], [silent(RUNS)], JUDGEMENTS)["abstention"]
    assert nothing_to_find == {"precision": None, "recall": None}
