"""Workers as processes of their own, for tests that kill and stop them; the encoder waits while a gate is closed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from catalog.job_records import JobView, list_jobs
from core.principals import EVERYONE, parse_principal
from core.settings import Settings
from governance.access.rules import AccessLists, Decision
from ingest.arrivals import Expected
from ingest.ledger import Ledger
from wiring.home import Home
from workers.doorbell import ring

ANA = parse_principal("user:ana")
SOURCE = "uploads"
GROUP = "documents"
WAIT_SECONDS = 60.0


@dataclass
class Workers:
    """The workers of one home. While the file `gate` is there, whoever embeds a text with the word `held` waits."""

    home: Home
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """The workers that have not been killed."""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """`footnote worker` with these options."""
        command = [sys.executable, str(Path(__file__).with_name("held_worker.py")), str(self.gate), "worker", *options]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, env=_environment(self.home.settings), stdout=log, stderr=log)
        self.processes.append(process)
        self.started.append(process)
        return process

    def add(self, *names: str, text: str = "a text about leave") -> list[str]:
        """Put documents down, each with its job; returns the jobs' ids."""
        ledger = Ledger(self.home.catalog, SOURCE, "upload:uploads")
        ledger.register([], None)
        decision = Decision(AccessLists(frozenset({EVERYONE})), "test")
        documents = [
            Expected(
                name, f"upload:{name}", decision, self.home.blobs.keep(f"# {name}\n\n{name} is {text}.\n".encode())
            )
            for name in names
        ]
        with self.home.catalog.write() as session:
            return self.home.arrivals.expect(session, SOURCE, documents, GROUP)

    def ring(self, ids: Sequence[str]) -> None:
        ring(self.home, ids)

    def jobs(self, *states: str) -> list[JobView]:
        return [job for job in list_jobs(self.home.catalog, 1000, states) if job.kind == "ingest"]

    def wait(self, what: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, f"{self.jobs()}\n{self.log[-4000:]}"
            time.sleep(0.05)

    def wait_all_done(self, names: Sequence[str], seconds: float = WAIT_SECONDS) -> None:
        """Wait until every job is done, and see that each document is there once, whole, and in the index."""
        self.wait(lambda: bool(jobs := self.jobs()) and all(job.state == "done" for job in jobs), seconds)
        documents = self.home.gate.documents(ANA)
        assert sorted(view.external_id for view in documents) == sorted(names)
        assert {view.version for view in documents} == {1}
        rows = [hit.passage.external_id for hit in self.home.searcher.search("leave", ANA, 1000).hits]
        assert sorted(rows) == sorted(names)
        assert len(self.home.index_reader.snapshot().rows()) == len(names)

    def wait_for_holder(self) -> int:
        """Wait until a worker has stopped at the gate; the id of the process that does the job."""
        at_gate = self.folder / "gate.reached"
        self.wait(at_gate.exists)
        self.wait(lambda: bool(at_gate.read_text()))
        return int(at_gate.read_text())

    def holders(self) -> list[int]:
        """The processes that have a job in hand."""
        return [int(job.worker.split(":")[1]) for job in self.jobs("running") if job.worker]

    def family(self, process: subprocess.Popen[bytes]) -> list[int]:
        """The process ids of a worker and everything it has started."""
        return [process.pid, *_children(process.pid)]

    def limit_files(self, limit: int) -> None:
        """Let no file grow over so many bytes under the hands of any worker, as on a full disk."""
        for process in self.processes:
            for pid in self.family(process):
                # A parser process writes nothing, and it may be that nobody may change its limits.
                with suppress(ProcessLookupError, PermissionError):
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def open_gate(self) -> None:
        self.gate.unlink()
        (self.folder / "gate.reached").unlink(missing_ok=True)

    def end(self) -> None:
        for process in self.started:
            children = _children(process.pid)
            for pid in (process.pid, *children):
                with_signal(pid, signal.SIGKILL)
            process.wait()


@contextmanager
def workers(home: Home, folder: Path) -> Iterator[Workers]:
    folder.mkdir()
    found = Workers(home, folder)
    try:
        yield found
    finally:
        found.end()


def with_signal(pid: int, number: int) -> None:
    """Send a signal to a process, if it is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(path.parent.name)
            found += [child, *_children(child)]
    return found


def _environment(settings: Settings) -> dict[str, str]:
    assert settings.redis_url is not None
    chosen = {
        "HOME": str(settings.home),
        "EMBEDDING_MODEL": settings.embedding_model,
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "JOB_LEASE_S": str(settings.job_lease_s),
        "WRITER_WAIT_S": str(settings.writer_wait_s),
        "PARSER_TIMEOUT_S": str(settings.parser_timeout_s),
    }
    if settings.database_url is not None:
        chosen["DATABASE_URL"] = settings.database_url.get_secret_value()
    return {**os.environ, **{f"FOOTNOTE_{name}": value for name, value in chosen.items()}}
