"""Storage of an index that breaks at a chosen step, as a process that is killed or a disk that fails does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from retrieval.index.storage import FileRecord, Storage


class BreakingAt(Storage):
    """Calls `break_down` at the n-th step, counted from 0, and at every later one unless `once`.

    What breaks down at a write has written half of its content.
    """

    def __init__(self, step: int, break_down: Callable[[], object], once: bool = False) -> None:
        self.left = step
        self._break_down, self._once = break_down, once

    def _step(self) -> None:
        self.left -= 1
        if self.left == -1 or (self.left < 0 and not self._once):
            self._break_down()

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> FileRecord:
        parts = list(parts)
        if self.left == 0:
            whole = b"".join(parts)
            path.write_bytes(whole[: len(whole) // 2])
        self._step()
        return super().write(path, parts)

    def make_folder(self, path: Path) -> None:
        self._step()
        super().make_folder(path)

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)

    def sync_folder(self, path: Path) -> None:
        self._step()
        super().sync_folder(path)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)
