"""The ZIP container of office documents, opened only after its declared sizes make sense."""

from __future__ import annotations

import zipfile

from core.errors import UnreadableDocument

MEMBERS = 10_000
TOTAL_BYTES = 500 * 1024 * 1024
MEMBER_BYTES = 200 * 1024 * 1024
# Deflate reaches at most 1032:1; XML of real documents stays under 60:1, and only large members can do harm.
RATIO = 200
RATIO_FROM_BYTES = 4 * 1024 * 1024


def checked_members(archive: zipfile.ZipFile) -> list[str]:
    """The names in `archive`, read from its directory without unpacking anything.

    Raises `UnreadableDocument`: "hostile" for sizes that only a decompression bomb declares, "encrypted" for members
    under a password. `zipfile` never yields more bytes than declared, so the check cannot be lied to.
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
    return [member.filename for member in members]


def _is_bomb(member: zipfile.ZipInfo) -> bool:
    ratio = member.file_size / max(1, member.compress_size)
    return member.file_size > MEMBER_BYTES or (member.file_size > RATIO_FROM_BYTES and ratio > RATIO)
