"""Files compressed by gzip (RFC 1952), bzip2 or xz, opened as streams that end where a bomb would begin."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from typing import Protocol

from core.errors import UnreadableDocument
from ingest.parsing.containers import Budget, refuse_bomb
from ingest.parsing.damage import sign_of
from ingest.parsing.limits import MIB, Limits

COMPRESSED_START = re.compile(rb"\x1f\x8b|BZh[1-9]1AY|\xfd7zXZ\x00")
DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
"""What the libraries raise on broken streams."""

_CHUNK_BYTES = MIB


class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def inflated_head(data: bytes, size: int) -> bytes:
    """The first bytes of what compressed `data` unpacks to; nothing where it cannot be."""
    try:
        return _opened(data).read(size)
    except DAMAGE:
        return b""


def inflated(data: bytes, budget: Budget) -> bytes:
    """What one compressed file holds; raises `UnreadableDocument`: "hostile", "too_large", "malformed"."""
    try:
        content = Inflating(data, budget).read(Limits.input_bytes + 1)
    except DAMAGE as error:
        raise UnreadableDocument(
            "malformed", f"The file is a damaged or cut-off archive ({sign_of(error)}); fetch or save it again."
        ) from error
    if len(content) > Limits.input_bytes:
        raise UnreadableDocument(
            "too_large", f"Unpacked the file has more than {Limits.input_bytes // MIB} MiB; split it."
        )
    return content


class Inflating(io.RawIOBase):
    """The content of a file, compressed or not, until its budget or the ratio of a real file ends."""

    def __init__(self, data: bytes, budget: Budget) -> None:
        super().__init__()
        self._stream = _opened(data)
        self._budget = budget
        self._packed, self._unpacked = len(data), 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """As a file's; raises `UnreadableDocument("hostile")`."""
        pieces = []
        while size:
            piece = self._stream.read(_CHUNK_BYTES if size < 0 else min(size, _CHUNK_BYTES))
            if not piece:
                break
            self._budget.inflate(len(piece))
            self._unpacked += len(piece)
            refuse_bomb(self._packed, self._unpacked)
            pieces.append(piece)
            size -= len(piece) if size > 0 else 0
        return b"".join(pieces)


def _opened(data: bytes) -> _Stream:
    source = io.BytesIO(data)
    if data.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=source)
    if data.startswith(b"BZh"):
        return bz2.BZ2File(source)
    return lzma.LZMAFile(source) if data.startswith(b"\xfd7zXZ\x00") else source
