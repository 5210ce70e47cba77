"""Office Open XML packages (ECMA-376) made fit for the libraries that read them: no entities, one dialect."""

from __future__ import annotations

import io
import re
import zipfile
import zlib

from core.errors import UnreadableDocument
from ingest.parsing.damage import sign_of
from ingest.parsing.office_zip import checked_members

# What zipfile and lxml (its XMLSyntaxError is a SyntaxError) raise on broken packages.
DAMAGE = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, SyntaxError, NotImplementedError)

_STRICT = b"http://purl.oclc.org/ooxml/"
_STRICT_NAMESPACE = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_TRANSITIONAL = rb"http://schemas.openxmlformats.org/\1/2006/\2"
# Templates, slide shows and files with macros are the same document under another media type, which python-docx and
# python-pptx refuse; openpyxl takes its own.
_TYPES = "[Content_Types].xml"
_MAIN_TYPES = (
    (
        re.compile(
            rb"application/vnd\.(?:ms-word\.(?:document\.macroEnabled|template\.macroEnabledTemplate)"
            rb"|openxmlformats-officedocument\.wordprocessingml\.template)\.main\+xml"
        ),
        b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
    ),
    (
        re.compile(
            rb"application/vnd\.(?:ms-powerpoint\.(?:slideshow|template)\.macroEnabled"
            rb"|openxmlformats-officedocument\.presentationml\.(?:slideshow|template))\.main\+xml"
        ),
        b"application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml",
    ),
)
_DOCTYPES = tuple("<!DOCTYPE".encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))


def vetted_package(data: bytes) -> bytes:
    """`data`, in the transitional dialect and as a plain document, whatever it is a template or a show of.

    Raises `UnreadableDocument`: "hostile" for a decompression bomb, or where any XML part declares a document type
    (Office writes none, and entities, the way to blow XML up or to reach other files, live there only); "encrypted".
    Raises one of `DAMAGE` for a broken archive.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        checked_members(archive)
        is_other = [_vetted_part(name, archive.read(name)) for name in archive.namelist() if _is_xml(name)]
        return _rewritten(archive) if any(is_other) else data


def damaged(what: str, program: str, error: Exception) -> UnreadableDocument:
    """The verdict on a package that its library cannot open."""
    return UnreadableDocument(
        "malformed", f"The {what} is damaged ({sign_of(error)}); open it in {program}, repair it and save it again."
    )


def _is_xml(name: str) -> bool:
    return name.endswith((".xml", ".rels"))


def _vetted_part(name: str, part: bytes) -> bool:
    """Whether a part has to be written otherwise for the libraries."""
    if any(mark in part for mark in _DOCTYPES):
        raise UnreadableDocument("hostile", "The document declares XML entities; it was not opened.")
    return _STRICT in part or (name == _TYPES and any(pattern.search(part) for pattern, _ in _MAIN_TYPES))


def _rewritten(archive: zipfile.ZipFile) -> bytes:
    rewritten = io.BytesIO()
    with zipfile.ZipFile(rewritten, "w") as target:
        for name in archive.namelist():
            part = archive.read(name)
            if _is_xml(name):
                part = _STRICT_NAMESPACE.sub(_TRANSITIONAL, part)
            if name == _TYPES:
                for pattern, plain in _MAIN_TYPES:
                    part = pattern.sub(plain, part)
            target.writestr(name, part)
    return rewritten.getvalue()
