"""How much of a call runs without Python's global lock, so that other threads of the process get on meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NEVER_S = 60.0
_IDLE_ROUNDS = 2_000
_RUNNING = 10
"""A probe's round that takes so many times its usual one has waited."""


def lock_freedom(call: Callable[[int], object], calls: int) -> float:
    """The share of the time of `call(0)`, `call(1)`, …, in which a second thread runs Python: 0 to 1.

    The second thread lets go of the lock in every round and is never given it by force, so a long round means that the
    call held it. A core that is taken by other processes makes the share smaller, never larger; there must be two.
    """
    with _never_forced():
        probe = _Probe()
        usual = probe.usual_s()
        shares = []
        for number in range(calls):
            probe.begin()
            call(number)
            shares.append(probe.end(_RUNNING * usual))
    return max(0.0, sorted(shares)[len(shares) * 3 // 4])


@contextmanager
def _never_forced() -> Iterator[None]:
    """Python asks a thread to hand the lock on after some milliseconds; not here."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_NEVER_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class _Probe:
    """Counts the time in which it was free to run, on a thread of its own between `begin` and `end`."""

    def __init__(self) -> None:
        self._over = False
        self._rounds: list[float] = []
        self._began = 0.0
        self._thread = threading.Thread(target=self._run)

    def usual_s(self) -> float:
        """The length of a round while nobody else wants the lock."""
        self._over, self._rounds = False, []
        for _ in range(_IDLE_ROUNDS):
            self._round()
        return sorted(self._rounds)[_IDLE_ROUNDS // 2]

    def begin(self) -> None:
        self._over, self._rounds = False, []
        self._thread = threading.Thread(target=self._run, name="footnote-probe")
        self._thread.start()
        self._began = time.perf_counter()

    def end(self, waited_s: float) -> float:
        """The share of the time since `begin` that went into rounds shorter than `waited_s`."""
        took = time.perf_counter() - self._began
        self._over = True
        self._thread.join()
        return min(1.0, sum(spent for spent in self._rounds if spent < waited_s) / took)

    def _run(self) -> None:
        while not self._over:
            self._round()

    def _round(self) -> None:
        began = time.perf_counter()
        time.sleep(0)  # lets go of the lock, and asks for it again
        self._rounds.append(time.perf_counter() - began)
