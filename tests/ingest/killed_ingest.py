"""Runs one ingest and kills its own process with SIGKILL at the step it is told: NAME:before|after:COUNT.

Usage: python killed_ingest.py HOME FOLDER STEP
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from organization import bring_in

import ingest.pipeline
from catalog.blobs import Blobs
from core.settings import Settings
from ingest.indexing import IndexPublisher
from ingest.ledger import Ledger
from retrieval.index import IndexWriter
from wiring.lifecycle import open_home

STEPS: dict[str, tuple[Any, str]] = {
    "keep-bytes": (Blobs, "keep"),
    "narrow-access": (Ledger, "narrow_access"),
    "stage": (Ledger, "stage"),
    "write-index": (IndexWriter, "publish"),
    "publish-generation": (IndexPublisher, "publish"),
    "make-current": (Ledger, "publish"),
    "move": (Ledger, "move"),
    "fail": (Ledger, "fail"),
    "delete": (ingest.pipeline, "delete_documents"),
}


def arm(step: str) -> None:
    name, moment, count = step.split(":")
    owner, attribute = STEPS[name]
    original: Callable[..., Any] = getattr(owner, attribute)
    calls = 0

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == int(count) and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **named)
        if calls == int(count) and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, attribute, deadly)


if __name__ == "__main__":
    home_folder, folder, step = sys.argv[1:]
    arm(step)
    ingest.pipeline.BATCH_CHUNKS = 3
    with open_home(Settings(home=Path(home_folder), embedding_model="hashing")) as home:
        bring_in(home, Path(folder), prune="yes", allow=None)
