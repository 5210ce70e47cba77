"""Which column of a file holds the questions, and rows of cells as questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.batches import BatchQuestion, Json, QuestionSheet
from core.errors import FootnoteError, LimitExceeded, WrongUsage
from retrieval.search import checked_query

MAX_QUESTIONS = 20_000
MAX_COLUMNS = 200
QUESTION = "question"

# In the scripts that have a question mark of their own.
_QUESTION_MARKS = ("?", "？", "؟", "\u037e", "՞", "⁇")
Numbered = tuple[int, Sequence[Json]]
"""A row's line and its cells."""


def sheet_of(numbered: Iterable[Numbered | BatchQuestion]) -> QuestionSheet:
    """Rows as questions. The column called `question` holds them (in any case), else the first one.

    The first row names the columns, unless it is itself a question. Rows without any content are left out; a
    `BatchQuestion` among the rows is one that could not be read, and stays. Raises `WrongUsage` for a file without
    rows and `LimitExceeded` for one with too many.
    """
    rows = (row for row in numbered if isinstance(row, BatchQuestion) or any(not _blank(cell) for cell in row[1]))
    first = next(rows, None)
    if isinstance(first, BatchQuestion):
        raise WrongUsage(f"The first line cannot be read. {first.fault}")
    if first is None:
        raise WrongUsage(f"The file holds no rows: write a column `{QUESTION}`, and a question in each row.")
    columns = _columns(first[1])
    asked_in = next((at for at, name in enumerate(columns) if name.casefold() == QUESTION), 0)
    questions: list[BatchQuestion] = []
    if _is_a_question(first[1]):
        columns = (QUESTION, *(f"column {at}" for at in range(2, len(columns) + 1)))
        questions.append(_question(columns, 0, *first))
    for row in rows:
        questions.append(row if isinstance(row, BatchQuestion) else _question(columns, asked_in, *row))
        if len(questions) > MAX_QUESTIONS:
            raise too_many()
    if not questions:
        raise WrongUsage("The file holds a line of column names and no question below it.")
    return QuestionSheet(columns, tuple(questions))


def checked(line: int, asked: Json, carried: dict[str, Json]) -> BatchQuestion:
    """A row as a question, with what is wrong with it where it cannot be asked."""
    if not isinstance(asked, str):
        return BatchQuestion(line, "", carried, "There is no question here.")
    try:
        return BatchQuestion(line, checked_query(asked), carried)
    except FootnoteError as error:
        return BatchQuestion(line, "", carried, str(error))


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each with a number after it where it stood before already."""
    seen: dict[str, None] = {}
    for name in names:
        number, distinct = 1, name
        while distinct in seen:
            number += 1
            distinct = f"{name} ({number})"
        seen[distinct] = None
    return tuple(seen)


def too_many() -> LimitExceeded:
    return LimitExceeded(f"The file has more than {MAX_QUESTIONS:,} questions; split it into several.")


def _columns(cells: Sequence[Json]) -> tuple[str, ...]:
    if len(cells) > MAX_COLUMNS:
        raise LimitExceeded(f"The file has {len(cells):,} columns and the limit is {MAX_COLUMNS}; leave some out.")
    names = ("" if cell is None else str(cell).strip() for cell in cells)
    return unique(name or f"column {at}" for at, name in enumerate(names, start=1))


def _is_a_question(cells: Sequence[Json]) -> bool:
    return str(cells[0]).rstrip().endswith(_QUESTION_MARKS)


def _question(columns: Sequence[str], asked_in: int, line: int, cells: Sequence[Json]) -> BatchQuestion:
    # Spreadsheets leave out empty cells at the end of a row, and add some.
    filled = [*cells, *[None] * (len(columns) - len(cells))]
    carried = dict(zip(columns, filled, strict=False))
    if any(not _blank(cell) for cell in filled[len(columns) :]):
        fault = f"{len(cells)} cells in {len(columns)} columns: put quotation marks around a cell with a delimiter."
        return BatchQuestion(line, "", carried, fault)
    asked = filled[asked_in]
    return checked(line, "" if asked is None else str(asked), carried)


def _blank(cell: Json) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())
