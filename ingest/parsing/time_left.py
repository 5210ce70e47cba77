"""The time that one document has in its parser process, and how recognizing a picture of text gets more of it."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingest.parsing.limits import ALARM_SECONDS

# What a page of close print takes of an idle processor, until one has been timed; a busy one takes longer.
_PAGE_SECONDS = 6.0
_SPREAD = 1.5
# For everything after the last page; and the alarm rings later than the time that a document has.
_RESERVE_SECONDS = 5.0 + ALARM_SECONDS

_ask: Callable[[], None] | None = None


def seconds_left() -> float:
    """Until the alarm that would end this parser process; without end where none is set."""
    return signal.getitimer(signal.ITIMER_REAL)[0] or math.inf


@contextmanager
def more_time_from(ask: Callable[[], None]) -> Iterator[None]:
    """Within this block a picture to recognize asks so for time; what is not granted shows in `seconds_left`."""
    global _ask
    _ask = ask
    try:
        yield
    finally:
        _ask = None


@dataclass
class PictureTime:
    """Whether the time suffices for one picture more, as slow as the slowest before it."""

    left: Callable[[], float] = seconds_left
    slowest: float = _PAGE_SECONDS

    def suffices(self) -> bool:
        """Ask for the time of one picture more; whether there is enough of it."""
        if _ask is not None:
            _ask()
        return self.left() >= _SPREAD * self.slowest + _RESERVE_SECONDS

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Time what is done in this block."""
        began = time.monotonic()
        yield
        self.slowest = max(self.slowest, time.monotonic() - began)
