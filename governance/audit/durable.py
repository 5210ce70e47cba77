"""Small files that are on disk whole, or not there at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def create_durably(path: Path, data: bytes) -> bool:
    """Make a file that only its owner reads, on disk before this returns; False if it is there already.

    Of several that try at once one succeeds, and nobody ever sees half a file.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, refuses to replace what somebody else has just put there.
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        Path(temporary).unlink()
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
