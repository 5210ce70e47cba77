"""What kind of document some bytes are: by content first, by name second."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import PurePosixPath

from core.errors import UnreadableDocument
from ingest.parsing.charsets import decode, looks_like_text
from ingest.parsing.office_zip import checked_members

MARKDOWN = "text/markdown"
HTML = "text/html"
PLAIN = "text/plain"
CSV = "text/csv"
TSV = "text/tab-separated-values"
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

TEXT_SUFFIXES = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".mdx": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".txt": PLAIN,
    ".text": PLAIN,
    ".log": PLAIN,
    ".rst": PLAIN,
    ".adoc": PLAIN,
    ".org": PLAIN,
    ".csv": CSV,
    ".tsv": TSV,
    ".tab": TSV,
}
# Formats whose files are binary; nothing else belongs under their names.
_BINARY_SUFFIXES = {".pdf", ".docx", ".doc", ".xlsx", ".xls", ".pptx", ".ppt", ".odt", ".ods", ".odp", ".png", ".jpg"}

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# The stream in which Office keeps a password-protected file ([MS-OFFCRYPTO] 2.3.4.4), as its directory names it.
_OLE_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_MAGIC = (
    (b"{\\rtf", "an RTF document; save it as DOCX or PDF"),
    (b"\x89PNG", "a PNG image; text in images is not read yet"),
    (b"\xff\xd8\xff", "a JPEG image; text in images is not read yet"),
    (b"GIF8", "a GIF image; text in images is not read yet"),
    (b"II*\x00", "a TIFF image; text in images is not read yet"),
    (b"MM\x00*", "a TIFF image; text in images is not read yet"),
    (b"RIFF", "an image, a sound or a film; only documents with text are read"),
    (b"\x1f\x8b", "a compressed archive; unpack it and bring in the files"),
    (b"BZh", "a compressed archive; unpack it and bring in the files"),
    (b"7z\xbc\xaf", "a compressed archive; unpack it and bring in the files"),
    (b"Rar!", "a compressed archive; unpack it and bring in the files"),
    (b"\x7fELF", "a program; only documents with text are read"),
    (b"MZ\x90", "a program; only documents with text are read"),
    (b"SQLite format 3", "a database; export its tables as CSV"),
)
_ZIP_KINDS = (
    ("xl/", "an Excel workbook; save its sheets as CSV"),
    ("ppt/", "a PowerPoint presentation; save it as PDF"),
    ("META-INF/container.xml", "an e-book; save it as PDF or HTML"),
    ("content.xml", "an OpenDocument file; save it as DOCX or PDF"),
)
_HTML_START = re.compile(r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S)
_MAIL_START = re.compile(r"((received|return-path|from|to|date|subject|mime-version|message-id)\s*:.*\r?\n){2}", re.I)
_CSV_ROWS = 20


def detect(data: bytes, name: str) -> str:
    """The media type of `data`, one that we read; `name` decides between kinds of text, and must not contradict.

    Raises `UnreadableDocument`: "empty" without bytes; "unsupported" for what we do not read, the reason saying what
    it is and what to do; "encrypted", "hostile" or "malformed" for a container that cannot be opened; "malformed" for
    a name that says another format than the bytes do, since one of the two is not what its owner believes.
    """
    media_type = _detect(data, name)
    suffix = PurePosixPath(name).suffix.lower()
    belongs = {PDF: ".pdf", DOCX: ".docx"}.get(media_type)
    if belongs is None and suffix in _BINARY_SUFFIXES:
        raise _misnamed(suffix, "text", ".txt, .md, .csv or .html")
    if belongs is not None and suffix != belongs and (suffix in TEXT_SUFFIXES or suffix in _BINARY_SUFFIXES):
        raise _misnamed(suffix, f"a {belongs[1:].upper()} document", belongs)
    return media_type


def _detect(data: bytes, name: str) -> str:
    if not data.strip(b"\x00 \t\r\n\xef\xbb\xbf"):
        raise UnreadableDocument("empty", "The file is empty; there is nothing to index.")
    # Acrobat and PDFium accept the header anywhere in the first 1024 bytes (ISO 32000-1, Annex H, note 13).
    if b"%PDF-" in data[:1024] and not _is_markup(data):
        return PDF
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _detect_zip(data)
    if data.startswith(_OLE):
        if _OLE_ENCRYPTED in data:
            raise UnreadableDocument("encrypted", "The file is protected by a password; save it without one.")
        raise _unsupported("a Word, Excel, PowerPoint or Outlook file of before 2007; save it as DOCX or PDF")
    for magic, what in _MAGIC:
        if data.startswith(magic):
            raise _unsupported(what)
    if not looks_like_text(data):
        raise _unsupported("binary data of no known kind; only documents with text are read")
    return _detect_text(data, name)


def _is_markup(data: bytes) -> bool:
    return data.lstrip()[:1] == b"<"


def _detect_zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = checked_members(archive)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise UnreadableDocument(
            "malformed", f"The file is a damaged or cut-off archive ({error}); fetch or save it again."
        ) from error
    if any(name.startswith("word/") for name in names):
        return DOCX
    for member, what in _ZIP_KINDS:
        if any(name.startswith(member) for name in names):
            raise _unsupported(what)
    raise _unsupported("a ZIP archive; unpack it and bring in the files")


def _detect_text(data: bytes, name: str) -> str:
    head = decode(data[: 64 * 1024 // 4 * 4])
    # From the right, so that `page.html.md.erb` and `policy.md.tmpl` are Markdown.
    suffixes = [suffix.lower() for suffix in reversed(PurePosixPath(name).suffixes)]
    for suffix in suffixes:
        if suffix in TEXT_SUFFIXES:
            return TEXT_SUFFIXES[suffix]
    if _HTML_START.match(head):
        return HTML
    if suffixes and suffixes[0] not in _BINARY_SUFFIXES:
        if suffixes[0] == ".eml" or _MAIL_START.match(head):
            raise _unsupported("an e-mail message; save its text or print it as PDF")
        raise _unsupported(f"text of the kind {suffixes[0]}; rename it to .txt if it is to be read as plain text")
    return CSV if _is_delimited(head) else PLAIN


def _is_delimited(text: str) -> bool:
    """Whether the first rows agree on two or more columns, as only a table's do."""
    lines = text.splitlines()[:_CSV_ROWS]
    for delimiter in ",;\t|":
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
        if len(lines) > 1 and len(widths) == 1 and max(widths) > 1:
            return True
    return False


def _misnamed(suffix: str, what: str, better: str) -> UnreadableDocument:
    return UnreadableDocument(
        "malformed", f"The name ends in {suffix} but the bytes are {what}; rename it to {better}."
    )


def _unsupported(what: str) -> UnreadableDocument:
    return UnreadableDocument("unsupported", f"The file is {what}.")
