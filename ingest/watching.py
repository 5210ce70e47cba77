"""Folders that are watched: says when something in them has changed, and now and then when nothing was noticed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from watchfiles import Change, DefaultFilter, watch

LOOK_AGAIN = timedelta(minutes=10)
"""What the kernel does not tell of (a mount's far end, rules above the folder) is found by looking again so often."""

# A file that is being written is read once it has been still for so long.
_STILL_MS = 1_000
_MOST_MS = 30_000


def changes(folders: Sequence[Path], home: Path) -> Iterator[None]:
    """Yields once the folders are watched, then after each burst of changes in them, and every `LOOK_AGAIN`.

    What changed before the first time was not noticed, so that is the time to look.
    """
    looked = -math.inf
    for found in watch(
        *folders,
        watch_filter=_OutsideHome(home),
        debounce=_MOST_MS,
        step=_STILL_MS,
        rust_timeout=_STILL_MS,
        yield_on_timeout=True,
        raise_interrupt=True,
        ignore_permission_denied=True,
    ):
        if found or time.monotonic() - looked >= LOOK_AGAIN.total_seconds():
            yield
            looked = time.monotonic()


class _OutsideHome(DefaultFilter):
    """Leaves out the home, which every ingest changes, and what ingests leave out: hidden files and folders."""

    def __init__(self, home: Path) -> None:
        super().__init__(ignore_dirs=(), ignore_entity_patterns=(), ignore_paths=())
        self._home = home.resolve()

    def __call__(self, change: Change, path: str) -> bool:
        where = Path(path)
        return not where.name.startswith(".") and not where.is_relative_to(self._home)
