from __future__ import annotations

from pathlib import Path

import pytest
from labelled_sets import write_question_set, write_rows

from core.errors import WrongUsage
from evaluation.sets import is_question_set, read_judgements, read_labelled_texts, read_question_set, read_questions

CORPUS = [{"id": "d1", "title": "One", "text": "First."}, {"id": "d2", "title": "Two", "text": "Second."}]
QUERIES = [{"id": "q1", "text": "Which?", "answers": ["First"], "answerable": True, "lang": "en"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_question_set(tmp_path / "tiny", CORPUS, QUERIES, [("q1", "d1", 2), ("q1", "d2", 0)])


def test_a_set_is_read_as_it_was_written(folder: Path) -> None:
    found = read_question_set(folder)

    assert found.name == "tiny"
    assert [document.id for document in found.documents] == ["d1", "d2"]
    assert found.questions[0].answers == ("First",)
    assert found.questions[0].language == "en"
    assert found.judgements == {"q1": {"d1": 2.0, "d2": 0.0}}


def test_a_line_separator_within_a_string_does_not_end_a_row(folder: Path) -> None:
    write_rows(folder / "queries.jsonl", [{"id": "q1", "text": "one\u2028two\u0085three"}])

    assert [question.text for question in read_questions(folder)] == ["one\u2028two\u0085three"]


def test_judgements_need_no_line_of_column_names(folder: Path) -> None:
    (folder / "qrels.tsv").write_text("q1\td1\t2\nq1\td2\t0\n", encoding="utf-8")

    assert read_judgements(folder / "qrels.tsv") == {"q1": {"d1": 2.0, "d2": 0.0}}


@pytest.mark.parametrize(
    ("file", "content", "line", "cause"),
    [
        ("queries.jsonl", '{"id": "q1", "text": "a"}\n{"id": "q2", "text": ', 2, "not JSON"),
        ("queries.jsonl", '\n{"text": "no id"}', 2, "an `id`"),
        ("queries.jsonl", '["a list"]', 1, "JSON object"),
        ("queries.jsonl", '{"id": "q1", "text": "  "}', 1, "`text`"),
        ("queries.jsonl", '{"id": "q1", "text": "a", "answers": "b"}', 1, "`answers`"),
        ("queries.jsonl", '{"id": "q1", "text": "a", "answerable": "no"}', 1, "`answerable`"),
        ("queries.jsonl", '{"id": "q1", "text": "a"}\n{"id": "q1", "text": "b"}', 2, "'q1' stands on line 1"),
        ("corpus.jsonl", '{"id": "d1", "title": "no text"}', 1, "`text`"),
        ("qrels.tsv", "query_id\tdoc_id\tgrade\nq1\td1\n", 2, "apart by tabs"),
        ("qrels.tsv", "query_id\tdoc_id\tgrade\nq1\td1\t1\nq1\td2\tgood\n", 3, "a number"),
        ("qrels.tsv", "query_id\tdoc_id\tgrade\nq1\td1\tnan\n", 2, "a number"),
    ],
)
def test_an_ill_formed_line_is_named_with_its_file(
    folder: Path, file: str, content: str, line: int, cause: str
) -> None:
    (folder / file).write_text(content, encoding="utf-8")

    with pytest.raises(WrongUsage) as raised:
        read_question_set(folder)

    assert f"{folder / file}, line {line}:" in str(raised.value)
    assert cause in str(raised.value)


def test_bytes_that_are_no_text_are_named_with_their_line(folder: Path) -> None:
    (folder / "queries.jsonl").write_bytes(b'{"id": "q1", "text": "a"}\n{"id": "q2", "text": "\xff"}\n')

    with pytest.raises(WrongUsage, match=r"queries\.jsonl, line 2: this is not UTF-8"):
        read_questions(folder)


@pytest.mark.parametrize("missing", ["queries.jsonl", "qrels.tsv"])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()

    with pytest.raises(WrongUsage, match=missing):
        read_question_set(folder)


def test_a_folder_without_a_set_is_told_what_a_set_is(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"corpus\.jsonl"):
        is_question_set(tmp_path)
    with pytest.raises(WrongUsage, match="no folder"):
        is_question_set(tmp_path / "absent")


def test_a_manifest_cannot_name_files_outside_its_set(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "secret.md").write_text("not part of the set")
    write_question_set(tmp_path / "set", [], QUERIES, []).joinpath("corpus.jsonl").unlink()
    write_rows(tmp_path / "set" / "manifest.jsonl", [{"id": "d1", "file": "../secret.md"}])

    with pytest.raises(WrongUsage, match=r"manifest\.jsonl, line 1: .* outside"):
        read_question_set(tmp_path / "set")


def test_a_claim_is_read_with_its_evidence_under_either_name(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "data.jsonl",
        [
            {"id": "a", "claim": "It is so.", "evidence": ["It is.", " ", "So."], "label": "supported"},
            {"id": "b", "text": "It is not.", "context": "It is.", "label": "hallucinated"},
        ],
    )

    found = read_labelled_texts(tmp_path)

    assert [(row.text, row.evidence) for row in found] == [
        ("It is so.", ("It is.", "So.")),
        ("It is not.", ("It is.",)),
    ]


def test_judgements_keep_the_grade_zero_apart_from_no_judgement(tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv").write_text("query_id\tdoc_id\tgrade\nq1\td1\t0\r\n")

    assert read_judgements(tmp_path / "qrels.tsv") == {"q1": {"d1": 0.0}}
