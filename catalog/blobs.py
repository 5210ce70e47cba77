"""The bytes of documents as they came, kept as files named by their SHA-256."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from core.documents import content_hash
from core.errors import LimitExceeded, NotFound


@dataclass(frozen=True)
class Blobs:
    """A folder of immutable files; the same bytes are kept once."""

    folder: Path

    def keep(self, data: bytes) -> str:
        """Store bytes durably and return their hash. Raises `LimitExceeded` when the disk is full."""
        name = content_hash(data)
        path = self._path(name)
        if path.exists():
            return name
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).rename(path)
        except OSError as error:
            raise LimitExceeded(
                f"A document could not be kept in {self.folder} ({error.strerror}). Free disk space and run again; "
                "what was brought in before is kept."
            ) from error
        return name

    def read(self, name: str) -> bytes:
        """The bytes with this hash; raises `NotFound`."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as error:
            raise NotFound("content", name) from error

    def forget(self, name: str) -> None:
        """Remove the bytes with this hash, if they are there."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / name
