"""Results are written in the format asked for, whole or not at all, and no cell of them computes anything."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from core.answers import Answer, Citation, NearDocument
from core.batches import BatchQuestion, BatchResult, Json, time_left
from core.errors import LimitExceeded
from core.principals import Principal
from generation.batch.results import Format, write_file, write_results

ANA = Principal("local", "ana")
QUOTE = "Everybody has 27 days of annual leave."
FORMATS: Sequence[Format] = ("csv", "jsonl", "xlsx")


def answer(text: str = f"{QUOTE} [1]", quote: str = QUOTE) -> Answer:
    citation = Citation(1, "d" * 32, 2, "handbook", "leave.md", "file:///l", "Leave", ("A",), 3, 5, 43, quote)
    return Answer("How?", ANA, text, False, None, (citation,), (), "extractive", "m", audit_id="audit-1")


def result(carried: Mapping[str, Json], said: Answer | None = None, error: str = "", fault: str = "") -> BatchResult:
    document = NearDocument("d" * 32, "handbook", "leave.md", "file:///l", "Leave")
    question = BatchQuestion(7, "How?", carried, fault)
    return BatchResult(1, question, "d" * 32, document, said, said.audit_id if said else None, error)


def written(form: Format, results: Sequence[BatchResult], columns: Sequence[str], grid: bool = False) -> bytes:
    target = io.BytesIO()
    write_results(target, form, columns, results, grid)
    return target.getvalue()


def rows(form: Format, data: bytes) -> list[dict[str, Any]]:
    """What a program reads from the file, by column."""
    if form == "jsonl":
        return [json.loads(line) for line in data.decode().split("\n")[:-1]]
    if form == "csv":
        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    (names, *values) = load_workbook(io.BytesIO(data)).active.iter_rows(values_only=True)
    return [dict(zip(names, value, strict=True)) for value in values]


def test_a_result_is_one_line_to_every_reader_of_lines() -> None:
    asked = "One\u2028two\x85three\u2029four\x0bfive\x1csix?"

    [line] = written("jsonl", [result({"question": asked})], ("question",)).decode().splitlines()

    assert json.loads(line)["question"] == asked


@pytest.mark.parametrize("form", FORMATS)
def test_what_stood_in_the_file_comes_back_in_front_of_the_answer(form: Format) -> None:
    carried: dict[str, Json] = {"team": "Köln\n2", "question": "How?", "n": 3}

    (row,) = rows(form, written(form, [result(carried, answer())], ["team", "question", "n"]))

    ours = ["answer", "abstained", "reason", "citations", "audit_id", "mode", "error"]
    assert list(row) == ["team", "question", "n", *ours]
    assert (row["team"], row["question"], str(row["n"])) == ("Köln\n2", "How?", "3")
    assert row["answer"] == f"{QUOTE} [1]" and row["mode"] == "extractive" and row["audit_id"] == "audit-1"
    assert str(row["abstained"]).lower() == "false" and not row["reason"] and not row["error"]
    if form == "jsonl":
        (cited,) = row["citations"]
        assert (cited["quote"], cited["external_id"], cited["page"], cited["start"]) == (QUOTE, "leave.md", 3, 5)
    else:
        assert row["citations"] == f"[1] Leave (leave.md, page 3): “{QUOTE}”"


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_without_an_answer_says_why_and_a_grid_names_its_document(form: Format) -> None:
    data = written(
        form, [result({"q": ""}, error="it is empty", fault="it is empty"), result({"q": "How?"})], ["q"], True
    )

    refused, waiting = rows(form, data)

    assert (refused["document"], refused["document_id"]) == ("leave.md", "d" * 32)
    assert refused["error"] == "line 7: it is empty" and not refused["answer"] and not refused["abstained"]
    assert not waiting["error"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_column_that_is_called_as_one_of_ours_keeps_its_content(form: Format) -> None:
    carried: dict[str, Json] = {"question": "How?", "answer": "27", "error": "none"}

    (row,) = rows(form, written(form, [result(carried, answer())], ["question", "answer", "error"]))

    assert (row["answer (given)"], row["error (given)"]) == ("27", "none")
    assert row["answer"].startswith(QUOTE) and not row["error"]


@given(
    start=st.sampled_from(
        ["=", "+", "-", "@", "\t=", "\r@", "\n-", " =", "\u200b=", "\ufeff+", "＝", "＋", "－", "＠"]
    ),
    rest=st.text(st.characters(blacklist_categories=["Cs"]), max_size=10),
)
def test_no_cell_of_a_sheet_is_a_formula_wherever_its_text_came_from(start: str, rest: str) -> None:
    text = start + rest
    results = [result({text: text}, answer(text, text), error=text)]
    for form in ("csv", "xlsx"):
        data = written(form, results, [text])
        for cell in (cell for row in rows(form, data) for pair in row.items() for cell in pair):
            assert (
                not str(cell if cell is not None else "")
                .lstrip("\u200b\ufeff \t\r\n")
                .startswith(tuple("=+-@＝＋－＠"))
            )
    sheet = load_workbook(io.BytesIO(data)).active
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "b", "n"}


@pytest.mark.parametrize("form", FORMATS)
def test_text_that_a_format_cannot_hold_costs_no_row(form: Format) -> None:
    odd = "a\x00b\x1f\ud800\uffff" + "x" * 40_000

    (row,) = rows(form, written(form, [result({"q": odd}, answer(odd, odd))], ["q"]))

    assert row["answer"].startswith("a") and "x" * 30_000 in row["answer"]
    assert len(row["answer"]) == (32_767 if form == "xlsx" else len(odd))


def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("before")

    def half(file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(target, half)
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"] and target.read_text() == "before"

    write_file(target, lambda file: file.write(b"after") and None)
    assert target.read_text() == "after"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(LimitExceeded, match="No answer is lost"):
        write_file(tmp_path / "absent" / "out.csv", half)


MORNING = datetime(2026, 1, 1, 8, tzinfo=UTC)


def test_the_time_left_is_what_the_last_rows_took_times_those_that_wait() -> None:
    steady = [MORNING + timedelta(seconds=2 * n) for n in range(10)]

    assert time_left(steady, 30) == timedelta(seconds=60)
    assert time_left(steady, 0) == timedelta()
    assert time_left(steady[:1], 30) is None


def test_a_night_between_two_runs_hardly_counts_towards_the_time_left() -> None:
    evening = [MORNING + timedelta(seconds=2 * n) for n in range(10)]
    next_day = [moment + timedelta(hours=14) for moment in evening]

    left = time_left([*evening, *next_day], 30)

    assert left is not None and timedelta(seconds=60) <= left <= timedelta(seconds=180)
