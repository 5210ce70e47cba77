"""JSON and JSON lines as lines a person can read: each value after the path of keys that leads to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, table_row
from ingest.parsing.charsets import decode
from ingest.parsing.detection import JSON, JSON_LINES

_TITLES = ("title", "name", "subject")
# A list of records with the same simple fields is a table; one with more fields than this is easier to read by record.
_TABLE_COLUMNS = 12
_LONG_VALUE_CHARACTERS = 200
# What fits on one screen is one block, however it nests.
_BLOCK_LINES = 24
# Not all that `splitlines` takes for one: the strings of JSON may hold U+2028.
_LINE_END = re.compile(r"\r\n?|\n")


def parse_json(data: bytes) -> Parsed:
    """One JSON text (RFC 8259); several after each other, one a line, are read as JSON lines.

    Raises `UnreadableDocument`: "malformed", "empty"; raises `RecursionError` where it nests deeper than Python can.
    """
    text = decode(data)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if "Extra data" in error.msg:
            return _parse_lines(text)
        raise _malformed(error.lineno, error.colno) from error
    assembly = Assembly()
    _add(assembly, value, "")
    return assembly.parsed(JSON, title=_title(value))


def parse_json_lines(data: bytes) -> Parsed:
    """One JSON text a line, empty lines aside, each a record of its own. Raises as `parse_json` does."""
    return _parse_lines(decode(data))


def _parse_lines(text: str) -> Parsed:
    records = []
    for number, line in enumerate(_LINE_END.split(text), start=1):
        try:
            if line.strip():
                records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise _malformed(number, error.colno) from error
    assembly = Assembly()
    _add(assembly, records, "")
    return assembly.parsed(JSON_LINES)


def _malformed(line: int, column: int) -> UnreadableDocument:
    return UnreadableDocument("malformed", f"The JSON is damaged at line {line}, column {column}; export it again.")


def _title(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    return next((value[key] for key in _TITLES if isinstance(value.get(key), str)), "")


def _add(assembly: Assembly, value: Any, path: str) -> None:
    """Add the blocks of `value`: a table for records alike, a paragraph for what is small, else part by part."""
    columns = _columns(value)
    if columns:
        if path:
            assembly.add(BlockKind.PARAGRAPH, f"{path}:")
        rows = [columns, *([_scalar(record.get(column)) for column in columns] for record in value)]
        assembly.add(BlockKind.TABLE, "\n".join(map(table_row, rows)))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for index, item in enumerate(value):
            # Records of the document itself are apart by themselves; their number says nothing.
            _add(assembly, item, f"{path}[{index}]" if path else "")
    elif isinstance(value, dict) and len(list(islice(_lines(value, path), _BLOCK_LINES + 1))) > _BLOCK_LINES:
        nested = {key: item for key, item in value.items() if isinstance(item, dict | list)}
        plain = {key: item for key, item in value.items() if key not in nested}
        assembly.add(BlockKind.PARAGRAPH, "\n".join(_lines(plain, path)))
        for key, item in nested.items():
            _add(assembly, item, _joined(path, key))
    else:
        assembly.add(BlockKind.PARAGRAPH, "\n".join(_lines(value, path)))


def _columns(value: Any) -> list[str]:
    """The fields of a list of two or more records that make a table; nothing for any other value."""
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(record, dict) for record in value):
        return []
    columns = list(dict.fromkeys(key for record in value for key in record))
    if not 1 < len(columns) <= _TABLE_COLUMNS or 2 * sum(map(len, value)) < len(columns) * len(value):
        return []
    short = (len(_scalar(item)) <= _LONG_VALUE_CHARACTERS for record in value for item in record.values())
    simple = (not isinstance(item, dict | list) for record in value for item in record.values())
    return columns if all(simple) and all(short) else []


def _lines(value: Any, path: str) -> Iterator[str]:
    """Every value under `value`, one a line, after its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _lines(item, _joined(path, key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for index, item in enumerate(value):
            yield from _lines(item, f"{path}[{index}]")
    else:
        text = ", ".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value)
        if text:
            yield f"{path}: {text}" if path else text


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _scalar(value: Any) -> str:
    """A value as JSON writes it, a string without its quotes; nothing for null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
