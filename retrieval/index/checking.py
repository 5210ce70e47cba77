"""Checking: a segment's bytes are what was written, before anything else reads them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from core.errors import IndexDamaged
from retrieval.index.manifest import MERGING, REBUILD, SEGMENTS, SegmentRecord
from retrieval.index.storage import FileRecord, sha256_of

Check = Callable[[Path, FileRecord], None]
"""Raises `IndexDamaged` for a file that is not what was written, and `FileNotFoundError` for one that is gone."""

CHECKED = "checked.json"

# What is large and decides nothing but scores. Codes, rows and whatever else says which chunk is meant are read whole
# at every opening, whatever their size.
REMEMBERED_FILES = ("vectors.npy", "chunks.npy", "frequencies.npy")

# Smaller files are read at every opening as well: that takes at most 10 ms each.
_REMEMBERED_FROM_BYTES = 16 * 2**20

# Within one tick of the kernel's clock a change leaves the times of a file as they were: a file is remembered once so
# much has passed since its last change (Git's index calls such entries "racily clean").
_TICK_NS = 100_000_000

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def check_whole(path: Path, file: FileRecord) -> None:
    """Read every byte of a file; a `Check`."""
    if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
        raise damaged(path)


def check_segment(folder: Path, record: SegmentRecord, check: Check) -> None:
    """Check every file of a segment; raises `IndexDamaged` naming the first that is missing or not what was written."""
    for name, file in record.files.items():
        path = folder / record.id / name
        try:
            check(path, file)
        except FileNotFoundError as error:
            raise damaged(path) from error


def damaged(path: Path) -> IndexDamaged:
    return IndexDamaged(f"The index is damaged: {path} is missing or not what was written. To repair it, {REBUILD}.")


class Checks:
    """Checks the files of the index in `folder`, and remembers across processes which large ones were read whole.

    A file is remembered by its inode, size and times, until the machine starts again: whatever is written over it,
    copied in its place or torn by a power cut is read anew. What decays on the disk without a trace is found by
    `check_remembered`, which a service runs in the background; until then it can move a score, and never which text a
    score stands for. Safe to share between threads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def __call__(self, path: Path, file: FileRecord) -> None:
        """A `Check` that reads a large file only where no process of this machine has read it as it stands."""
        status = path.stat()
        if status.st_size != file.size:
            raise damaged(path)
        if not _may_be_remembered(path.name, file):
            check_whole(path, file)
            return
        if self._remembered().get(self._name(path)) != _identity(status, file):
            self._read_whole(path, file)

    def check_remembered(self, records: Iterable[SegmentRecord]) -> None:
        """Read again the large files that opening takes on trust; as `check_segment`, and one that is damaged is
        forgotten."""
        for record in records:
            for name, file in record.files.items():
                if _may_be_remembered(name, file):
                    path = self._folder / SEGMENTS / record.id / name
                    with suppress(FileNotFoundError):  # a newer generation explains it, or opening that one names it
                        self._read_whole(path, file)

    def _read_whole(self, path: Path, file: FileRecord) -> None:
        before = path.stat()
        try:
            check_whole(path, file)
        except IndexDamaged:
            self._note(self._name(path), None)
            raise
        after = path.stat()
        settled = time.time_ns() - after.st_ctime_ns > _TICK_NS
        if settled and _identity(before, file) == _identity(after, file):
            self._note(self._name(path), _identity(after, file))

    def _name(self, path: Path) -> str:
        """The segment and the file: the same wherever the segment was written."""
        return f"{path.parent.name}/{path.name}"

    def _remembered(self) -> dict[str, str]:
        """What was read since the machine started; nothing where the note is missing, of before, or damaged itself."""
        try:
            note = json.loads((self._folder / CHECKED).read_bytes())
            return dict(note["files"]) if note["boot"] == _boot() else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _note(self, name: str, identity: str | None) -> None:
        """Remember or forget a file. Two processes may undo each other's note: the file is then read once more."""
        with self._lock, suppress(OSError):
            files = {
                other: kept
                for other, kept in self._remembered().items()
                if other != name and any((self._folder / place / other).exists() for place in (SEGMENTS, MERGING))
            }
            if identity is not None:
                files[name] = identity
            temporary = self._folder / f"{CHECKED}.new"
            temporary.write_text(json.dumps({"boot": _boot(), "files": files}))
            temporary.replace(self._folder / CHECKED)


def _may_be_remembered(name: str, file: FileRecord) -> bool:
    return name in REMEMBERED_FILES and file.size >= _REMEMBERED_FROM_BYTES


def _identity(status: os.stat_result, file: FileRecord) -> str:
    times = f"{status.st_mtime_ns}:{status.st_ctime_ns}"
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{times}:{file.sha256}"


def _boot() -> str:
    """Changes when the machine starts; where the system does not say, nothing is remembered for long."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return f"process {os.getpid()}"
