"""The command `footnote`, except that answering a question with the word `held` waits while a file is there.

    held_batch_worker.py GATE ARGUMENT...

It is told that somebody waits by the process id in GATE.reached. A question with the word `deadly` ends the process.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from apps.cli.main import run
from generation.service import AskService

GATE = Path(sys.argv.pop(1))
ask = AskService.ask


def held_ask(self: AskService, question: str, *arguments: Any) -> Any:
    if "deadly" in question:
        os.kill(os.getpid(), signal.SIGKILL)
    if "held" in question and GATE.exists():
        Path(f"{GATE}.reached").write_text(str(os.getpid()))
        while GATE.exists():
            time.sleep(0.02)
    return ask(self, question, *arguments)


AskService.ask = held_ask  # type: ignore[method-assign]
run()
