"""Files embedded in a PDF, as a portfolio or an invoice carries them: documents of their own."""

from __future__ import annotations

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from core.documents import Attachment
from ingest.parsing.containers import CARRIED_BYTES
from ingest.parsing.member_names import safe_name, unused

_FILES = 1_000


def embedded_files(document: pdfium.PdfDocument) -> tuple[Attachment, ...]:
    """Each embedded file that holds anything, in the file's order; one that is damaged or too large is left out."""
    taken: set[str] = set()
    found = []
    for index in range(min(document.count_attachments(), _FILES)):
        try:
            embedded = document.get_attachment(index)
            data = bytes(embedded.get_data()) if _size(embedded) <= CARRIED_BYTES else b""
        except pdfium.PdfiumError:
            continue
        if data.strip():
            found.append(Attachment(unused(safe_name(embedded.get_name(), "attachment"), taken), data))
    return tuple(found)


def _size(embedded: pdfium.PdfAttachment) -> int:
    size = pdfium_c.c_ulong()
    pdfium_c.FPDFAttachment_GetFile(embedded.raw, None, 0, size)
    return int(size.value)
