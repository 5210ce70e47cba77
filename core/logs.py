"""Logs: one line of JSON per event on stderr. What is logged are names, numbers and ids, never what people wrote.

Nothing depends on them: a line that cannot be written is lost, and whoever logged it goes on.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
from structlog.typing import FilteringBoundLogger


def json_log(level: str, **always: str) -> FilteringBoundLogger:
    """A logger on stderr for this level and above; `always` stands in every line."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return logger.bind(**always)


class _Lines(structlog.WriteLogger):
    """Lines on a stream whose disk may be full, or whose reader may be gone."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


def frames_of(error: BaseException) -> list[str]:
    """Where it happened. The message stays out: it may quote a document or a question."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]


@contextmanager
def libraries_logged(log: FilteringBoundLogger) -> Iterator[None]:
    """Log what libraries warn of, and errors that end a thread, as events of ours: who and where, never their words."""
    handler, before = _AsEvents(log), threading.excepthook
    logging.getLogger().addHandler(handler)
    threading.excepthook = lambda thread: _ended(log, thread)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        threading.excepthook = before


class _AsEvents(logging.Handler):
    """Python's own logging, as events. Messages and their arguments may hold anything, an exception's text too."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, object] = {"logger": record.name, "line": f"{record.pathname}:{record.lineno}"}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            facts |= {"error": type(error).__name__, "at": frames_of(error)}
        self._log.log(record.levelno, "library", **facts)


def _ended(log: FilteringBoundLogger, thread: threading.ExceptHookArgs) -> None:
    facts: dict[str, object] = {"error": thread.exc_type.__name__}
    if thread.exc_value is not None:
        facts["at"] = frames_of(thread.exc_value)
    log.error("thread failed", thread=thread.thread.name if thread.thread else None, **facts)
