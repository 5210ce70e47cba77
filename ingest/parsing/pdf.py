"""PDF: each page as headings, paragraphs and tables, without running headers and footers; scanned pages by OCR."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import pypdfium2 as pdfium

from core.documents import Attachment, BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, sensible_title
from ingest.parsing.pdf_embedded import embedded_files
from ingest.parsing.pdf_forms import filled_in, has_form
from ingest.parsing.pdf_layout import Body, Paragraph, body_type, heading_levels, in_reading_order, paragraphs
from ingest.parsing.pdf_lines import Line, page_lines
from ingest.parsing.pdf_marks import with_marks
from ingest.parsing.pdf_scans import is_scan, rendered
from ingest.parsing.pdf_tables import RuledTable, ruled_tables
from ingest.parsing.scanned_pages import ScannedPages

MEDIA_TYPE = "application/pdf"
PAGES = 5_000

_PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD, and 5 FPDF_ERR_SECURITY, in fpdfview.h
_SECURITY_ERROR = 5
# Where a running header or footer stands: the outer share of the page's height.
_MARGIN_SHARE = 0.12
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(r"[^\w#]*(page|seite|p\.)?\s*#(\s*(/|of|von)\s*#)?[^\w#]*", re.I)


@dataclass(frozen=True)
class _Page:
    """What one page holds: its lines, or what was recognized on it where it is a picture, and what was filled in."""

    lines: list[Line]
    tables: list[RuledTable] = field(default_factory=list)
    recognized: list[str] = field(default_factory=list)
    filled_in: list[str] = field(default_factory=list)


def parse_pdf(data: bytes) -> Parsed:
    """Blocks with their page (from 1, as the file counts); words hyphenated at line ends are joined.

    Headings are told by their size. Pages that are pictures are recognized; where time does not suffice for all of
    them, the others are read and `unread` names those. Form fields stand below their page with their values. Files
    that are embedded become attachments. A file that opens with an empty password is read.

    Raises `UnreadableDocument`: "encrypted" for one that does not, "empty" where no page shows text, "timeout" where
    there was no time for any, "malformed", "too_large".
    """
    with closing(_open(data)) as document:
        if len(document) > PAGES:
            raise UnreadableDocument(
                "too_large", f"The PDF has {len(document):,} pages; at most {PAGES:,} are read. Split it."
            )
        if has_form(document):
            document.init_forms()
        scans = ScannedPages()
        pages = [_page(document, index, scans) for index in range(len(document))]
        assembly = Assembly()
        _assemble(assembly, _without_running_lines(pages))
        title = sensible_title(document.get_metadata_dict().get("Title") or "")
        attachments = embedded_files(document)
    if not assembly.blocks:
        _refuse_textless(assembly, scans, attachments)
    parsed = assembly.parsed(MEDIA_TYPE, title=title or assembly.first_heading())
    return replace(parsed, attachments=attachments, unread=scans.cause())


def _refuse_textless(assembly: Assembly, scans: ScannedPages, attachments: Sequence[Attachment]) -> None:
    """Raise the verdict on a document without text, unless it carries files: their names are its text then."""
    if scans.unread:
        raise UnreadableDocument("timeout", scans.cause())
    if not attachments:
        raise UnreadableDocument("empty", "No page of the PDF shows text, nor could any be recognized by OCR.")
    for attachment in attachments:
        assembly.add(BlockKind.LIST_ITEM, attachment.name)


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


def _page(document: pdfium.PdfDocument, index: int, scans: ScannedPages) -> _Page:
    """What one page holds; one that cannot be loaded holds nothing, so that the others are still read."""
    try:
        with closing(document[index]) as page, closing(page.get_textpage()) as textpage:
            lines = in_reading_order(with_marks(page_lines(page, textpage)))
            if is_scan(page, lines):
                recognized = scans.read(index + 1, lambda: rendered(page))
                return _Page(lines, recognized=recognized, filled_in=filled_in(document, page))
            return _Page(lines, ruled_tables(page, textpage), filled_in=filled_in(document, page))
    except pdfium.PdfiumError:
        return _Page([])


def _without_running_lines(pages: Sequence[_Page]) -> list[_Page]:
    """Leave out outer lines that recur on many pages, whatever their numbers, and page numbers in the margin."""
    recurring = Counter(key for page in pages for key in {_key(line) for line in _outer(page.lines)})
    often = max(3, len(pages) // 4)
    kept = []
    for page in pages:
        outer = _outer(page.lines)
        running = {
            line
            for line in outer
            if recurring[_key(line)] >= often or (_in_margin(line) and _PAGE_NUMBER.fullmatch(_key(line)))
        }
        kept.append(replace(page, lines=[line for line in page.lines if line not in running]))
    return kept if any(page.lines for page in kept) else list(pages)


def _key(line: Line) -> str:
    return _DIGITS.sub("#", " ".join(line.text.split()))


def _outer(lines: Sequence[Line]) -> list[Line]:
    """The lines in the margins, and the first and last two: pages of unequal length end above the margin."""
    by_height = sorted(lines, key=lambda line: line.top)
    edges = {*by_height[:2], *by_height[-2:]}
    return [line for line in lines if line in edges or _in_margin(line)]


def _in_margin(line: Line) -> bool:
    return line.bottom > (1 - _MARGIN_SHARE) * line.page_height or line.top < _MARGIN_SHARE * line.page_height


def _assemble(assembly: Assembly, pages: Sequence[_Page]) -> None:
    body = body_type(line for page in pages for line in page.lines)
    flows = [
        list(_flow(page.lines, [one for one in page.tables if not one.frames(page.lines)], body)) for page in pages
    ]
    levels = heading_levels((item for flow in flows for item in flow if isinstance(item, Paragraph)), body)
    for number, (page, flow) in enumerate(zip(pages, flows, strict=True), start=1):
        for item in flow:
            if isinstance(item, RuledTable):
                assembly.add(BlockKind.TABLE, item.text, page=number)
            else:
                level = levels.get(item.style) if item.may_be_heading else None
                kind = BlockKind.HEADING if level is not None else item.kind
                assembly.add(kind, item.text, level=level, page=number)
        for text in page.recognized:
            assembly.add(BlockKind.IMAGE_TEXT, text, page=number)
        for text in page.filled_in:
            assembly.add(BlockKind.LIST_ITEM, text, page=number)


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
