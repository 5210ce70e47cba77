"""Results of a batch as files: CSV, JSON Lines, Excel workbooks."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Literal

from core.answers import Answer, Citation
from core.batches import BatchResult, Json
from core.errors import LimitExceeded, WrongUsage
from core.json_lines import json_line
from generation.batch.columns import unique

Format = Literal["csv", "jsonl", "xlsx"]
MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

_DOCUMENT_COLUMNS = ("document", "document_id")
_RESULT_COLUMNS = ("answer", "abstained", "reason", "citations", "audit_id", "mode", "error")
# What makes a spreadsheet read a cell as a formula, in the full width of East Asian keyboards too; what stands before
# it and is not seen does not help.
_FORMULA = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\x00-\x1f]*[=+\-@＝＋－＠]|[\t\r]")
# XML 1.0 has no way to write these.
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_CELL_CHARACTERS = 32_767
_CUT = " … (cut: a cell holds no more; JSON Lines hold all of it)"


def format_of(name: str) -> Format:
    """The format a file's suffix names; raises `WrongUsage`."""
    formats: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".xlsx": "xlsx"}
    found = formats.get(Path(name).suffix.lower())
    if found is None:
        raise WrongUsage(f"{Path(name).name!r} names no format: end it with .csv, .jsonl or .xlsx.")
    return found


def write_results(
    target: IO[bytes], form: Format, columns: Sequence[str], results: Iterable[BatchResult], grid: bool
) -> None:
    """Write one row for each result: what stood in its row of the file, and what came of it.

    In a grid every row names its document. No cell is one that a spreadsheet would take for a formula.
    """
    ours = (*(_DOCUMENT_COLUMNS if grid else ()), *_RESULT_COLUMNS)
    # A column of the file that is called as one of ours keeps its place and gets another name.
    carried = {column: column if column not in ours else f"{column} (given)" for column in columns}
    names = unique([*carried.values(), *ours])
    writers: dict[Format, Callable[[IO[bytes], Sequence[str], Iterator[list[Json]]], None]] = {
        "csv": _write_csv,
        "jsonl": _write_jsonl,
        "xlsx": _write_xlsx,
    }
    rows = (
        [*(result.question.carried.get(column) for column in columns), *_outcome(result, grid, form)]
        for result in results
    )
    writers[form](target, names, rows)


def write_file(target: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Have `write` fill a file that replaces `target` once it is whole and on disk; until then `target` stays.

    Only its owner may read it: answers come from documents that not everybody may read.
    Raises `LimitExceeded` where it cannot be written.
    """
    try:
        handle, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise LimitExceeded(
            f"{target} cannot be written ({error.strerror}). No answer is lost: make room or name another --out, and "
            "run the same command again."
        ) from error


def _outcome(result: BatchResult, grid: bool, form: Format) -> list[Json]:
    document = result.document
    names: list[Json] = [document.external_id if document else "", result.document_id] if grid else []
    answer = result.answer
    if answer is None:
        empty: list[Json] = [None, None, None, [] if form == "jsonl" else None]
        line = f"line {result.question.line}: " if result.question.fault else ""
        return [*names, *empty, result.audit_id, None, line + result.error]
    cited = _citations(answer) if form == "jsonl" else "\n".join(map(_footnote, answer.citations))
    said: list[Json] = [answer.text, answer.abstained, answer.reason, cited]
    return [*names, *said, answer.audit_id, answer.mode, result.error or None]


def _citations(answer: Answer) -> list[Json]:
    return [{**asdict(citation), "heading": list(citation.heading)} for citation in answer.citations]


def _footnote(citation: Citation) -> str:
    page = f", page {citation.page}" if citation.page else ""
    return f"[{citation.marker}] {citation.title} ({citation.external_id}{page}): “{citation.quote}”"


def _write_csv(target: IO[bytes], names: Sequence[str], rows: Iterator[list[Json]]) -> None:
    text = io.TextIOWrapper(target, encoding="utf-8", errors="replace", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([_harmless(name) for name in names])
    for row in rows:
        writer.writerow([_harmless(_plain(cell)) for cell in row])
    text.detach()  # or it would close the target


def _write_jsonl(target: IO[bytes], names: Sequence[str], rows: Iterator[list[Json]]) -> None:
    for row in rows:
        written = json_line(dict(zip(names, row, strict=True)))
        target.write(written.encode(errors="replace") + b"\n")


def _write_xlsx(target: IO[bytes], names: Sequence[str], rows: Iterator[list[Json]]) -> None:
    # Imported here because it takes longer to load than most commands take to run.
    from openpyxl import Workbook

    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("answers")
    sheet.freeze_panes = "A2"
    sheet.append([_cell(name) for name in names])
    for row in rows:
        sheet.append([_cell(cell) for cell in row])
    workbook.save(target)


def _cell(value: Json) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", _harmless(_plain(value)))
    text = text.encode(errors="replace").decode()
    return text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - len(_CUT)] + _CUT


def _plain(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _harmless(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would compute it (CSV injection, CWE-1236)."""
    return f"'{text}" if _FORMULA.match(text) else text
