"""One writer per home: ingestion and index building take turns, and say who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
        handle.truncate(0)
        handle.write(
            json.dumps(
                {
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "task": task,
                    "since": f"{datetime.now(UTC):%F %T} UTC",
                }
            )
        )
        handle.flush()
        try:
            yield
        finally:
            handle.truncate(0)
            fcntl.flock(handle.fileno(), fcntl.LOCK_UN)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: Path) -> str:
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        return f"Process {about['pid']} on {about['host']} ({about['task']}, since {about['since']})"
    except (ValueError, KeyError, OSError):
        return "Another process"
