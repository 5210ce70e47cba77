"""Tables in text: CSV and TSV, one row of the table on one line of the text (RFC 4180, read leniently)."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, table_row
from ingest.parsing.charsets import decode

_SAMPLE_LINES = 50
# Under a wrong delimiter a whole line is one cell, and Python's own limit of 131,072 characters is soon passed.
csv.field_size_limit(16 * 1024 * 1024)
# The line with which Excel is told the delimiter; Excel does not show it.
_SEPARATOR = re.compile(r"\s*sep=(.)\s*\n", re.IGNORECASE)


def parse_csv(data: bytes) -> Parsed:
    """One table; the delimiter among `, ; tab |` is the one whose columns agree best. Raises `UnreadableDocument`."""
    text = decode(data)
    told = _SEPARATOR.match(text)
    return _parse(text[told.end() :], told[1], "text/csv") if told else _parse(text, "", "text/csv")


def parse_tsv(data: bytes) -> Parsed:
    """One table with cells apart by tabs, or as in CSV where it has no tab. Raises `UnreadableDocument`."""
    text = decode(data)
    return _parse(text, "\t" if "\t" in text else "", "text/tab-separated-values")


def _parse(text: str, delimiter: str, media_type: str) -> Parsed:
    lines = io.StringIO(text, newline="")
    try:
        rows = [table_row(row) for row in csv.reader(lines, delimiter=delimiter or _delimiter(text))]
    except csv.Error as error:
        raise UnreadableDocument("malformed", f"The table cannot be read ({error}); export it again.") from error
    assembly = Assembly()
    assembly.add(BlockKind.TABLE, "\n".join(row for row in rows if row))
    return assembly.parsed(media_type)


def _delimiter(text: str) -> str:
    """The delimiter that gives the most rows the same number of columns, more than one; a comma if none does."""
    lines = text.splitlines()[:_SAMPLE_LINES]

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if len(row) > 1)
        width, rows = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        return rows, width

    return max(",;\t|", key=agreement)
