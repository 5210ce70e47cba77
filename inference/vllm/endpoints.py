"""Several servers of the same model: the one with least to do answers, and one that fails is left out for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

# A server that failed so often in a row is left out; the first pause, doubled each time up to the last, in seconds.
FAILURES_TO_OPEN = 2
FIRST_PAUSE_S = 2.0
LAST_PAUSE_S = 60.0


@dataclass(frozen=True)
class EndpointState:
    """What a server is doing, for metrics and readiness."""

    url: str
    outstanding: int
    open: bool
    """Whether its circuit is open: it is left out because it failed."""


@dataclass(eq=False)
class Endpoint:
    """One server, and what became of the requests it was sent."""

    url: str
    outstanding: int = 0
    failures: int = 0
    pause_s: float = FIRST_PAUSE_S
    closed_from: float = 0.0
    """Until then, on the monotonic clock, it is left out; after it one request tries."""
    probing: bool = False
    served: str = ""
    """The model it said it serves; empty until it was asked."""

    def may_take(self, now: float) -> bool:
        return self.failures < FAILURES_TO_OPEN or (now >= self.closed_from and not self.probing)


@dataclass
class Endpoints:
    """The servers behind one client: a circuit breaker for each (Nygard, Release It!, 2007). Safe between threads."""

    urls: Collection[str]
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._all = [Endpoint(url) for url in self.urls]

    def take(self, besides: Collection[Endpoint] = ()) -> Endpoint | None:
        """The server with the fewest requests under way, which now has one more; None when all are left out."""
        with self._lock:
            now = self.clock()
            able = [one for one in self._all if one not in besides and one.may_take(now)]
            if not able:
                return None
            chosen = min(able, key=lambda one: (one.failures >= FAILURES_TO_OPEN, one.outstanding))
            chosen.outstanding += 1
            chosen.probing = chosen.failures >= FAILURES_TO_OPEN
            return chosen

    def succeeded(self, endpoint: Endpoint) -> None:
        """Its answer came."""
        with self._lock:
            endpoint.outstanding -= 1
            endpoint.failures, endpoint.pause_s, endpoint.probing = 0, FIRST_PAUSE_S, False

    def failed(self, endpoint: Endpoint) -> None:
        """It did not answer, or broke off."""
        with self._lock:
            endpoint.outstanding -= 1
            endpoint.failures += 1
            if endpoint.failures >= FAILURES_TO_OPEN:
                endpoint.closed_from = self.clock() + endpoint.pause_s
                endpoint.pause_s = min(LAST_PAUSE_S, 2 * endpoint.pause_s)
            endpoint.probing = False

    def left(self, endpoint: Endpoint) -> None:
        """The caller left: that tells nothing about the server."""
        with self._lock:
            endpoint.outstanding -= 1
            endpoint.probing = False

    def states(self) -> list[EndpointState]:
        with self._lock:
            return [EndpointState(one.url, one.outstanding, one.failures >= FAILURES_TO_OPEN) for one in self._all]
