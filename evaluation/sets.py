"""Labelled sets: what a folder of questions, documents and labels holds, every ill-formed line named.

A question set has documents (`corpus.jsonl`, or `manifest.jsonl` and files), `queries.jsonl` and `qrels.tsv`; a set of
labelled texts has `data.jsonl` alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import WrongUsage

CORPUS, MANIFEST, QUERIES, QRELS, DATA = "corpus.jsonl", "manifest.jsonl", "queries.jsonl", "qrels.tsv", "data.jsonl"

Row = Mapping[str, Any]
Judgements = Mapping[str, Mapping[str, float]]
"""For each question's id, the grade of each document that was judged; 0 or less means judged and not relevant."""


@dataclass(frozen=True)
class SetDocument:
    """One document, not yet read: `load` gives a file's bytes, or the JSON of a row of `corpus.jsonl`."""

    id: str
    file_name: str
    load: Callable[[], bytes]


@dataclass(frozen=True)
class Question:
    """`answers` are the accepted ones; `answerable` is None where the set does not say.

    `history` is the conversation before the question, oldest first, where the set has one; `kinds` are the groups that
    the set counts it to.
    """

    id: str
    text: str
    answers: tuple[str, ...] = ()
    answerable: bool | None = None
    language: str | None = None
    history: tuple[Message, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """One earlier message of a conversation; `role` is `user` or `assistant`."""

    role: str
    text: str


@dataclass(frozen=True)
class QuestionSet:
    """Questions over documents; `rows` says that the documents are rows of `corpus.jsonl` and not files."""

    name: str
    folder: Path
    documents: tuple[SetDocument, ...]
    rows: bool
    questions: tuple[Question, ...]
    judgements: Judgements

    @property
    def has_answers(self) -> bool:
        """Whether anything can be said about answers to these questions."""
        return any(question.answers or question.answerable is False for question in self.questions)


@dataclass(frozen=True)
class LabelledText:
    """One row of `data.jsonl`: a text with its label, and what it is to be judged against, if anything."""

    id: str
    text: str
    label: str
    evidence: tuple[str, ...] = ()
    """Sentences, or one passage whose sentences nobody has told apart."""


def is_question_set(folder: Path) -> bool:
    """Whether `folder` is a question set and not one of labelled texts; raises `WrongUsage` when it is neither."""
    if not folder.is_dir():
        raise WrongUsage(f"{folder} is no folder. Name the folder of a labelled set.")
    if (folder / DATA).is_file():
        return False
    if (folder / CORPUS).is_file() or (folder / MANIFEST).is_file():
        return True
    raise WrongUsage(
        f"{folder} holds no labelled set: it needs {CORPUS} (or {MANIFEST} and files), {QUERIES} and {QRELS}, or else "
        f"{DATA}."
    )


def read_question_set(folder: Path) -> QuestionSet:
    """Read all of a question set but its documents' files; raises `WrongUsage` naming the file and the line."""
    rows = (folder / CORPUS).is_file()
    documents = tuple(_corpus(folder / CORPUS) if rows else _manifest(folder))
    name = folder.resolve().name
    return QuestionSet(name, folder, documents, rows, read_questions(folder), read_judgements(folder / QRELS))


def read_questions(path: Path) -> tuple[Question, ...]:
    """The questions of a set's folder, or of a file like its `queries.jsonl`; raises `WrongUsage`."""
    return tuple(_questions(path / QUERIES if path.is_dir() else path))


def read_judgements(file: Path) -> Judgements:
    """Read `query_id, doc_id, grade` apart by tabs; a first line without a grade names the columns.

    Raises `WrongUsage`.
    """
    judgements: dict[str, dict[str, float]] = {}
    for number, line in _lines(file):
        try:
            question, document, grade = line.split("\t")
            value = float(grade)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            if number == 1:
                continue
            raise _wrong(file, number, "a judgement is query_id, doc_id and a number, apart by tabs")
        judgements.setdefault(question, {})[document] = value
    return judgements


def read_labelled_texts(folder: Path) -> tuple[LabelledText, ...]:
    """Read `data.jsonl`; a row's text is its `claim` or `text`, its evidence `evidence` or `context`.

    Raises `WrongUsage` naming the file and the line.
    """
    file = folder / DATA
    return tuple(
        LabelledText(
            row["id"],
            _text(file, number, row, "claim" if "claim" in row else "text"),
            _text(file, number, row, "label"),
            _evidence(file, number, row),
        )
        for number, row in _rows(file)
    )


def _corpus(file: Path) -> Iterator[SetDocument]:
    for number, row in _rows(file):
        _text(file, number, row, "text", may_be_empty=True)
        yield SetDocument(row["id"], f"{row['id']}.json", json.dumps(row).encode)


def _manifest(folder: Path) -> Iterator[SetDocument]:
    manifest = folder / MANIFEST
    for number, row in _rows(manifest):
        file = folder / _text(manifest, number, row, "file")
        if not file.resolve().is_relative_to(folder.resolve()):
            raise _wrong(manifest, number, f"{row['file']!r} lies outside the set's folder")
        yield SetDocument(row["id"], file.name, file.read_bytes)


def _questions(file: Path) -> Iterator[Question]:
    for number, row in _rows(file):
        answers, answerable = row.get("answers") or [], row.get("answerable")
        if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
            raise _wrong(file, number, "`answers` must be a list of strings")
        if not (answerable is None or isinstance(answerable, bool)):
            raise _wrong(file, number, "`answerable` must be true or false")
        language = _text(file, number, row, "lang") if row.get("lang") is not None else None
        accepted = tuple(answer for answer in answers if answer.strip())
        history = tuple(_history(file, number, row))
        text, kinds = _text(file, number, row, "text"), tuple(_kinds(row))
        yield Question(row["id"], text, accepted, answerable, language, history, kinds)


def _kinds(row: Row) -> Iterator[str]:
    """What a question is, and whether its own words stand in the document that answers it, where the set says so."""
    kind = row.get("kind")
    if isinstance(kind, str):
        yield kind
        if row.get("verbatim_in_document") is False:
            yield f"{kind}, not in the document"


def _history(file: Path, number: int, row: Row) -> Iterator[Message]:
    for message in row.get("conversation") or ():
        if not isinstance(message, dict) or not all(isinstance(message.get(part), str) for part in ("role", "text")):
            raise _wrong(file, number, "`conversation` must be a list of {role, text}")
        yield Message(message["role"], message["text"])


def _evidence(file: Path, number: int, row: Row) -> tuple[str, ...]:
    evidence = row.get("evidence", row.get("context"))
    if evidence is None:
        return ()
    sentences = [evidence] if isinstance(evidence, str) else evidence
    if not isinstance(sentences, list) or not all(isinstance(one, str) for one in sentences):
        raise _wrong(file, number, "evidence must be a string or a list of strings")
    return tuple(sentence for sentence in sentences if sentence.strip())


def _text(file: Path, number: int, row: Row, name: str, *, may_be_empty: bool = False) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not (may_be_empty or value.strip()):
        raise _wrong(file, number, f"`{name}` must be a string{'' if may_be_empty else ' with something in it'}")
    return value


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's number and JSON object; its `id` is a string that no other line has."""
    seen: dict[str, int] = {}
    for number, line in _lines(file):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _wrong(file, number, f"this is not JSON ({error})") from error
        if not isinstance(row, dict) or not isinstance(row.get("id"), str | int) or not str(row["id"]).strip():
            raise _wrong(file, number, "a row is a JSON object with an `id`")
        row["id"] = str(row["id"])
        if row["id"] in seen:
            raise _wrong(file, number, f"the id {row['id']!r} stands on line {seen[row['id']]} already")
        seen[row["id"]] = number
        yield number, row


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold something, with their numbers from 1."""
    try:
        # Binary, because text mode and `splitlines` also break at characters that JSON allows within a string.
        lines: Iterable[bytes] = file.read_bytes().split(b"\n")
    except OSError as error:
        raise WrongUsage(f"{file} cannot be read ({error.strerror}). The set needs it.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield number, line.rstrip(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise _wrong(file, number, "this is not UTF-8 text") from error


def _wrong(file: Path, number: int, what: str) -> WrongUsage:
    return WrongUsage(f"{file}, line {number}: {what}.")
