"""ZIP containers made and changed by hand, for tests of the formats that are ZIP files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    """An archive with these members, in this order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return buffer.getvalue()


def rewritten(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """An archive with the content of each member changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return zipped({name: change(name, source.read(name)) for name in source.namelist()})


def with_member(data: bytes, name: str, content: str | bytes) -> bytes:
    """An archive with one member replaced or added."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return zipped({member: source.read(member) for member in source.namelist()} | {name: content})
