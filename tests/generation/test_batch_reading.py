"""Files of questions are read as people save them, and a bad row costs nobody else's answer."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from apps.batches import MAX_FILE_BYTES, read_questions
from core.batches import QuestionSheet
from core.errors import FootnoteError, LimitExceeded, UnreadableDocument, WrongUsage
from generation.batch.columns import MAX_QUESTIONS
from retrieval.search import MAX_QUERY_CHARACTERS


def asked(sheet: QuestionSheet) -> list[str]:
    return [row.question for row in sheet.rows]


def faults(sheet: QuestionSheet) -> dict[int, str]:
    """By the line in the file."""
    return {row.line: row.fault for row in sheet.rows if row.fault}


def csv_of(text: str, encoding: str = "utf-8") -> QuestionSheet:
    return read_questions("questions.csv", text.encode(encoding))


def jsonl_of(*lines: str) -> QuestionSheet:
    return read_questions("questions.jsonl", "\n".join(lines).encode())


def workbook(*sheets: list[list[object]]) -> bytes:
    book, target = Workbook(), io.BytesIO()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(target)
    return target.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_any_usual_delimiter_and_encoding_is_read_alike(delimiter: str, encoding: str) -> None:
    rows = [["team", "question"], ["Köln", f"Wie viel, {delimiter} Urlaub gibt es für Ärztinnen und Ärzte?"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)

    sheet = csv_of(text.getvalue(), encoding)

    assert sheet.columns == ("team", "question")
    assert asked(sheet) == [rows[1][1]]
    assert sheet.rows[0].carried == {"team": "Köln", "question": rows[1][1]}


_CELL = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip).filter(bool)


@given(rows=st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=6), delimiter=st.sampled_from(",;\t|"))
def test_what_a_csv_writer_wrote_is_read_back_cell_for_cell(rows: list[tuple[str, str]], delimiter: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([("question", "note"), *rows])

    sheet = csv_of(text.getvalue())

    assert [(row.carried["question"], row.carried["note"]) for row in sheet.rows] == rows


def test_the_column_called_question_is_asked_else_the_first() -> None:
    assert asked(csv_of("id,Question,note\n1,How long?,x\n")) == ["How long?"]
    assert asked(csv_of("ask,note\nHow long?,x\n")) == ["How long?"]
    assert asked(csv_of("question\nWho, when and why?\n")) == ["Who, when and why?"]


def test_a_list_of_questions_needs_no_names_of_columns() -> None:
    sheet = csv_of("How long, and who says so?\nHow much?\n")

    assert (sheet.columns, asked(sheet)) == (("question",), ["How long, and who says so?", "How much?"])


def test_columns_of_one_name_are_kept_apart() -> None:
    sheet = csv_of("question,note,note\nHow long?,a,b\n")

    assert sheet.columns == ("question", "note", "note (2)")
    assert sheet.rows[0].carried == {"question": "How long?", "note": "a", "note (2)": "b"}


def test_a_bad_row_is_told_with_its_line_and_the_others_stand() -> None:
    long = "x" * (MAX_QUERY_CHARACTERS + 1)
    text = f'id,question\n1,"One\nmore?"\n2,Two?,extra\n3,\n\n4,"quo"ted?\n5,{long}\n6,Six?\n7\n'

    sheet = csv_of(text)

    assert asked(sheet) == ["One\nmore?", "", "", "", "", "Six?", ""]
    told = faults(sheet)
    assert list(told) == [4, 5, 7, 8, 10]
    assert "3 cells in 2 columns" in told[4] and "question is empty" in told[5]
    assert "quotation marks" in told[7] and "8,000" in told[8]
    assert sheet.rows[2].carried == {"id": "3", "question": ""}


def test_an_unclosed_quotation_mark_is_told_where_it_opens() -> None:
    sheet = csv_of('question\nOne?\n"Two?\nThree?\n')

    assert asked(sheet) == ["One?", ""]
    assert list(faults(sheet)) == [3]


def test_json_lines_are_objects_or_questions_and_carry_what_they_carry() -> None:
    carried = {"id": 7, "question": "How long?", "tags": ["a", {"b": None}], "share": 0.5}
    sheet = jsonl_of(json.dumps(carried), "", '"How much?"', '{"ask": "Who?"}')

    assert asked(sheet) == ["How long?", "How much?", "Who?"]
    assert sheet.rows[0].carried == carried
    assert sheet.columns == ("id", "question", "tags", "share", "ask")
    assert [row.line for row in sheet.rows] == [1, 3, 4]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        "7",
        "null",
        "{}",
        '{"question": 7}',
        '{"question": null}',
        '{"question": ""}',
        '{"question": "?", "x": NaN}',
        '{"question": "?", "x": 1e999}',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_question_does_not_stop_the_next(line: str) -> None:
    sheet = jsonl_of('"One?"', line, '"Three?"')

    assert asked(sheet) == ["One?", "", "Three?"]
    assert list(faults(sheet)) == [2]


def test_a_workbook_is_read_with_its_values_and_the_numbers_of_its_rows() -> None:
    rows: list[list[object]] = [
        ["id", "question", "due", "done"],
        [1, "How long?", date(2026, 3, 1), True],
        [None, None, None, None],
        [2.5, None, datetime.fromisoformat("2026-03-01T08:30"), False],
        [3, "How much?"],
    ]
    sheet = read_questions("questions.xlsx", workbook([], rows, [["question"], ["Elsewhere?"]]))

    assert asked(sheet) == ["How long?", "", "How much?"]
    assert list(faults(sheet)) == [4]
    assert sheet.rows[0].carried == {"id": 1, "question": "How long?", "due": "2026-03-01", "done": True}
    assert sheet.rows[1].carried["due"] == "2026-03-01T08:30:00"
    assert sheet.rows[2].carried == {"id": 3, "question": "How much?", "due": None, "done": None}


def test_empty_cells_at_the_end_of_a_workbooks_rows_are_no_columns_and_filled_ones_are() -> None:
    book, target = Workbook(), io.BytesIO()
    for row in (["question"], ["How long?", "of the NDA"]):
        book.active.append(row)
    book.active.cell(1, 300).number_format = "0.00"  # as a row that was formatted whole
    book.save(target)

    sheet = read_questions("questions.xlsx", target.getvalue())

    assert sheet.columns == ("question", "column 2")
    assert [row.carried for row in sheet.rows] == [{"question": "How long?", "column 2": "of the NDA"}]
    assert not faults(sheet)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("q.csv", b""),
        ("q.csv", b"\n \n"),
        ("q.csv", b"question\n"),
        ("q.jsonl", b"\n"),
        ("q.xlsx", workbook([])),
        ("q.xlsx", workbook([["question", "note"]])),
    ],
)
def test_a_file_without_questions_is_refused_and_says_what_one_looks_like(name: str, data: bytes) -> None:
    with pytest.raises(WrongUsage, match="question"):
        read_questions(name, data)


@pytest.mark.parametrize("name", ["q.csv", "q.jsonl"])
def test_a_file_that_is_no_text_is_refused(name: str) -> None:
    with pytest.raises(UnreadableDocument, match="no text"):
        read_questions(name, workbook([["question"], ["How long?"]]))


@pytest.mark.parametrize("name", ["q.txt", "q", "q.xls", "q.json"])
def test_a_suffix_that_names_no_format_is_wrong_usage(name: str) -> None:
    with pytest.raises(WrongUsage, match=r"\.csv, \.jsonl or \.xlsx"):
        read_questions(name, b"question\nHow long?\n")


def test_too_much_is_refused_before_it_is_read() -> None:
    many = "question\n" + "How?\n" * (MAX_QUESTIONS + 1)
    wide = ",".join(["question", *("x" * 201)]) + "\nHow?\n"
    for name, data in (
        ("q.csv", b"q" * (MAX_FILE_BYTES + 1)),
        ("q.csv", many.encode()),
        ("q.jsonl", b'"How?"\n' * (MAX_QUESTIONS + 1)),
        ("q.csv", wide.encode()),
        ("q.jsonl", json.dumps({f"c{n}": "?" for n in range(201)}).encode()),
    ):
        with pytest.raises(LimitExceeded, match=r"split|leave"):
            read_questions(name, data)
    assert len(csv_of(many.removesuffix("How?\n")).rows) == MAX_QUESTIONS


def test_a_hostile_workbook_is_refused() -> None:
    good = workbook([["question"], ["How long?"]])
    bomb, entity = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for name, part in parts.items():
            target.writestr(name, part)
        for number in range(12):
            target.writestr(f"xl/media/{number}.bin", bytes(100_000_000))
    with zipfile.ZipFile(entity, "w") as target:
        for name, part in parts.items():
            target.writestr(name, b'<!DOCTYPE x [<!ENTITY a "aa">]>' + part if "sheet1" in name else part)
    for data in (bomb.getvalue(), entity.getvalue(), good[:-100], b"PK\x03\x04" + bytes(100)):
        with pytest.raises(UnreadableDocument):
            read_questions("q.xlsx", data)


@given(data=st.binary(max_size=300), name=st.sampled_from(["q.csv", "q.jsonl", "q.xlsx"]))
def test_no_bytes_at_all_end_in_anything_but_a_sheet_or_a_refusal(data: bytes, name: str) -> None:
    try:
        sheet = read_questions(name, data)
    except FootnoteError:
        return
    assert sheet.rows and all(row.question or row.fault for row in sheet.rows)
