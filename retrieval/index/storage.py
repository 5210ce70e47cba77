"""Files that are whole or absent: each step of a change is durable before the next."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileRecord:
    """What the manifest remembers of a file, so that a torn or altered one is noticed."""

    size: int
    sha256: str


class Storage:
    """The few operations on files that a publish consists of; a process may be killed between any two of them."""

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> FileRecord:
        """Write a new file and make its content durable."""
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            for part in parts:
                file.write(part)
                digest.update(part)
                size += len(part)
            file.flush()
            os.fsync(file.fileno())
        return FileRecord(size, digest.hexdigest())

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def rename(self, source: Path, target: Path) -> None:
        """Give `source` the name `target` in one step, replacing a file of that name, and make the name durable."""
        source.replace(target)
        self.sync_folder(target.parent)

    def sync_folder(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        """Remove a file or a folder; a reader that has it open or mapped keeps what it has."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
