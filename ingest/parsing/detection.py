"""What kind of document some bytes are: by content first, by name second."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
import zlib
from pathlib import PurePosixPath

from core.errors import UnreadableDocument
from ingest.parsing.charsets import decode, looks_like_text
from ingest.parsing.damage import sign_of
from ingest.parsing.office_zip import checked_members

MARKDOWN = "text/markdown"
HTML = "text/html"
PLAIN = "text/plain"
CSV = "text/csv"
TSV = "text/tab-separated-values"
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
ODP = "application/vnd.oasis.opendocument.presentation"
EPUB = "application/epub+zip"
EML = "message/rfc822"
JSON = "application/json"
JSON_LINES = "application/jsonl"
XML = "application/xml"
PNG = "image/png"
JPEG = "image/jpeg"
TIFF = "image/tiff"
GIF = "image/gif"
BMP = "image/bmp"
WEBP = "image/webp"
IMAGES = (PNG, JPEG, TIFF, GIF, BMP, WEBP)

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
    ".asciidoc": PLAIN,
    ".vtt": PLAIN,
    ".srt": PLAIN,
    ".tex": PLAIN,
    ".org": PLAIN,
    ".csv": CSV,
    ".tsv": TSV,
    ".tab": TSV,
    ".eml": EML,
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".xml": XML,
}
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp", ".webp")
# The names that a file of a binary kind goes by, the usual one first.
_BINARY_KINDS = {
    PDF: (".pdf",),
    DOCX: (".docx", ".docm", ".dotx", ".dotm"),
    XLSX: (".xlsx", ".xlsm", ".xltx", ".xltm"),
    PPTX: (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"),
    ODT: (".odt", ".ott"),
    ODS: (".ods", ".ots"),
    ODP: (".odp", ".otp"),
    EPUB: (".epub",),
    PNG: _IMAGE_SUFFIXES,
    JPEG: (".jpg", *_IMAGE_SUFFIXES),
    TIFF: (".tif", *_IMAGE_SUFFIXES),
    GIF: (".gif", *_IMAGE_SUFFIXES),
    BMP: (".bmp", *_IMAGE_SUFFIXES),
    WEBP: (".webp", *_IMAGE_SUFFIXES),
}
# Formats whose files are binary; nothing else belongs under their names.
_BINARY_SUFFIXES = frozenset({".doc", ".xls", ".ppt", ".msg"}.union(*_BINARY_KINDS.values()))

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# The stream in which Office keeps a password-protected file ([MS-OFFCRYPTO] 2.3.4.4), as its directory names it.
_OLE_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_MAGIC = (
    (b"{\\rtf", "an RTF document; save it as DOCX or PDF"),
    (b"RIFF", "a sound or a film; only documents with text are read"),
    (b"ID3", "a sound; only documents with text are read"),
    (b"\x1f\x8b", "a compressed archive; unpack it and bring in the files"),
    (b"BZh", "a compressed archive; unpack it and bring in the files"),
    (b"7z\xbc\xaf", "a compressed archive; unpack it and bring in the files"),
    (b"Rar!", "a compressed archive; unpack it and bring in the files"),
    (b"\x7fELF", "a program; only documents with text are read"),
    (b"MZ\x90", "a program; only documents with text are read"),
    (b"SQLite format 3", "a database; export its tables as CSV"),
)
_IMAGE_STARTS = (
    (re.compile(rb"\x89PNG\r\n"), PNG),
    (re.compile(rb"\xff\xd8\xff"), JPEG),
    (re.compile(rb"II\*\x00|MM\x00\*"), TIFF),
    (re.compile(rb"GIF8[79]a"), GIF),
    # The sizes of the header that follows, by version (40 is by far the usual one); `BM` alone begins words.
    (re.compile(rb"BM.{12}[\x0c\x28\x6c\x7c]\x00\x00\x00", re.S), BMP),
    (re.compile(rb"RIFF....WEBP", re.S), WEBP),
)
# The main folder of an Office Open XML package; `mimetype`, first in the others, says what they are.
_OFFICE_FOLDERS = (("word/", DOCX), ("xl/", XLSX), ("ppt/", PPTX))
_DECLARED_KINDS = (ODT, ODS, ODP, EPUB)
_HTML_START = re.compile(r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S)
_MAIL_START = re.compile(
    r"((received|return-path|from|to|date|subject|mime-version|message-id|content-type)\s*:.*\r?\n){2}", re.I
)
_XML_START = re.compile(r"\s*<\?xml\s")
_BLANK = b"\x00 \t\r\n\xef\xbb\xbf"
_CSV_ROWS = 20
_MIMETYPE_BYTES = 256


def detect(data: bytes, name: str) -> str:
    """The media type of `data`, one that we read; `name` decides between kinds of text, and must not contradict.

    Raises `UnreadableDocument`: "empty" without bytes; "unsupported" for what we do not read, the reason saying what
    it is and what to do; "encrypted", "hostile" or "malformed" for a container that cannot be opened; "malformed" for
    a name that says another format than the bytes do, since one of the two is not what its owner believes.
    """
    media_type = _detect(data, name)
    suffix = PurePosixPath(name).suffix.lower()
    names = _BINARY_KINDS.get(media_type, ())
    if not names and suffix in _BINARY_SUFFIXES:
        raise _misnamed(suffix, "text", ".txt, .md, .csv or .html")
    if names and suffix not in names and (suffix in TEXT_SUFFIXES or suffix in _BINARY_SUFFIXES):
        raise _misnamed(suffix, f"a file of the kind {names[0][1:].upper()}", names[0])
    return media_type


def _detect(data: bytes, name: str) -> str:
    if not data.strip(_BLANK):
        raise UnreadableDocument("empty", "The file is empty; there is nothing to index.")
    # Acrobat and PDFium accept the header anywhere in the first 1024 bytes (ISO 32000-1, Annex H, note 13).
    # Text may speak of it.
    begins = data[:1024].lstrip(_BLANK)
    if b"%PDF-" in begins and (begins.startswith(b"%PDF-") or not looks_like_text(data)):
        return PDF
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _detect_zip(data)
    if data.startswith(_OLE):
        if _OLE_ENCRYPTED in data:
            raise UnreadableDocument("encrypted", "The file is protected by a password; save it without one.")
        raise _unsupported("a Word, Excel, PowerPoint or Outlook file of before 2007; save it as DOCX or PDF")
    for start, media_type in _IMAGE_STARTS:
        if start.match(data):
            return media_type
    for magic, what in _MAGIC:
        if data.startswith(magic):
            raise _unsupported(what)
    if not looks_like_text(data):
        raise _unsupported("binary data of no known kind; only documents with text are read")
    return _detect_text(data, name)


def _detect_zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = checked_members(archive)
            declared = _declared_kind(archive, names)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, zlib.error) as error:
        raise UnreadableDocument(
            "malformed", f"The file is a damaged or cut-off archive ({sign_of(error)}); fetch or save it again."
        ) from error
    if declared in _DECLARED_KINDS:
        return declared
    if "xl/workbook.bin" in names:
        raise _unsupported("an Excel binary workbook; save it as XLSX")
    for folder, media_type in _OFFICE_FOLDERS:
        if any(name.startswith(folder) for name in names):
            return media_type
    if "META-INF/container.xml" in names:
        return EPUB
    raise _unsupported("a ZIP archive; unpack it and bring in the files")


def _declared_kind(archive: zipfile.ZipFile, names: list[str]) -> str:
    """What a `mimetype` member says (OpenDocument 1.3 part 2, 3.3; EPUB OCF 3.3, 4.3), a template as its document."""
    if "mimetype" not in names or archive.getinfo("mimetype").file_size > _MIMETYPE_BYTES:
        return ""
    return archive.read("mimetype").decode("ascii", "replace").strip().removesuffix("-template")


def _detect_text(data: bytes, name: str) -> str:
    head = decode(data[: 64 * 1024 // 4 * 4])
    # From the right, so that `page.html.md.erb` and `policy.md.tmpl` are Markdown.
    suffixes = [suffix.lower() for suffix in reversed(PurePosixPath(name).suffixes)]
    for suffix in suffixes:
        if suffix in TEXT_SUFFIXES:
            return TEXT_SUFFIXES[suffix]
    for start, media_type in ((_HTML_START, HTML), (_XML_START, XML), (_MAIL_START, EML)):
        if start.match(head):
            return media_type
    if head.lstrip()[:1] in ("{", "[") and _is_json(data):
        return JSON
    if suffixes and suffixes[0] not in _BINARY_SUFFIXES:
        raise _unsupported(f"text of the kind {suffixes[0]}; rename it to .txt if it is to be read as plain text")
    return CSV if _is_delimited(head) else PLAIN


def _is_json(data: bytes) -> bool:
    try:
        json.loads(decode(data))
    except (ValueError, RecursionError):
        return False
    return True


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
