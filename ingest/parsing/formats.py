"""Which parser reads which media type; the one entry that the sandbox calls."""

from __future__ import annotations

from collections.abc import Callable

from core.documents import Parsed
from ingest.parsing.delimited import parse_csv, parse_tsv
from ingest.parsing.detection import CSV, DOCX, HTML, MARKDOWN, PDF, PLAIN, TSV, detect
from ingest.parsing.docx import parse_docx
from ingest.parsing.html import parse_html
from ingest.parsing.markdown import parse_markdown
from ingest.parsing.pdf import parse_pdf
from ingest.parsing.plain_text import parse_plain_text

Parser = Callable[[bytes], Parsed]

PARSERS: dict[str, Parser] = {
    MARKDOWN: parse_markdown,
    HTML: parse_html,
    PLAIN: parse_plain_text,
    CSV: parse_csv,
    TSV: parse_tsv,
    PDF: parse_pdf,
    DOCX: parse_docx,
}


def parse(data: bytes, name: str) -> Parsed:
    """Detect what `data` is and read it; raises `UnreadableDocument`, or whatever a parsing library raises."""
    return PARSERS[detect(data, name)](data)
