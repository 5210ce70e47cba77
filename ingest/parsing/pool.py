"""Parsers that stay for the next document: starting the process one works in takes longer than most documents."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ingest.pipeline import Parser


class ParserPool:
    """Parsers lent to one borrower at a time; as many are kept as were ever out at once."""

    def __init__(self, open_parser: Callable[[], Parser]) -> None:
        self._open = open_parser
        self._idle: list[Parser] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def borrowed(self) -> Iterator[Parser]:
        """A parser for one document or several."""
        with self._lock:
            parser = self._idle.pop() if self._idle else self._open()
        try:
            yield parser
        finally:
            with self._lock:
                over = self._closed
                if not over:
                    self._idle.append(parser)
            if over:
                parser.close()

    def close(self) -> None:
        """End the parsers that are idle now, and each that is out when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for parser in idle:
            parser.close()
