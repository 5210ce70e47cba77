"""Threads with a bound on what waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Pool:
    """Runs what it is given on `threads` threads while at most `waiting` more wait."""

    def __init__(self, threads: int, waiting: int, name: str) -> None:
        self._most = threads + waiting
        self._taken = 0
        self._counting = threading.Lock()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def submit(self, work: Callable[[], None]) -> bool:
        """Run `work`, which lets no error out, soon; False, and nothing is run, where too much waits already."""
        with self._counting:
            if self._taken >= self._most:
                return False
            self._taken += 1
        self._executor.submit(self._run, work)
        return True

    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        with self._counting:
            return self._taken == 0

    def close(self) -> None:
        """Finish what runs and what waits."""
        self._executor.shutdown(wait=True)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._counting:
                self._taken -= 1
