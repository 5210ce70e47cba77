"""ZIP and TAR: folders in one file. Their members are documents of their own; an archive itself lists them."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from core.documents import Attachment, BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, table_row
from ingest.parsing.compression import DAMAGE, Inflating
from ingest.parsing.containers import Budget, OverBudget, no_room, refuse_bomb
from ingest.parsing.damage import sign_of
from ingest.parsing.detection import TAR, ZIP
from ingest.parsing.member_names import safe_path, unused
from ingest.parsing.office_zip import members_overlap

LISTED = 1_000
"""Members that the archive's own text names; the others are documents all the same."""

# What operating systems and version control put beside documents; a folder's hidden files are left out as well.
_BESIDE = ("__MACOSX", "Thumbs.db", "desktop.ini", "access.yaml")
_ENCRYPTED = 0x1  # APPNOTE.TXT 4.4.4, bit 0
_UTF8_NAME = 0x800  # bit 11

_DAMAGE = (*DAMAGE, tarfile.TarError, zipfile.BadZipFile)


@dataclass(frozen=True)
class _Member:
    path: str
    size: int
    data: bytes = b""
    refusal: UnreadableDocument | None = None


def parse_zip(data: bytes, budget: Budget | None = None) -> Parsed:
    """Every file in a ZIP archive as an attachment under its path made safe; folders, links and devices are none.

    A member that is encrypted, damaged, too large or compressed in a way we do not know is a refusal of its own.
    Raises `UnreadableDocument`: "hostile" for overlapping members and sizes that only a bomb declares, "encrypted"
    where every member is, "malformed", "empty".
    """
    budget = budget or Budget()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            budget.enter(len(infos))
            _refuse_bombs(infos, budget, len(data))
            files = [info for info in infos if _is_zip_file(info)]
            if files and all(info.flag_bits & _ENCRYPTED for info in files):
                raise UnreadableDocument("encrypted", "The archive is protected by a password; save it without one.")
            return _archive(ZIP, _zip_members(archive, files, budget.carried_bytes))
    except _DAMAGE as error:
        raise _damaged(error) from error


def parse_tar(data: bytes, budget: Budget | None = None) -> Parsed:
    """Every file in a TAR archive, compressed or not, as `parse_zip` does it."""
    budget = budget or Budget()
    try:
        stream = Inflating(data, budget)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            return _archive(TAR, _tar_members(archive, budget))
    except _DAMAGE as error:
        raise _damaged(error) from error


def _refuse_bombs(infos: list[zipfile.ZipInfo], budget: Budget, packed: int) -> None:
    """Check what the directory declares before anything is unpacked; `zipfile` never yields more than that."""
    total = sum(info.file_size for info in infos)
    budget.inflate(total)
    refuse_bomb(packed, total)
    if members_overlap(infos):
        raise UnreadableDocument(
            "hostile", "The archive's members overlap, like a decompression bomb; it was not read."
        )


def _is_zip_file(info: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return not info.is_dir() and kind in (0, stat.S_IFREG) and not _is_beside(_zip_name(info))


def _is_beside(path: str) -> bool:
    steps = path.replace("\\", "/").split("/")
    return any(step in _BESIDE or (step.startswith(".") and step.strip(". ")) for step in steps)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The member's name; many programs write UTF-8 without saying so, which `zipfile` takes for code page 437."""
    if info.flag_bits & _UTF8_NAME:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _zip_members(archive: zipfile.ZipFile, files: list[zipfile.ZipInfo], room: int) -> Iterator[_Member]:
    for info in files:
        member = _zip_member(archive, info, room)
        room -= len(member.data)
        yield member


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, room: int) -> _Member:
    path = _zip_name(info)
    if info.flag_bits & _ENCRYPTED:
        reason = "This member of the archive is protected by a password; save it without one."
        return _Member(path, info.file_size, refusal=UnreadableDocument("encrypted", reason))
    if info.file_size > room:
        return _Member(path, info.file_size, refusal=no_room())
    try:
        return _Member(path, info.file_size, archive.read(info))
    except NotImplementedError:
        reason = "This member is compressed in a way that is not read; unpack the archive and bring in the files."
        return _Member(path, info.file_size, refusal=UnreadableDocument("unsupported", reason))
    except (*_DAMAGE, RuntimeError) as error:
        return _Member(path, info.file_size, refusal=_damaged(error))


def _tar_members(archive: tarfile.TarFile, budget: Budget) -> Iterator[_Member]:
    room = budget.carried_bytes
    for info in archive:
        budget.enter()
        if info.size > budget.inflated_bytes:
            # `tarfile` would look for its end.
            raise OverBudget(f"claims a member of {info.size:,} bytes")
        if not info.isreg() or _is_beside(info.name):
            continue
        if info.size > room:
            yield _Member(info.name, info.size, refusal=no_room())
            continue
        stream = archive.extractfile(info)
        content = stream.read() if stream else b""
        if len(content) < info.size:
            raise EOFError("the archive ends within a member")
        room -= len(content)
        yield _Member(info.name, info.size, content)


def _archive(media_type: str, members: Iterator[_Member]) -> Parsed:
    """The listing as a table, and the members as attachments; empty files are listed only."""
    taken: set[str] = set()
    attachments = []
    rows = [table_row(["file", "bytes"])]
    for count, member in enumerate(members, start=1):
        name = unused(safe_path(member.path) or "file", taken)
        if count <= LISTED:
            rows.append(table_row([name, str(member.size)]))
        if member.data or member.refusal:
            attachments.append(Attachment(name, member.data, member.refusal))
    if not taken:
        raise UnreadableDocument("empty", "The archive holds no files; there is nothing to index.")
    assembly = Assembly()
    assembly.add(BlockKind.TABLE, "\n".join(rows))
    if len(taken) > LISTED:
        assembly.add(BlockKind.PARAGRAPH, f"and {len(taken) - LISTED:,} files more")
    parsed = assembly.parsed(media_type)
    return Parsed(parsed.text, parsed.blocks, parsed.title, media_type, parsed.metadata, tuple(attachments))


def _damaged(error: Exception) -> UnreadableDocument:
    return UnreadableDocument(
        "malformed", f"The file is a damaged or cut-off archive ({sign_of(error)}); fetch or save it again."
    )
