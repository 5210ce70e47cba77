"""One labelled set in, its figures out: what `footnote eval` does for each folder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import WrongUsage
from core.settings import Settings
from evaluation.answers import AnswerRecord, answer_figures, ask_all, write_answers
from evaluation.corpus import ASKER, ingested
from evaluation.grounding import grounding_figures, is_grounding_set, support_scores
from evaluation.pages import page_figures, pages_of
from evaluation.parsing import is_parsing_set, parse_all, parsing_figures, references
from evaluation.peers.converters import NAME, markitdown_scores
from evaluation.retrieval import rank_all, retrieval_figures, write_run
from evaluation.safety import detect_all, safety_figures
from evaluation.sets import (
    LabelledText,
    Question,
    QuestionSet,
    is_question_set,
    read_labelled_texts,
    read_question_set,
    read_questions,
)
from wiring.home import Home

RUN_TAG = "footnote"
_DIGITS = 4


@dataclass(frozen=True)
class EvalOptions:
    """How one set is evaluated. `settings` are those of every home made for it, but for the home and the database.

    `run_file` and `answers_file` receive what is scored. `questions` names another set (its folder or file of
    questions), of which `limit` are asked over this set's documents in place of its own. `keep_home` keeps the home.
    `peers` reads a set of documents with other people's converters too.
    """

    settings: Settings
    retrieval_only: bool = False
    run_file: Path | None = None
    answers_file: Path | None = None
    questions: Path | None = None
    limit: int | None = None
    keep_home: Path | None = None
    peers: bool = False


def evaluate(folder: Path, options: EvalOptions) -> dict[str, Any]:
    """The published JSON of one set; raises `WrongUsage` naming the file and line of a set that is ill-formed."""
    began = time.monotonic()
    if is_parsing_set(folder):
        figures = _evaluate_parsing(folder, options)
    elif is_question_set(folder):
        figures = _evaluate_questions(read_question_set(folder), options)
    else:
        figures = _evaluate_labels(folder, read_labelled_texts(folder), options)
    seconds = round(time.monotonic() - began, 1)
    return {"set": folder.resolve().name, **_rounded(figures), "seconds": seconds}


def _evaluate_questions(questions: QuestionSet, options: EvalOptions) -> dict[str, Any]:
    foreign = _sample(read_questions(options.questions), options.limit) if options.questions else ()
    with ingested(questions, options.settings, options.keep_home) as (home, report):
        documents = {"documents": {"ingested": report.added, "failed": report.failed, "chunks": report.chunks}}
        if options.questions:
            return {**documents, "foreign_questions": _ask_foreign(home, foreign, options)}
        return {**documents, **_retrieval_and_answers(home, questions, options)}


def _retrieval_and_answers(home: Home, given: QuestionSet, options: EvalOptions) -> dict[str, Any]:
    asked = _sample(given.questions, options.limit)
    rankings = rank_all(home.searcher, ASKER, asked)
    if options.run_file:
        write_run(options.run_file, rankings, RUN_TAG)
    with_answers = given.has_answers and not options.retrieval_only
    records = ask_all(home.ask, ASKER, asked) if with_answers else []
    if options.answers_file:
        write_answers(options.answers_file, records)

    def figures(some: Iterable[Question]) -> dict[str, Any]:
        some = list(some)
        both: dict[str, Any] = {"retrieval": retrieval_figures(some, rankings, given.judgements)}
        if with_answers:
            both["answers"] = answer_figures(some, records, given.judgements)
        return both

    pages = pages_of(given.documents)
    by_page = {"pages": page_figures(home.searcher, ASKER, asked, given.judgements, pages)} if pages else {}
    languages = sorted({question.language for question in asked if question.language})
    by_language = {one: figures(question for question in asked if question.language == one) for one in languages}
    kinds = sorted({kind for question in asked for kind in question.kinds})
    by_kind = {one: figures(question for question in asked if one in question.kinds) for one in kinds}
    told = {"by_kind": by_kind} if by_kind else {}
    return {**figures(asked), **by_page, "by_lang": by_language, **told}


def _ask_foreign(home: Home, questions: Sequence[Question], options: EvalOptions) -> dict[str, Any]:
    """Questions that these documents do not answer: the share that is told so."""
    records: list[AnswerRecord] = ask_all(home.ask, ASKER, questions)
    if options.answers_file:
        write_answers(options.answers_file, records)
    abstained = sum(record.abstained for record in records) / len(records)
    return {"questions": len(records), "abstained": abstained}


def _evaluate_parsing(folder: Path, options: EvalOptions) -> dict[str, Any]:
    wanted = references(folder)
    with Home(options.settings) as home, closing(home.open_parser()) as parser:
        ours = {"parsing": parsing_figures(parse_all(parser, wanted))}
    return ours | ({"peers": {NAME: parsing_figures(markitdown_scores(wanted))}} if options.peers else {})


def _evaluate_labels(folder: Path, rows: Sequence[LabelledText], options: EvalOptions) -> dict[str, Any]:
    if not rows:
        raise WrongUsage(f"{folder} has a data.jsonl without rows.")
    if is_grounding_set(rows):
        with Home(options.settings) as home:
            scores = support_scores(rows, home.encoder)
        figures = grounding_figures(rows, scores)
    else:
        with Home(options.settings) as home:
            found = detect_all(rows, folder.resolve().name, home.guard)
        figures, scores = safety_figures(found), found.scores
    if options.run_file:
        _write_scores(options.run_file, rows, scores)
    return figures


def _write_scores(file: Path, rows: Sequence[LabelledText], scores: Sequence[float]) -> None:
    """Write each row's id and score, apart by a tab."""
    with file.open("w", encoding="utf-8") as out:
        for row, score in zip(rows, scores, strict=True):
            out.write(f"{row.id}\t{score:.6f}\n")


def _sample(questions: Sequence[Question], limit: int | None) -> Sequence[Question]:
    """At most `limit` of the questions, evenly spread over the set, the same ones every time."""
    if limit is None or limit >= len(questions):
        return questions
    return [questions[number * len(questions) // limit] for number in range(limit)]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value
