"""A command in a process of its own: run to its end, with the time it took and the memory that its tree held."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import Transient
from wiring.environment import inherited

_SAMPLE_SECONDS = 0.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Finished:
    """A command that ended well: seconds from its start to its end, and the most bytes its processes held at once.

    `processor_seconds` are those of all its processes, on all cores.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int
    output: str


def run_alone(command: Sequence[str], environment: Mapping[str, str], niceness: int = 0) -> Finished:
    """Run a command to its end; raises `Transient` with the last line that it said if it fails.

    Memory is resident memory (RSS) of the process and all below it, added up ten times a second: what two of them
    share counts twice.
    """
    began, before = time.monotonic(), _of_children()
    process = subprocess.Popen(
        ["nice", "-n", str(niceness), *command],
        env=inherited(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watch = _Watch(process.pid)
    with watch:
        output, said = process.communicate()
    if process.returncode != 0:
        last = (said.strip() or output.strip() or "it said nothing").splitlines()[-1]
        raise Transient(f"it ended with status {process.returncode} ({last})")
    return Finished(time.monotonic() - began, _of_children() - before, watch.peak_bytes, output)


def _of_children() -> float:
    """The processor time of every process below this one that has ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class _Watch:
    """Samples the memory of a process and all below it until the block ends."""

    def __init__(self, process_id: int) -> None:
        self.peak_bytes = 0
        self._process_id = process_id
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="footnote-memory", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._process_id))
            self._over.wait(_SAMPLE_SECONDS)


def tree_bytes(process_id: int) -> int:
    """The resident memory of a process and all below it now (proc(5)); 0 once it is gone."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                # The name, in parentheses, may hold anything; the parent's id is the second word after it.
                parent = folder.joinpath("stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
                children[int(parent)].append(int(folder.name))
    total, left = 0, [process_id]
    while left:
        one = left.pop()
        left += children[one]
        with suppress(OSError):
            total += int(Path(f"/proc/{one}/statm").read_text("ascii").split()[1]) * _PAGE_BYTES
    return total
