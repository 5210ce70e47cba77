"""Whose question is answered first in one process: a person's, before those of a batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.cancellation import Cancellation
from generation.answerer import Writing

# A batch that waits this long goes on beside the people who ask: a busy day slows it down and does not stop it.
PATIENCE_SECONDS = 10.0
# How soon a question that waits notices that nobody wants it any more.
_LOOK_SECONDS = 0.1


class Turns:
    """Counts the questions of people that are being answered, and lets those of batches wait for them."""

    def __init__(self, patience_s: float = PATIENCE_SECONDS) -> None:
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._people = 0

    @contextmanager
    def taken(self, writing: Writing) -> Iterator[None]:
        """Answer one question while the block runs. With priority 0 it begins at once; any other waits first until no
        person's runs, at most its patience, and no longer than it is wanted."""
        if writing.priority:
            self._wait(writing.cancel)
            yield
            return
        with self._changed:
            self._people += 1
        try:
            yield
        finally:
            with self._changed:
                self._people -= 1
                self._changed.notify_all()

    def _wait(self, cancel: Cancellation) -> None:
        until = time.monotonic() + self._patience_s
        with self._changed:
            while self._people and not cancel.cancelled and (left := until - time.monotonic()) > 0:
                self._changed.wait(min(left, _LOOK_SECONDS))
