"""Logs: one line of JSON per event on stderr. What is logged are names, numbers and ids, never what people wrote."""

from __future__ import annotations

import sys

import structlog
from structlog.typing import FilteringBoundLogger


def json_log(level: str, **always: str) -> FilteringBoundLogger:
    """A logger on stderr for this level and above; `always` stands in every line."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return logger.bind(**always)
