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
_DOCTYPES = tuple("<!DOCTYPE".encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))


def vetted_package(data: bytes) -> bytes:
    """`data`, in the transitional dialect.

    Raises `UnreadableDocument`: "hostile" for a decompression bomb, or where any XML part declares a document type
    (Office writes none, and entities, the way to blow XML up or to reach other files, live there only); "encrypted".
    Raises one of `DAMAGE` for a broken archive.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        checked_members(archive)
        is_strict = [_vetted_part(archive.read(name)) for name in archive.namelist() if _is_xml(name)]
        return _transitional(archive) if any(is_strict) else data


def damaged(what: str, program: str, error: Exception) -> UnreadableDocument:
    """The verdict on a package that its library cannot open."""
    return UnreadableDocument(
        "malformed", f"The {what} is damaged ({sign_of(error)}); open it in {program}, repair it and save it again."
    )


def _is_xml(name: str) -> bool:
    return name.endswith((".xml", ".rels"))


def _vetted_part(part: bytes) -> bool:
    """Whether a part is in the strict dialect."""
    if any(mark in part for mark in _DOCTYPES):
        raise UnreadableDocument("hostile", "The document declares XML entities; it was not opened.")
    return _STRICT in part


def _transitional(archive: zipfile.ZipFile) -> bytes:
    rewritten = io.BytesIO()
    with zipfile.ZipFile(rewritten, "w") as target:
        for name in archive.namelist():
            part = archive.read(name)
            target.writestr(name, _STRICT_NAMESPACE.sub(_TRANSITIONAL, part) if _is_xml(name) else part)
    return rewritten.getvalue()
