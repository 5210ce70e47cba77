"""The command `footnote` as processes of its own, and everything they print."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WAIT_SECONDS = 60.0
_FOOTNOTE = Path(sys.executable).with_name("footnote")


@dataclass(frozen=True)
class Processes:
    """Processes on one home, with settings of their own; `folder` keeps what they print."""

    folder: Path
    settings: Mapping[str, str]

    def run(self, *arguments: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        command = [_FOOTNOTE, *arguments]
        ran = subprocess.run(command, env=self._environment(), capture_output=True, text=True, timeout=WAIT_SECONDS)
        assert ran.returncode == exit_code, ran.stderr
        return ran

    @contextmanager
    def running(self, *arguments: str, ready: str) -> Iterator[tuple[re.Match[str], Path]]:
        """A command that goes on, once it has printed what `ready` matches: the match, and the file of its output.

        It is told to end with the block, and has ended after it.
        """
        log = self.folder / f"{arguments[0]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([_FOOTNOTE, *arguments], env=self._environment(), stdout=out, stderr=out)
        try:
            yield _printed(ready, log, process), log
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(WAIT_SECONDS)
            finally:
                process.kill()
                process.wait()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
        return kept | {f"FOOTNOTE_{name.upper()}": value for name, value in self.settings.items()}


def _printed(ready: str, log: Path, process: subprocess.Popen[bytes]) -> re.Match[str]:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        text = log.read_text(errors="replace")
        if found := re.search(ready, text):
            return found
        assert process.poll() is None and time.monotonic() < until, text
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
