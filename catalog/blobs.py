"""The bytes of documents as they came, kept as files named by their SHA-256."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
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
        try:
            with suppress(FileNotFoundError):
                os.utime(path)  # young again for `forget_others`: somebody is about to refer to it
                return name
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

    def forget_others(self, referenced: Container[str], older_than: timedelta) -> int:
        """Remove what is not `referenced` and has not been kept for so long, half-written files too; returns how many.

        A process that was killed leaves such: what it kept and never referred to, or ceased to refer to and kept.
        """
        before, gone = time.time() - older_than.total_seconds(), 0
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):
                if path.name not in referenced and path.stat().st_mtime < before:
                    path.unlink()
                    gone += 1
        return gone

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / name
