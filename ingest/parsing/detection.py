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
from ingest.parsing import code_languages
from ingest.parsing.charsets import decode, looks_like_text
from ingest.parsing.compression import COMPRESSED_START, inflated_head
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
MSG = "application/vnd.ms-outlook"
MBOX = "application/mbox"
ZIP = "application/zip"
TAR = "application/x-tar"
COMPRESSED = "application/gzip"
"""One file, compressed by gzip, bzip2 or xz: read as what it holds."""
DOC = "application/msword"
XLS = "application/vnd.ms-excel"
PPT = "application/vnd.ms-powerpoint"
LEGACY = (DOC, XLS, PPT)
RTF = "application/rtf"
ASCIIDOC = "text/asciidoc"
ORG = "text/org"
RST = "text/x-rst"
TEX = "application/x-tex"
VTT = "text/vtt"
SRT = "application/x-subrip"
CALENDAR = "text/calendar"
VCARD = "text/vcard"
NOTEBOOK = "application/x-ipynb+json"
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
    ".rst": RST,
    ".rest": RST,
    ".adoc": ASCIIDOC,
    ".asciidoc": ASCIIDOC,
    ".asc": ASCIIDOC,
    ".org": ORG,
    ".tex": TEX,
    ".latex": TEX,
    ".ltx": TEX,
    ".vtt": VTT,
    ".srt": SRT,
    ".ics": CALENDAR,
    ".vcf": VCARD,
    ".csv": CSV,
    ".tsv": TSV,
    ".tab": TSV,
    ".eml": EML,
    ".mbox": MBOX,
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".ipynb": NOTEBOOK,
    ".xml": XML,
    **{suffix: code_languages.media_type(language) for suffix, language in code_languages.BY_SUFFIX.items()},
}
# Text that says nothing to a reader, or must not be read.
_NO_DOCUMENTS = {
    ".svg": "a drawing; export it as PDF or PNG",
    ".pem": "a key or a certificate; only documents are read",
    ".key": "a key or a certificate; only documents are read",
    ".crt": "a key or a certificate; only documents are read",
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
    MSG: (".msg",),
    DOC: (".doc", ".dot"),
    XLS: (".xls", ".xlt"),
    PPT: (".ppt", ".pps", ".pot"),
    ZIP: (".zip",),
    TAR: (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".gz", ".bz2", ".xz"),
    COMPRESSED: (".gz", ".bz2", ".xz", ".tgz", ".tbz", ".tbz2", ".txz"),
}
_ZIPPED_SUFFIXES = frozenset().union(*(_BINARY_KINDS[kind] for kind in (DOCX, XLSX, PPTX, ODT, ODS, ODP, EPUB)))
# Names that say of text nothing that could be true: Excel itself writes tables of text under its own ending.
_BINARY_SUFFIXES = frozenset((".rtf",)).union(*_BINARY_KINDS.values())
# Packages that are ZIP archives, and whose members are no documents of their own.
_PACKAGES = {
    **dict.fromkeys((".jar", ".war", ".ear", ".apk", ".ipa", ".whl", ".xpi", ".nupkg", ".vsix"), "a program's package"),
    **dict.fromkeys((".pages", ".numbers", ".key"), "an Apple iWork document; export it as PDF or in Office's format"),
    ".vsdx": "a Visio drawing; export it as PDF",
    ".kmz": "a map; only documents with text are read",
}

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# The stream in which Office keeps a password-protected file ([MS-OFFCRYPTO] 2.3.4.4), as its directory names it.
_OLE_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
# The streams that make a file of before 2007 what it is ([MS-OXMSG] 2.4, [MS-DOC] 2.1.1, [MS-PPT] 2.1.2,
# [MS-XLS] 2.1.7.21), as their directories name them. A message may carry any of the others.
_OLE_STREAMS = tuple(
    (name.encode("utf-16-le"), kind)
    for name, kind in (
        ("__properties_version1.0", MSG),
        ("WordDocument", DOC),
        ("PowerPoint Document", PPT),
        ("Workbook", XLS),
        ("Book", XLS),
    )
)
_MAGIC = (
    (b"RIFF", "a sound or a film; only documents with text are read"),
    (b"ID3", "a sound; only documents with text are read"),
    (b"7z\xbc\xaf", "a compressed archive; unpack it and bring in the files"),
    (b"\x28\xb5\x2f\xfd", "a compressed archive; unpack it and bring in the files"),
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
_HTML_START = re.compile(
    # Atomic, since comments can be told apart in as many ways as there are of counting them.
    r"\s*(?:<\?xml[^>]*>\s*)?(?>(?:<!--.*?-->\s*)*)<(?:!doctype\s+html|html|head|body)\b",
    re.I | re.S,
)
_MAIL_START = re.compile(
    r"((received|return-path|from|to|date|subject|mime-version|message-id|content-type)\s*:.*\r?\n){2}", re.I
)
_XML_START = re.compile(r"\s*<\?xml\s")
_TAR_HEAD, _TAR_MAGIC = 262, b"ustar"  # POSIX.1-2017, pax: at offset 257
# Far more entries than are opened, counted before Python makes an object of each.
_ZIP_ENTRY, _ZIP_ENTRIES = b"PK\x01\x02", 200_000
_MBOX_START = re.compile(r"From [^\n]*\n[A-Za-z][\w-]*:")
_SRT_START = re.compile(r"\s*\d+\s*\n\d\d:\d\d:\d\d,\d{3} -->")
_TEX_START = re.compile(r"(?:[ \t]*(?:%[^\n]*)?\n){0,200}[ \t]*\\document(?:class|style)\b")
_MARKS = (
    (re.compile(r"WEBVTT\s"), VTT),
    (_SRT_START, SRT),
    (re.compile(r"BEGIN:VCALENDAR\s", re.I), CALENDAR),
    (re.compile(r"BEGIN:VCARD\s", re.I), VCARD),
    (_TEX_START, TEX),
    (re.compile(r"\s*#\+(title|author|date|options|startup):", re.I), ORG),
    (_HTML_START, HTML),
    (_XML_START, XML),
    (_MBOX_START, MBOX),
    (_MAIL_START, EML),
)
# Formats that hold nothing but their own kind, and those that may hold any text; a program is what it is called.
_STRICT = frozenset((CSV, TSV, JSON, JSON_LINES, NOTEBOOK, EML, MBOX, VTT, SRT, CALENDAR, VCARD))
_OUTWEIGHED = _STRICT | {PLAIN, MARKDOWN, ASCIIDOC, ORG, RST, HTML, XML, TEX}
# Which no person writes above a memo, as they do From, To, Date and Subject.
_SENT_MAIL = re.compile(
    r"(?:[\w-]{1,60}:.*+\n(?:[ \t].*+\n)*+){0,60}?(?:received|mime-version|message-id)[ \t]*:", re.I
)
# How a kind of text begins that nobody mistakes for another, and the names under which it may stand all the same.
_UNMISTAKABLE: tuple[tuple[re.Pattern[str], str, frozenset[str]], ...] = (
    (re.compile(r"WEBVTT(?:[ \t].*)?\n"), VTT, frozenset((SRT,))),
    (_SRT_START, SRT, frozenset((VTT,))),
    (re.compile(r"BEGIN:VCALENDAR\s", re.I), CALENDAR, frozenset()),
    (re.compile(r"BEGIN:VCARD\s", re.I), VCARD, frozenset()),
    (_TEX_START, TEX, frozenset()),
    (_HTML_START, HTML, frozenset((XML,))),
    # It may be quoted at the start of a text, and be cut off there.
    (_XML_START, XML, _OUTWEIGHED - _STRICT),
    (_MBOX_START, MBOX, frozenset((EML,))),
    (_SENT_MAIL, EML, frozenset((MBOX,))),
)
_BLANK = b"\x00 \t\r\n\xef\xbb\xbf"
_CSV_ROWS = 20
_MIMETYPE_BYTES = 256


def detect(data: bytes, name: str) -> str:
    """The media type of `data`, one that we read; `name` decides only between kinds of text that look alike.

    Raises `UnreadableDocument`: "empty" without bytes; "unsupported" for what we do not read, the reason saying what
    it is and what to do; "encrypted", "hostile" or "malformed" for a container that cannot be opened; "malformed" for
    a name of text above bytes that are none: whoever opens such a file by its name sees something else than we read.
    """
    media_type = _detect(data, name)
    suffix = PurePosixPath(name).suffix.lower()
    names = _BINARY_KINDS.get(media_type, ())
    if names and suffix in TEXT_SUFFIXES:
        raise UnreadableDocument(
            "malformed",
            f"The name ends in {suffix} but the bytes are a file of the kind {names[0][1:].upper()}; "
            f"rename it to {names[0]}.",
        )
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
        return _detect_zip(data, PurePosixPath(name).suffix.lower())
    if data.startswith(OLE):
        return _detect_ole(data)
    is_compressed = COMPRESSED_START.match(data) is not None
    if (inflated_head(data, _TAR_HEAD) if is_compressed else data[:_TAR_HEAD]).endswith(_TAR_MAGIC):
        return TAR
    if is_compressed:
        return COMPRESSED
    if data.startswith(b"{\\rtf"):
        return RTF
    for start, media_type in _IMAGE_STARTS:
        if start.match(data):
            return media_type
    for magic, what in _MAGIC:
        if data.startswith(magic):
            raise _unsupported(what)
    if not looks_like_text(data):
        raise _unsupported("binary data of no known kind; only documents with text are read")
    return _detect_text(data, name)


def _detect_ole(data: bytes) -> str:
    if _OLE_ENCRYPTED in data:
        raise UnreadableDocument("encrypted", "The file is protected by a password; save it without one.")
    for stream, media_type in _OLE_STREAMS:
        if stream in data:
            return media_type
    raise _unsupported("a container of before 2007 that holds no document we know; save its content as PDF")


def _detect_zip(data: bytes, suffix: str) -> str:
    if data.count(_ZIP_ENTRY) > _ZIP_ENTRIES:
        raise UnreadableDocument("hostile", f"The archive lists more than {_ZIP_ENTRIES:,} entries; it was not opened.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            kind = _package_kind(archive, names)
            if kind:
                checked_members(archive)
                return kind
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, zlib.error) as error:
        raise UnreadableDocument(
            "malformed", f"The file is a damaged or cut-off archive ({sign_of(error)}); fetch or save it again."
        ) from error
    if suffix in _PACKAGES:
        raise _unsupported(_PACKAGES[suffix])
    if suffix in _ZIPPED_SUFFIXES:
        # Its parts, one by one, are no documents.
        raise UnreadableDocument(
            "malformed",
            f"The name ends in {suffix} but the file is an archive without a document in it; save the document again, "
            "or rename an archive of files to .zip.",
        )
    return ZIP


def _package_kind(archive: zipfile.ZipFile, names: list[str]) -> str:
    """The kind of document that a ZIP archive is the package of; nothing where it is an archive of files."""
    declared = _declared_kind(archive, names)
    if declared in _DECLARED_KINDS:
        return declared
    if "xl/workbook.bin" in names:
        raise _unsupported("an Excel binary workbook; save it as XLSX")
    for folder, media_type in _OFFICE_FOLDERS:
        if any(name.startswith(folder) for name in names):
            return media_type
    return EPUB if "META-INF/container.xml" in names else ""


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
        if suffix in _NO_DOCUMENTS:
            raise _unsupported(_NO_DOCUMENTS[suffix])
        if suffix in TEXT_SUFFIXES:
            named = TEXT_SUFFIXES[suffix]
            return _unmistakable(data, head, named) or named
    for start, media_type in _MARKS:
        if start.match(head):
            return media_type
    if head.startswith("#!") and (language := code_languages.by_shebang(head.partition("\n")[0])):
        return code_languages.media_type(language)
    if head.lstrip()[:1] in ("{", "[") and (kind := _json_kind(data)):
        return kind
    # Whatever else text calls itself (Makefile, LICENSE, notes.v2), its words can be read.
    may_be_a_table = not suffixes or suffixes[0] in _BINARY_SUFFIXES
    return CSV if may_be_a_table and _is_delimited(head) else PLAIN


def _unmistakable(data: bytes, head: str, named: str) -> str:
    """The kind that a text is beyond doubt, where its name says another one; else nothing."""
    if named not in _OUTWEIGHED:
        return ""
    for start, media_type, at_home in _UNMISTAKABLE:
        if named not in at_home and start.match(head):
            return media_type
    # What is JSON from its first character to its last is nothing else.
    may_be = named not in (JSON, JSON_LINES) or b'"nbformat"' in data
    return _json_kind(data) if may_be and head.lstrip()[:1] in ("{", "[") else ""


def _json_kind(data: bytes) -> str:
    try:
        value = json.loads(decode(data))
    except (ValueError, RecursionError):
        return ""
    return NOTEBOOK if isinstance(value, dict) and {"cells", "nbformat"} <= value.keys() else JSON


def _is_delimited(text: str) -> bool:
    """Whether the first rows agree on two or more columns, as only a table's do."""
    lines = text.splitlines()[:_CSV_ROWS]
    for delimiter in ",;\t|":
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
        if len(lines) > 1 and len(widths) == 1 and max(widths) > 1:
            return True
    return False


def _unsupported(what: str) -> UnreadableDocument:
    return UnreadableDocument("unsupported", f"The file is {what}.")
