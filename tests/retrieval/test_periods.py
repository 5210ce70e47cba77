"""A question about a quarter, a month, a year or the latest finds the documents first that are called by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from indexed import ENCODER, ranker, writer
from pyroaring import BitMap

from retrieval.index import IndexRow
from retrieval.periods import asks_for_the_latest, months_of, named_periods
from retrieval.ranking import Ranker

TEXT = "The gross margin of the company and what it was before."
Q1, Q2, Q3 = "2023 Q1 ACME.pdf", "2023 Q2 ACME.pdf", "2023 Q3 ACME.pdf"


def months(year: int, first: int, last: int) -> range:
    return range(12 * year + first - 1, 12 * year + last)


@pytest.mark.parametrize(
    "text",
    [
        *("Q3 2023", "2023 Q3", "2023_Q3_ACME.pdf", "q3/2023", "3Q23", "Q3 FY23", "FY2023 Q3", "Q3 of 2023"),
        *("the third quarter of 2023", "3rd fiscal quarter, fiscal year 2023"),
    ],
)
def test_a_quarter_is_read_however_it_is_written(text: str) -> None:
    assert named_periods(text) == [months(2023, 7, 9)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("minutes/2024-03-14.md", [months(2024, 3, 3)]),
        ("March 14th, 2024", [months(2024, 3, 3)]),
        ("14. Sept. 2024", [months(2024, 9, 9)]),
        ("31.12.2022", [months(2022, 12, 12)]),
        ("10/28/2022", [months(2022, 10, 10)]),
        ("04.01.2023", [months(2023, 1, 12)]),  # April or January
        ("H1 2024", [months(2024, 1, 6)]),
        ("Budget FY24", [months(2024, 1, 12)]),
        ("2022 and Q1 2023", [months(2023, 1, 3), months(2022, 1, 12)]),
        ("the mayor in 2020", [months(2020, 1, 12)]),
        ("v2023, 20231, room 2517, Q5 2023x", []),
    ],
)
def test_months_years_and_dates_are_read_and_other_numbers_are_none(text: str, expected: list[range]) -> None:
    assert named_periods(text) == expected


def test_a_file_s_name_says_more_of_its_time_than_its_title() -> None:
    assert months_of("2023 Q3 ACME", "10-Q - 10/28/2022") == tuple(months(2023, 7, 9))
    assert months_of("reports/acme.pdf", "Report of May 2022") == tuple(months(2022, 5, 5))
    assert months_of("reports/acme.pdf", "Report of June 2023") == tuple(months(2023, 6, 6))
    assert months_of("acme.pdf") == ()


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("What does the latest 10-Q say?", True),
        ("the most recent quarter", True),
        ("this fiscal year", True),
        ("How strong is the electric current?", False),
        ("Which recent changes are there?", False),
    ],
)
def test_who_asks_for_the_latest_says_so(question: str, asks: bool) -> None:
    assert asks_for_the_latest(question) is asks


def indexed_names(folder: Path, names: Mapping[int, str], text: str = TEXT) -> Ranker:
    """An index of documents that say the same and are called differently."""
    vector = ENCODER.encode_query(text)
    writer(folder).publish([IndexRow(row, vector, text, "en", row % 3, months_of(name)) for row, name in names.items()])
    return ranker(folder)


def ranked(found: Ranker, query: str, rows: BitMap | None = None) -> list[tuple[int, float]]:
    everything = found.reader.snapshot().rows() if rows is None else rows
    return list(found.rank(query, found.embed(query), everything, 10).hits)


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What was the gross margin in Q2 2023?", 2),
        ("the gross margin of the third quarter of 2023", 3),
        ("gross margin, February 2023", 1),
        ("the gross margin of the latest report", 3),
    ],
)
def test_what_is_called_by_the_time_asked_about_comes_first(question: str, first: int, tmp_path: Path) -> None:
    found = indexed_names(tmp_path, {4: "notes.md", 1: Q1, 2: Q2, 3: Q3})

    hits = ranked(found, question)

    assert hits[0][0] == first
    assert hits[0][1] > hits[1][1] and all(0 <= score <= 1 for _, score in hits)


def test_the_latest_is_the_newest_that_the_asker_may_read(tmp_path: Path) -> None:
    with_hidden = indexed_names(tmp_path / "a", {1: Q1, 2: Q2, 3: Q3})
    without = indexed_names(tmp_path / "b", {1: Q1, 2: Q2})

    hits = ranked(with_hidden, "the latest gross margin", BitMap([1, 2]))

    assert hits[0][0] == 2
    assert hits == ranked(without, "the latest gross margin")


@pytest.mark.parametrize("question", ["What was the gross margin?", "the gross margin in 2019"])
def test_a_time_that_is_not_asked_about_or_that_no_document_is_of_changes_no_score(
    question: str, tmp_path: Path
) -> None:
    found = indexed_names(tmp_path, {1: Q1, 2: Q2, 3: Q3})
    blind = replace(found, method=replace(found.method, time_weight=0.0))

    assert ranked(found, question) == ranked(blind, question)
