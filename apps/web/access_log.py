"""The access log: one line of JSON on stderr per request."""

from __future__ import annotations

import sys

import structlog
from structlog.typing import FilteringBoundLogger


def access_log(level: str) -> FilteringBoundLogger:
    """A logger on stderr for this level and above; a request is `info`, a bug `error`."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return logger
