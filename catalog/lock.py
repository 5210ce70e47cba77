"""One writer per home: ingestion and index building take turns, and say who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.errors import Transient

_POLL_SECONDS = 0.1


@contextmanager
def writer_lock(file: Path, task: str, wait: timedelta) -> Iterator[None]:
    """Hold the home's writer lock while the block runs; the system lets go of it when a process dies.

    Waits up to `wait` for another writer, then raises `Transient` naming its process, host and task.
    """
    deadline = time.monotonic() + wait.total_seconds()
    with file.open("a+", encoding="utf-8") as handle:
        while not _taken(handle.fileno()):
            if time.monotonic() >= deadline:
                raise Transient(
                    f"{_holder(file)} is writing to this home. Wait for it to finish, or stop it; then run again."
                )
            time.sleep(_POLL_SECONDS)
        _sign(handle.fileno(), task)
        try:
            yield
        finally:
            os.ftruncate(handle.fileno(), 0)
            fcntl.flock(handle.fileno(), fcntl.LOCK_UN)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int, task: str) -> None:
    """Say who holds the lock and for what, for those who wait; on a full disk it is held without a word."""
    since = f"{datetime.now(UTC):%F %T} UTC"
    about = {"pid": os.getpid(), "host": socket.gethostname(), "task": task, "since": since}
    os.ftruncate(descriptor, 0)
    with suppress(OSError):
        os.write(descriptor, json.dumps(about).encode())


def _holder(file: Path) -> str:
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        return f"Process {about['pid']} on {about['host']} ({about['task']}, since {about['since']})"
    except (ValueError, KeyError, OSError):
        return "Another process"
