"""Questions out of files: CSV (RFC 4180 and its dialects), JSON Lines, and Excel workbooks."""

from __future__ import annotations

import csv
import io
import json
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any, NoReturn

from core.batches import BatchQuestion, Json, QuestionSheet
from core.errors import LimitExceeded, UnreadableDocument, WrongUsage
from generation.batch.columns import MAX_COLUMNS, MAX_QUESTIONS, QUESTION, Numbered, checked, sheet_of, too_many

_DELIMITERS = (",", ";", "\t", "|")
# A file of one column has no delimiter; this stands in for it, because no text holds it.
_NONE = "\x1f"
# What openpyxl, zipfile and the XML parsers below them raise on broken workbooks.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    EOFError,
    SyntaxError,
    NotImplementedError,
)


def read_csv(text: str) -> QuestionSheet:
    """Questions of delimited text; the delimiter is the one of comma, semicolon, tab and bar that its first line has
    most of."""
    return sheet_of(_csv_rows(text))


def read_jsonl(text: str) -> QuestionSheet:
    """Questions of a file with one JSON value a line: an object with a `question` (or whose first value is one), or
    the question itself.

    A line that is neither is told, and the others stand. Raises as `sheet_of`.
    """
    rows: list[BatchQuestion] = []
    for line, written in enumerate(io.StringIO(text, newline=None), start=1):
        if written.strip():
            rows.append(_json_question(line, written))
        if len(rows) > MAX_QUESTIONS:
            raise too_many()
    if not rows:
        raise WrongUsage(f'The file holds no rows: write an object such as {{"{QUESTION}": "…"}} in each line.')
    columns = tuple(dict.fromkeys(name for row in rows for name in row.carried)) or (QUESTION,)
    if len(columns) > MAX_COLUMNS:
        raise LimitExceeded(f"The file names {len(columns):,} columns and the limit is {MAX_COLUMNS}; leave some out.")
    return QuestionSheet(columns, tuple(rows))


def read_xlsx(data: bytes) -> QuestionSheet:
    """Questions of a workbook's first sheet that has a row; a formula counts as the value it had when it was saved.

    `data` must be a package that was vetted: neither a bomb nor with XML entities in it. Raises `UnreadableDocument`
    where it is no workbook, else as `sheet_of`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of what it would not write again; we only read
            return sheet_of(_xlsx_rows(data))
    except _DAMAGE as error:
        raise UnreadableDocument(
            "malformed", f"The workbook is damaged ({type(error).__name__}); open it, repair it and save it again."
        ) from error


def _csv_rows(text: str) -> Iterator[Numbered | BatchQuestion]:
    lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
    reader = csv.reader(lines, delimiter=_delimiter(text), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BatchQuestion(line, "", {}, f"This cannot be read ({error}); look at the quotation marks.")
        else:
            yield line, list(cells)


def _delimiter(text: str) -> str:
    head = next((line for line in text.splitlines() if line.strip()), "")
    counts = {delimiter: len(next(csv.reader([head], delimiter=delimiter), [])) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=counts.__getitem__)
    return best if counts[best] > 1 and not head.rstrip().endswith("?") else _NONE


def _json_question(line: int, written: str) -> BatchQuestion:
    try:
        value = json.loads(written, parse_constant=_no_json, parse_float=_finite)
    except (ValueError, RecursionError):
        return BatchQuestion(line, "", {}, "This is no JSON.")
    if isinstance(value, str):
        return checked(line, value, {QUESTION: value})
    if not isinstance(value, dict):
        return BatchQuestion(line, "", {}, "This is neither an object nor a question in quotation marks.")
    asked = next((name for name in value if name.casefold() == QUESTION), next(iter(value), ""))
    return checked(line, value.get(asked), value)


def _no_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON (RFC 8259, 6)")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if isfinite(number) else _no_json(digits)


def _xlsx_rows(data: bytes) -> Iterable[Numbered]:
    # Imported here because it takes longer to load than most commands take to run.
    from openpyxl import load_workbook

    workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    try:
        for sheet in workbook.worksheets:
            sheet.reset_dimensions()  # what a file says of its size may be wrong
            rows = [(line, [_json(cell) for cell in cells]) for line, cells in _filled(sheet)]
            if rows:
                return _of_one_width(rows)
    finally:
        workbook.close()
    return []


def _filled(sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    count = 0
    for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        if any(cell is not None for cell in cells):
            count += 1
            if count > MAX_QUESTIONS + 1:
                raise too_many()
            yield line, cells


def _of_one_width(rows: Sequence[Numbered]) -> list[Numbered]:
    """The rows without the empty cells that a sheet ends in, each as wide as the widest."""
    width = max(at for _, cells in rows for at, cell in enumerate(cells, start=1) if cell is not None)
    return [(line, [*cells[:width], *[None] * (width - len(cells))]) for line, cells in rows]


def _json(cell: object) -> Json:
    """A cell's value as JSON has it; dates and times in ISO 8601."""
    if cell is None or isinstance(cell, str | bool | int | float):
        return cell
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return float(cell)
    return str(cell)
