"""Which parser reads which media type; the one entry that the sandbox calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import PurePosixPath

import pypdfium2 as pdfium

from core.documents import Attachment, Parsed
from core.errors import UnreadableDocument
from ingest.parsing import code_languages, detection
from ingest.parsing.archives import parse_tar, parse_zip
from ingest.parsing.asciidoc import parse_asciidoc
from ingest.parsing.compression import inflated
from ingest.parsing.containers import DEPTH, Budget, with_all_carried
from ingest.parsing.content_lines import parse_calendar, parse_vcard
from ingest.parsing.delimited import parse_csv, parse_tsv
from ingest.parsing.epub import parse_epub
from ingest.parsing.html import parse_html
from ingest.parsing.json_text import parse_json, parse_json_lines
from ingest.parsing.latex import parse_latex
from ingest.parsing.mail import parse_mail
from ingest.parsing.markdown import parse_markdown
from ingest.parsing.mbox import parse_mbox
from ingest.parsing.notebooks import parse_notebook
from ingest.parsing.odf import parse_odp, parse_ods, parse_odt
from ingest.parsing.org import parse_org
from ingest.parsing.outlook import parse_msg
from ingest.parsing.pdf import parse_pdf
from ingest.parsing.pdf_embedded import embedded_files
from ingest.parsing.plain_text import parse_plain_text
from ingest.parsing.rst import parse_rst
from ingest.parsing.rtf import parse_rtf
from ingest.parsing.source_code import parse_code
from ingest.parsing.transcripts import parse_srt, parse_vtt
from ingest.parsing.xml_text import parse_xml

Parser = Callable[[bytes], Parsed]


def _later(module: str, function: str) -> Parser:
    """A parser whose libraries are loaded with the first document of its kind.

    They take longer to load than most folders' documents to read, and memory that most processes need not hold.
    """

    def parse_later(data: bytes) -> Parsed:
        parser: Parser = getattr(import_module(f"ingest.parsing.{module}"), function)
        return parser(data)

    return parse_later


def refuse_legacy(_: bytes) -> Parsed:
    """Raises `UnreadableDocument("unsupported")` for what only another program can convert, which was not there."""
    raise UnreadableDocument(
        "unsupported",
        "The file is a Word, Excel or PowerPoint document of before 2007, and LibreOffice, which converts it, is not "
        "on the machine that reads documents: install it there (on Debian: libreoffice-writer-nogui, "
        "libreoffice-calc-nogui, libreoffice-impress-nogui), or save the document as DOCX, XLSX, PPTX or PDF.",
    )


CONTAINERS: dict[str, Callable[[bytes, Budget], Parsed]] = {
    detection.EML: parse_mail,
    detection.MSG: parse_msg,
    detection.MBOX: parse_mbox,
    detection.ZIP: parse_zip,
    detection.TAR: parse_tar,
}
"""What carries documents of their own; each reads its own level and spends the budget of all."""

PARSERS: dict[str, Parser] = {
    detection.MARKDOWN: parse_markdown,
    detection.HTML: parse_html,
    detection.PLAIN: parse_plain_text,
    detection.CSV: parse_csv,
    detection.TSV: parse_tsv,
    detection.PDF: parse_pdf,
    detection.DOCX: _later("docx", "parse_docx"),
    detection.PPTX: _later("pptx", "parse_pptx"),
    detection.XLSX: _later("xlsx", "parse_xlsx"),
    detection.ODT: parse_odt,
    detection.ODS: parse_ods,
    detection.ODP: parse_odp,
    detection.EPUB: parse_epub,
    detection.JSON: parse_json,
    detection.JSON_LINES: parse_json_lines,
    detection.XML: parse_xml,
    **dict.fromkeys(detection.IMAGES, _later("image", "parse_image")),
    detection.NOTEBOOK: parse_notebook,
    detection.VTT: parse_vtt,
    detection.SRT: parse_srt,
    detection.CALENDAR: parse_calendar,
    detection.VCARD: parse_vcard,
    **{kind: partial(parse_code, language=language) for kind, language in code_languages.MEDIA_TYPES.items()},
    detection.ASCIIDOC: parse_asciidoc,
    detection.ORG: parse_org,
    detection.RST: parse_rst,
    detection.TEX: parse_latex,
    detection.RTF: parse_rtf,
    **dict.fromkeys(detection.LEGACY, refuse_legacy),
    detection.MBOX: parse_mbox,
    detection.MSG: parse_msg,
    detection.EML: parse_mail,
    detection.ZIP: parse_zip,
    detection.TAR: parse_tar,
}


def parse(data: bytes, name: str) -> Parsed:
    """Detect what `data` is and read it, and what it carries at every depth.

    Raises `UnreadableDocument`, or whatever a parsing library raises.
    """
    budget = Budget()
    media_type, data, name = _uncompressed(data, name, budget)
    return with_all_carried(_reader(media_type, budget)(data), budget, _carried)


def _reader(media_type: str, budget: Budget) -> Parser:
    container = CONTAINERS.get(media_type)
    return (lambda data: container(data, budget)) if container else PARSERS[media_type]


def _carried(attachment: Attachment, budget: Budget) -> tuple[Attachment, ...]:
    """What an attachment carries itself; the text of it is read when it is a document, and not here."""
    media_type, data, _ = _uncompressed(attachment.data, attachment.name, budget)
    if media_type == detection.PDF:
        with closing(pdfium.PdfDocument(data)) as document:
            return embedded_files(document)
    return _reader(media_type, budget)(data).attachments if media_type in CONTAINERS else ()


def _uncompressed(data: bytes, name: str, budget: Budget) -> tuple[str, bytes, str]:
    """What a compressed file holds, by its kind, its bytes and the name without the compression's ending."""
    for _ in range(DEPTH):
        media_type = detection.detect(data, name)
        if media_type != detection.COMPRESSED:
            return media_type, data, name
        data, name = inflated(data, budget), _inner_name(name)
    raise UnreadableDocument("hostile", f"The file is compressed more than {DEPTH} times over; it was not read.")


def _inner_name(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in (".gz", ".bz2", ".xz") else name
