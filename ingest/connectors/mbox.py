"""An mbox file (RFC 4155): its messages as documents. What was appended is read from where it stood before."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.message_names import file_name, header
from ingest.connectors.protocol import CursorExpired, Listed, Page, WithoutPermissions

_PIECE_BYTES = 64 * 1024
"""The longest line that is kept as one; longer ones are read in pieces."""
_HEAD_BYTES = 64 * 1024
# The line that begins a message ends with a date as asctime writes it, whatever stands before (RFC 4155, appendix A).
_POSTMARK = re.compile(rb"From .*\b[A-Z][a-z]{2},? +[A-Z][a-z]{2} +\d{1,2} +\d{1,2}:\d{2}")
_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_QUOTED = re.compile(rb"^>(?=>*From )", re.M)
_MESSAGE_ID = re.compile(r"<?([^<>\s]{1,200})>?")


class MboxSettings(BaseModel):
    """Which file is read, and how its writer protected lines that begin with `From `."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="the mbox file")
    quoting: Literal["mboxrd", "none"] = Field(
        "mboxrd", description="mboxrd: one `>` is taken off lines that begin with `>From `, `>>From ` and so on"
    )
    page_messages: int = Field(500, ge=1, le=10_000, description="messages listed at once")


class Mbox(WithoutPermissions):
    """One file. A message is its Message-ID, and the hash of its bytes too where another one bears the same.

    The file is read through once for each list of changes, in pieces, and not at all where its size, time and inode
    are as they were. A message that a mail program is still writing is read again when it has grown.
    """

    def __init__(self, settings: MboxSettings, max_document_bytes: int = 100_000_000) -> None:
        self._settings, self._limit = settings, max_document_bytes

    def __repr__(self) -> str:
        return f"Mbox({str(self._settings.path)!r})"

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """The messages after those of the cursor; all of them where what stands before is not what it was.

        Raises `CursorExpired` where that happens to a listing that is not at its end.
        """
        known = self._read_cursor(cursor)
        if known is not None and not known.whole and known.file == self._state():
            yield Page((), str(known), last=True)
            return
        if known is not None and not self._begins_as(known):
            if known.whole:
                raise CursorExpired("The file was written anew while it was being listed.")
            known = None
        # A cursor of a listing at its end says so; one that was stopped goes on as it began.
        whole = known is None or known.whole
        yield from self._pages(known.offset if known else 0, whole)

    def fetch(self, document: Listed) -> bytes:
        offset, length = (int(number) for number in document.reference.split())
        with self._opened() as file:
            file.seek(offset)
            if length <= self._limit:
                data = file.read(length)
                if hashlib.sha256(data).hexdigest() == document.revision:
                    return self._plain(data)
            # The file was written anew, and the message may stand elsewhere in it.
            for entry in _entries(file):
                if entry.revision == document.revision:
                    if entry.length > self._limit:
                        raise UnreadableDocument(
                            "too_large", f"It is longer than the limit of {self._limit:,} bytes; split it."
                        )
                    file.seek(entry.offset)
                    return self._plain(file.read(entry.length))
        raise NotFound("message", document.external_id)

    def close(self) -> None:
        """Nothing is kept open."""

    def _pages(self, start: int, whole: bool) -> Iterator[Page]:
        state, taken = self._state(), set[str]()
        listed: list[Listed] = []
        digest, offset, last = hashlib.sha256(), 0, 0
        with self._opened() as file, self._opened() as again:

            def hashed_to(end: int) -> str:
                nonlocal offset
                for piece in _pieces(again, end - offset):
                    digest.update(piece)
                offset = end
                return digest.copy().hexdigest()

            for entry in _entries(file):
                external_id = entry.id if entry.id not in taken else f"{entry.id}#{entry.revision[:16]}"
                taken.add(external_id)
                last = entry.offset
                if entry.offset < start:
                    continue
                if len(listed) == self._settings.page_messages:
                    # The cursor stands before this message.
                    reached = self._cursor(entry.offset, hashed_to(entry.offset), whole, ())
                    yield Page(listed, reached, whole=whole)
                    listed = []
                listed.append(self._listed(external_id, entry))
            if not taken and offset < state[2]:
                raise SourceRefused(
                    f"{self._settings.path} holds no message that begins with a `From ` line; name an mbox file."
                )
            # And at last before the last one, which may not be whole yet.
            yield Page(listed, self._cursor(last, hashed_to(last), False, state), whole=whole, last=True)

    def _listed(self, external_id: str, entry: _Entry) -> Listed:
        return Listed(
            external_id=external_id,
            name=entry.name,
            uri=f"{self._settings.path.absolute().as_uri()}?message={quote(external_id, safe='')}",
            revision=entry.revision,
            reference=f"{entry.offset} {entry.length}",
        )

    def _plain(self, data: bytes) -> bytes:
        """A message without the line that begins it, and with what was quoted in it as it was."""
        message = data.partition(b"\n")[2]
        return _QUOTED.sub(b"", message) if self._settings.quoting == "mboxrd" else message

    def _begins_as(self, known: _MboxCursor) -> bool:
        digest, read = hashlib.sha256(), 0
        with self._opened() as file:
            for piece in _pieces(file, known.offset):
                digest.update(piece)
                read += len(piece)
        return read == known.offset and digest.hexdigest() == known.before

    def _state(self) -> tuple[int, ...]:
        with self._opened() as file:
            found = os.fstat(file.fileno())
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def _opened(self) -> BinaryIO:
        path = self._settings.path
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError) as error:
            # It may be on a disk that is not there at the moment; that is no reason to forget its messages.
            raise Transient(f"{path} is not there.") from error
        except PermissionError as error:
            raise SourceRefused(f"{path} may not be read; give the service the right to read it.") from error
        except OSError as error:
            raise Transient(f"{path} cannot be read ({error.strerror}).") from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise SourceRefused(f"{path} is no file; name an mbox file.")
        return file

    def _of(self) -> str:
        return fingerprint("mbox", 1, self._settings.path)

    def _cursor(self, offset: int, before: str, whole: bool, file: tuple[int, ...]) -> str:
        return str(_MboxCursor(of=self._of(), offset=offset, before=before, whole=whole, file=file))

    def _read_cursor(self, cursor: str | None) -> _MboxCursor | None:
        return None if cursor is None else read_cursor(_MboxCursor, cursor, self._of())


def open_mbox(settings: MboxSettings, secret: SecretStr | None, max_document_bytes: int = 100_000_000) -> Mbox:
    """An mbox file; it needs no credential."""
    return Mbox(settings, max_document_bytes)


class _MboxCursor(Cursor):
    """`before` is the hash of the bytes before `offset`; `file` is what the system said of the file after reading."""

    offset: int
    before: str
    whole: bool
    file: tuple[int, ...] = Field(strict=False)


@dataclass
class _Entry:
    """A message as it stands in the file, its first line included; `revision` is the hash of those bytes."""

    offset: int
    length: int = 0
    head: bytearray = field(default_factory=bytearray)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def revision(self) -> str:
        return self.digest.hexdigest()

    @property
    def name(self) -> str:
        return file_name(bytes(self.head))

    @property
    def id(self) -> str:
        found = _MESSAGE_ID.fullmatch(header(bytes(self.head), "Message-ID").strip())
        return found[1] if found else self.revision

    def take(self, line: bytes, is_head: bool) -> None:
        self.digest.update(line)
        if is_head and self.length and len(self.head) < _HEAD_BYTES:
            self.head += line
        self.length += len(line)


def _entries(file: BinaryIO) -> Iterator[_Entry]:
    """The messages of a file from its beginning, each in a few lines of memory.

    A line begins one if it says `From `, follows an empty line (or nothing), and either bears a date or is followed by
    a header: sentences that begin with the word are told apart even where the writer did not quote them.
    """
    file.seek(0)
    offset, entry = 0, None
    begins, blank, is_head = True, True, False
    line = file.readline(_PIECE_BYTES)
    while line:
        following = file.readline(_PIECE_BYTES)
        if begins and blank and line.startswith(b"From ") and (_POSTMARK.match(line) or _HEADER.match(following)):
            if entry is not None:
                yield entry
            entry, is_head = _Entry(offset), True
        if entry is not None:
            entry.take(line, is_head)
        # A long line is read in pieces, of which only the first begins a line.
        blank = begins and line in (b"\n", b"\r\n")
        begins = line.endswith(b"\n")
        is_head = is_head and not blank
        offset += len(line)
        line = following
    if entry is not None:
        yield entry


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (piece := file.read(min(1024 * 1024, length))):
        yield piece
        length -= len(piece)
