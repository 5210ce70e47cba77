"""Jupyter notebooks (nbformat 4, and 3's sheets): text as Markdown, code, and what the code wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly
from ingest.parsing.charsets import decode
from ingest.parsing.detection import NOTEBOOK
from ingest.parsing.html import add_html
from ingest.parsing.markdown import add_markdown


def parse_notebook(data: bytes) -> Parsed:
    """The cells in order: Markdown as `parse_markdown` reads it, code and its textual results as code.

    A result that is a table in HTML is a table; pictures are left out. Raises `UnreadableDocument`: "malformed",
    "empty".
    """
    try:
        notebook = json.loads(decode(data))
        cells = list(_cells(notebook))
    except (ValueError, AttributeError, TypeError) as error:
        raise UnreadableDocument("malformed", "The notebook is damaged; save it again in Jupyter.") from error
    assembly = Assembly()
    for cell in cells:
        source = _text(cell.get("source") or cell.get("input"))
        kind = cell.get("cell_type")
        if kind == "code":
            assembly.add(BlockKind.CODE, source)
            for output in _dicts(cell.get("outputs")):
                _add_output(assembly, output)
        elif kind == "heading":
            level = cell.get("level")
            assembly.add(BlockKind.HEADING, source, level=min(6, max(1, level)) if isinstance(level, int) else 1)
        else:
            add_markdown(assembly, source)
    return assembly.parsed(NOTEBOOK, title=assembly.first_heading())


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from _dicts(notebook.get("cells"))
    for sheet in _dicts(notebook.get("worksheets")):
        yield from _dicts(sheet.get("cells"))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _add_output(assembly: Assembly, output: dict[str, Any]) -> None:
    shown = output.get("data") if isinstance(output.get("data"), dict) else {}
    html = _text((shown or {}).get("text/html"))
    if "<table" in html:
        add_html(assembly, LexborHTMLParser(html))
        return
    error = ": ".join(filter(None, (_text(output.get("ename")), _text(output.get("evalue")))))
    assembly.add(BlockKind.CODE, _text((shown or {}).get("text/plain")) or _text(output.get("text")) or error)


def _text(value: Any) -> str:
    """A notebook's text, which is a string or a list of lines."""
    if isinstance(value, list):
        return "".join(piece for piece in value if isinstance(piece, str))
    return value if isinstance(value, str) else ""
