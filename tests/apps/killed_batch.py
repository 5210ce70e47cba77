"""Runs one command line and sends its own process SIGKILL, or the signal KILL_WITH, at a step: NAME:before|after:COUNT.

Usage: python killed_batch.py STEP ARGUMENT...
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import apps.cli.batch
from apps.cli.main import run
from generation.service import AskService
from governance import batches
from governance.batch_rows import BatchRows

SIGNAL = signal.Signals[os.environ.get("KILL_WITH", "SIGKILL")]
STEPS: dict[str, tuple[Any, str]] = {
    "load": (batches.Batches, "_add"),
    "begin-row": (BatchRows, "begin"),
    "ask": (AskService, "ask"),
    "keep": (BatchRows, "answered"),
    "write": (apps.cli.batch, "write_file"),
}


def arm(step: str) -> None:
    name, moment, count = step.split(":")
    owner, attribute = STEPS[name]
    original: Callable[..., Any] = getattr(owner, attribute)
    calls, lock = 0, threading.Lock()

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        with lock:
            calls += 1
            now = calls == int(count)
        if now and moment == "before":
            os.kill(os.getpid(), SIGNAL)
        result = original(*arguments, **named)
        if now and moment == "after":
            os.kill(os.getpid(), SIGNAL)
        return result

    setattr(owner, attribute, deadly)


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    batches._SLICE = 4
    run()
