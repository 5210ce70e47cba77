"""Threads with a bound on what waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


@dataclass
class Pool:
    """Runs what it is given on `threads` threads while at most `waiting` more wait."""

    threads: int
    waiting: int
    name: str
    _room: threading.BoundedSemaphore = field(init=False, repr=False)
    _executor: ThreadPoolExecutor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._room = threading.BoundedSemaphore(self.threads + self.waiting)
        self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix=self.name)

    def submit(self, work: Callable[[], None]) -> bool:
        """Run `work`, which lets no error out, soon; False, and nothing is run, where too much waits already."""
        if not self._room.acquire(blocking=False):
            return False
        self._executor.submit(self._run, work)
        return True

    def close(self) -> None:
        """Finish what runs and what waits."""
        self._executor.shutdown(wait=True)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._room.release()
