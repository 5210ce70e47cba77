"""Files that are whole or absent: each step of a change is durable before the next."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_WRITTEN_AT_ONCE = 1 << 20
# Whoever has to read from the disk waits for what was written before: hundreds of megabytes are a tenth of a second.
_DURABLE_AT_ONCE = 8 << 20


@dataclass(frozen=True)
class FileRecord:
    """What the manifest remembers of a file, so that a torn or altered one is noticed."""

    size: int
    sha256: str


class Storage:
    """The few operations on files that a publish consists of; a process may be killed between any two of them."""

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> FileRecord:
        """Write a new file and make its content durable."""
        digest, size, durable = hashlib.sha256(), 0, 0
        with path.open("wb") as file:
            for piece in _pieces(parts):
                file.write(piece)
                digest.update(piece)
                size += len(piece)
                if size - durable >= _DURABLE_AT_ONCE:
                    _make_durable(file)
                    durable = size
            _make_durable(file)
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


def _pieces(parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    for part in parts:
        for start in range(0, len(part), _WRITTEN_AT_ONCE):
            yield part[start : start + _WRITTEN_AT_ONCE]


def _make_durable(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
