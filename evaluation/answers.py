"""Answers on a question set: each question asked as people ask it, and what its answer and citations are worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.answers import Answer
from core.json_lines import json_line
from core.principals import Principal
from evaluation.classification import precision_and_recall
from evaluation.matching import exact_match, holds_any, token_f1, without_markers
from evaluation.metrics import has_relevant, mean
from evaluation.progress import followed
from evaluation.sets import Judgements, Question
from generation.service import AskService


@dataclass(frozen=True)
class Quote:
    """One citation: whose words, and the words."""

    external_id: str
    quote: str


@dataclass(frozen=True)
class AnswerRecord:
    """What was said to one question: a line of the `--answers` file, and all that is scored. `text` is without
    markers, and empty for an abstention."""

    id: str
    answer: str
    abstained: bool
    citations: tuple[Quote, ...]

    @property
    def text(self) -> str:
        return "" if self.abstained else without_markers(self.answer, len(self.citations))

    def to_json(self) -> dict[str, Any]:
        quotes = [vars(citation) for citation in self.citations]
        return {"id": self.id, "answer": self.answer, "abstained": self.abstained, "citations": quotes}


def ask_all(service: AskService, principal: Principal, questions: Sequence[Question]) -> list[AnswerRecord]:
    """Every question asked, on record as every question is; in their order."""
    return [
        record_of(question.id, service.ask(question.text, principal, str(principal)))
        for question in followed(questions, "Asking")
    ]


def record_of(id_: str, answer: Answer) -> AnswerRecord:
    quotes = tuple(Quote(citation.external_id, citation.quote) for citation in answer.citations)
    return AnswerRecord(id_, answer.text, answer.abstained, quotes)


def answer_figures(
    questions: Iterable[Question], records: Iterable[AnswerRecord], judgements: Judgements
) -> dict[str, Any]:
    """The figures of the answers to `questions`; None where nothing of the kind was asked.

    The first four are means over the questions with an accepted answer, an abstention counting 0: `exact_match` and
    `f1` of the text without markers, an accepted answer in any cited quote, and one in the first quote.
    `citation_precision` is the share of all quotes, of answers to questions with a relevant document, that come from
    one. `abstention` takes the unanswerable questions as the class to find.
    """
    by_id = {record.id: record for record in records}
    pairs = [(question, by_id[question.id]) for question in questions if question.id in by_id]
    scored = [(question.answers, record) for question, record in pairs if is_scored(question)]
    cited = [
        judgements[question.id].get(quote.external_id, 0) > 0
        for question, record in pairs
        if has_relevant(judgements.get(question.id, {}))
        for quote in record.citations
    ]
    return {
        "exact_match": mean(exact_match(record.text, accepted) for accepted, record in scored),
        "f1": mean(token_f1(record.text, accepted) for accepted, record in scored),
        "answer_in_citation": mean(_held(record.citations, accepted) for accepted, record in scored),
        "answer_in_first_sentence": mean(_held(record.citations[:1], accepted) for accepted, record in scored),
        "citation_precision": mean(cited),
        "abstention": _abstention(pairs),
        "questions": len(scored),
        "abstained": mean(record.abstained for _, record in pairs),
    }


def is_scored(question: Question) -> bool:
    """Whether an answer can be right: the question has accepted ones and is not marked unanswerable."""
    return bool(question.answers) and question.answerable is not False


def write_answers(file: Path, records: Iterable[AnswerRecord]) -> None:
    """Write one JSON line for each question."""
    with file.open("w", encoding="utf-8") as out:
        for record in records:
            out.write(json_line(record.to_json()) + "\n")


def _held(quotes: Iterable[Quote], accepted: Sequence[str]) -> bool:
    return any(holds_any(quote.quote, accepted) for quote in quotes)


def _abstention(pairs: Iterable[tuple[Question, AnswerRecord]]) -> dict[str, float | None]:
    told = [
        (record.abstained, not question.answerable) for question, record in pairs if question.answerable is not None
    ]
    unanswerable = [is_unanswerable for _, is_unanswerable in told]
    if not any(unanswerable):
        return {"precision": None, "recall": None}
    precision, recall = precision_and_recall([abstained for abstained, _ in told], unanswerable)
    return {"precision": precision, "recall": recall}
