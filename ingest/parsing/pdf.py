"""PDF: the text layer of each page as headings, paragraphs and tables, without running headers and footers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing

import pypdfium2 as pdfium

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, sensible_title
from ingest.parsing.pdf_layout import Body, Paragraph, body_type, heading_levels, paragraphs
from ingest.parsing.pdf_lines import Line, page_lines
from ingest.parsing.pdf_tables import RuledTable, ruled_tables

MEDIA_TYPE = "application/pdf"
PAGES = 5_000

_PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD, and 5 FPDF_ERR_SECURITY, in fpdfview.h
_SECURITY_ERROR = 5
# Where a running header or footer stands: the outer share of the page's height.
_MARGIN_SHARE = 0.12
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(r"\W*(page|seite|p\.)?\s*#(\s*(/|of|von)\s*#)?\W*", re.I)


def parse_pdf(data: bytes) -> Parsed:
    """Blocks with their page (from 1); words hyphenated at line ends are joined, headings are told by their size.

    A file that opens with an empty password is read. Raises `UnreadableDocument`: "encrypted" for one that does not,
    "empty" where no page has text (a scan needs OCR, which is not built in yet), "malformed", "too_large".
    """
    with closing(_open(data)) as document:
        if len(document) > PAGES:
            raise UnreadableDocument(
                "too_large", f"The PDF has {len(document):,} pages; at most {PAGES:,} are read. Split it."
            )
        pages = [_lines(document, index) for index in range(len(document))]
        if not any(pages):
            raise UnreadableDocument(
                "empty",
                "The PDF has no text layer, so it is likely a scan; OCR is not built in yet. Run OCR on it first.",
            )
        pages = _without_running_lines(pages)
        assembly = Assembly()
        _assemble(assembly, pages, [_tables(document, index) for index in range(len(document))])
        title = sensible_title(document.get_metadata_dict().get("Title") or "")
    return assembly.parsed(MEDIA_TYPE, title=title or assembly.first_heading())


def _open(data: bytes) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        code = getattr(error, "err_code", None)
        if code in (_PASSWORD_ERROR, _SECURITY_ERROR):
            raise UnreadableDocument("encrypted", "The PDF is protected by a password; save it without one.") from error
        raise UnreadableDocument(
            "malformed", f"The PDF is damaged ({error}); open it in a viewer and print it to a new PDF."
        ) from error


def _lines(document: pdfium.PdfDocument, index: int) -> list[Line]:
    """The lines of one page; a page that cannot be loaded has none, so that the others are still read."""
    try:
        with closing(document[index]) as page:
            return page_lines(page)
    except pdfium.PdfiumError:
        return []


def _tables(document: pdfium.PdfDocument, index: int) -> list[RuledTable]:
    try:
        with closing(document[index]) as page:
            return ruled_tables(page)
    except pdfium.PdfiumError:
        return []


def _without_running_lines(pages: Sequence[list[Line]]) -> list[list[Line]]:
    """Leave out outer lines that recur on many pages, whatever their numbers, and page numbers in the margin."""
    recurring = Counter(key for lines in pages for key in {_key(line) for line in _outer(lines)})
    often = max(3, len(pages) // 4)
    kept = []
    for lines in pages:
        outer = _outer(lines)
        running = {
            line
            for line in outer
            if recurring[_key(line)] >= often or (_in_margin(line) and _PAGE_NUMBER.fullmatch(_key(line)))
        }
        kept.append([line for line in lines if line not in running])
    return kept if any(kept) else list(pages)


def _key(line: Line) -> str:
    return _DIGITS.sub("#", " ".join(line.text.split()))


def _outer(lines: Sequence[Line]) -> list[Line]:
    """The lines in the margins, and the first and last two: pages of unequal length end above the margin."""
    by_height = sorted(lines, key=lambda line: line.top)
    edges = {*by_height[:2], *by_height[-2:]}
    return [line for line in lines if line in edges or _in_margin(line)]


def _in_margin(line: Line) -> bool:
    return line.bottom > (1 - _MARGIN_SHARE) * line.page_height or line.top < _MARGIN_SHARE * line.page_height


def _assemble(assembly: Assembly, pages: Sequence[list[Line]], tables: Sequence[list[RuledTable]]) -> None:
    body = body_type(line for lines in pages for line in lines)
    flows = [list(_flow(lines, ruled, body)) for lines, ruled in zip(pages, tables, strict=True)]
    levels = heading_levels((item for flow in flows for item in flow if isinstance(item, Paragraph)), body)
    for number, flow in enumerate(flows, start=1):
        for item in flow:
            if isinstance(item, RuledTable):
                assembly.add(BlockKind.TABLE, item.text, page=number)
            else:
                level = levels.get(item.style) if item.may_be_heading else None
                kind = BlockKind.HEADING if level is not None else item.kind
                assembly.add(kind, item.text, level=level, page=number)


def _flow(lines: list[Line], tables: list[RuledTable], body: Body) -> Iterator[Paragraph | RuledTable]:
    """Paragraphs of one page in the file's order, each ruled table once, where its first line stands."""
    waiting: list[Line] = []
    shown: set[int] = set()
    for line in lines:
        inside = next((number for number, table in enumerate(tables) if table.holds(line)), None)
        if inside is None:
            waiting.append(line)
        elif inside not in shown:
            yield from paragraphs(waiting, body)
            waiting = []
            shown.add(inside)
            yield tables[inside]
    yield from paragraphs(waiting, body)
