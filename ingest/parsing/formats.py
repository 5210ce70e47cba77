"""Which parser reads which media type; the one entry that the sandbox calls."""

from __future__ import annotations

from collections.abc import Callable

from core.documents import Parsed
from ingest.parsing import detection
from ingest.parsing.delimited import parse_csv, parse_tsv
from ingest.parsing.docx import parse_docx
from ingest.parsing.epub import parse_epub
from ingest.parsing.html import parse_html
from ingest.parsing.image import parse_image
from ingest.parsing.json_text import parse_json, parse_json_lines
from ingest.parsing.mail import parse_mail
from ingest.parsing.markdown import parse_markdown
from ingest.parsing.odf import parse_odp, parse_ods, parse_odt
from ingest.parsing.pdf import parse_pdf
from ingest.parsing.plain_text import parse_plain_text
from ingest.parsing.pptx import parse_pptx
from ingest.parsing.xlsx import parse_xlsx
from ingest.parsing.xml_text import parse_xml

Parser = Callable[[bytes], Parsed]

PARSERS: dict[str, Parser] = {
    detection.MARKDOWN: parse_markdown,
    detection.HTML: parse_html,
    detection.PLAIN: parse_plain_text,
    detection.CSV: parse_csv,
    detection.TSV: parse_tsv,
    detection.PDF: parse_pdf,
    detection.DOCX: parse_docx,
    detection.PPTX: parse_pptx,
    detection.XLSX: parse_xlsx,
    detection.ODT: parse_odt,
    detection.ODS: parse_ods,
    detection.ODP: parse_odp,
    detection.EPUB: parse_epub,
    detection.JSON: parse_json,
    detection.JSON_LINES: parse_json_lines,
    detection.XML: parse_xml,
    detection.EML: parse_mail,
    **dict.fromkeys(detection.IMAGES, parse_image),
}


def parse(data: bytes, name: str) -> Parsed:
    """Detect what `data` is and read it; raises `UnreadableDocument`, or whatever a parsing library raises."""
    return PARSERS[detection.detect(data, name)](data)
