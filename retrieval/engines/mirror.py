"""A folder that mirrors files which a database keeps: what is missing is fetched, what is new is told."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from retrieval.index.manifest import MANIFEST, SEGMENTS
from retrieval.index.storage import FileRecord, Storage, sha256_of

_UNFINISHED = ".new"
_LOCK = ".lock"

Fetch = Callable[[FileRecord], Iterable[bytes]]
"""The bytes of a file, in parts."""


class Mirror:
    """An index's segments and manifest in `folder`, as some database has them. Files but the manifest never change."""

    def __init__(self, folder: Path, storage: Storage | None = None) -> None:
        self.folder = folder
        self._storage = storage or Storage()
        self._seen: dict[str, tuple[tuple[int, ...], FileRecord]] = {}

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the folder against other processes that mirror the same; it is made where there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"mirror{_LOCK}").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def pull(self, files: Mapping[str, FileRecord], fetch: Fetch) -> None:
        """Make the folder hold exactly `files`; the manifest comes last, so that it never names what is not there.

        A file of the right size stays; for one that was altered without that, see `forget`.
        """
        for name, record in sorted(files.items(), key=lambda file: file[0] == MANIFEST):
            path = self.folder / name
            if name != MANIFEST and path.is_file() and path.stat().st_size == record.size:
                continue
            if name == MANIFEST and path.is_file() and sha256_of(path) == record.sha256:
                continue
            self._storage.make_folder(path.parent)
            temporary = path.with_name(f"{path.name}{_UNFINISHED}")
            self._storage.write(temporary, list(fetch(record)))
            self._storage.rename(temporary, path)
        for path in self._paths():
            if path.relative_to(self.folder).as_posix() not in files:
                path.unlink(missing_ok=True)

    def files(self) -> dict[str, FileRecord]:
        """Every finished file by its path in the folder."""
        found: dict[str, FileRecord] = {}
        for path in self._paths():
            if path.name.endswith(_UNFINISHED) or path.parent.name.endswith(_UNFINISHED):
                continue
            status = path.stat()
            name = path.relative_to(self.folder).as_posix()
            version = status.st_ino, status.st_mtime_ns, status.st_size
            known = self._seen.get(name)
            if known is None or known[0] != version:
                known = version, FileRecord(status.st_size, sha256_of(path))
            found[name] = known[1]
            self._seen[name] = known
        self._seen = {name: self._seen[name] for name in found}
        return found

    def forget(self) -> None:
        """Remove the files, so that the next pull fetches all of them."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        """The manifest and what is among the segments; locks and what is remembered of checks belong to the machine."""
        return [path for path in (self.folder / MANIFEST, *(self.folder / SEGMENTS).rglob("*")) if path.is_file()]
