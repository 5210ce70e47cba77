"""Workers on threads of `footnote serve`, for a home without a broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.logs import json_log
from wiring.home import Home
from workers.doorbell import QUEUES
from workers.run import outlived, run_next
from workers.sweeping import sweep

_LOOK_SECONDS = 0.5
"""How often an idle thread looks for work."""


@contextmanager
def embedded_workers(home: Home, grace_s: float) -> Iterator[None]:
    """Run `home`'s jobs on threads until the block ends.

    Then no job is begun any more, and those in progress have `grace_s` seconds to end. What has not ended by then is
    somebody else's when its lease ends, and can publish nothing afterwards.
    """
    # Built before several threads could each build their own.
    _ = (home.ingestion, home.parsers, home.arrivals, home.ask)
    stop = threading.Event()
    loops: list[Callable[[], None]] = [lambda: _work(home, stop)] * home.settings.job_threads
    loops.append(lambda: _sweep(home, stop))
    threads = [threading.Thread(target=loop, name="footnote-jobs", daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        until = time.monotonic() + grace_s
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def _work(home: Home, stop: threading.Event) -> None:
    log = json_log(home.settings.log_level)
    while not stop.is_set():
        with outlived(log, "no job claimed"):
            if run_next(home, QUEUES, lambda: not stop.is_set()):
                continue
        stop.wait(_LOOK_SECONDS)


def _sweep(home: Home, stop: threading.Event) -> None:
    log = json_log(home.settings.log_level)
    while not stop.wait(home.settings.job_lease_s / 2):
        with outlived(log, "sweep not done"):
            sweep(home)
