"""The ZIP container of office documents, opened only after its declared sizes make sense."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from itertools import pairwise

from core.errors import UnreadableDocument

MEMBERS = 10_000
TOTAL_BYTES = 500 * 1024 * 1024
MEMBER_BYTES = 200 * 1024 * 1024
# Deflate reaches at most 1032:1; XML of real documents stays under 60:1, and only large members can do harm.
RATIO = 200
RATIO_FROM_BYTES = 4 * 1024 * 1024

_LOCAL_HEADER_BYTES = 30  # APPNOTE.TXT 4.3.7, without name and extra field


def checked_members(archive: zipfile.ZipFile) -> list[str]:
    """The names in `archive`, read from its directory without unpacking anything.

    Raises `UnreadableDocument`: "hostile" for sizes that only a decompression bomb declares and for members that
    overlap, "encrypted" for members under a password. `zipfile` never yields more bytes than declared, so the check
    cannot be lied to.
    """
    members = archive.infolist()
    if any(member.flag_bits & 0x1 for member in members):
        raise UnreadableDocument("encrypted", "The file is protected by a password; save it without one.")
    total = sum(member.file_size for member in members)
    if len(members) > MEMBERS or total > TOTAL_BYTES or any(_is_bomb(member) for member in members):
        raise UnreadableDocument(
            "hostile",
            f"The file would unpack to {total:,} bytes in {len(members):,} parts, like a decompression bomb; "
            "it was not opened.",
        )
    if members_overlap(members):
        raise UnreadableDocument("hostile", "The file's parts overlap, like a decompression bomb; it was not opened.")
    return [member.filename for member in members]


def members_overlap(members: Iterable[zipfile.ZipInfo]) -> bool:
    """Whether two members are made of the same bytes, as no program writes them: a bomb that no size gives away.

    Names are left out of the reckoning: those of the local headers may be shorter than the directory's.
    """
    spans = sorted(
        (member.header_offset, member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size) for member in members
    )
    return any(start < end for (_, end), (start, _) in pairwise(spans))


def _is_bomb(member: zipfile.ZipInfo) -> bool:
    ratio = member.file_size / max(1, member.compress_size)
    return member.file_size > MEMBER_BYTES or (member.file_size > RATIO_FROM_BYTES and ratio > RATIO)
