"""Running one job: claimed, kept alive while it works, and what became of it put on record."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from structlog.typing import FilteringBoundLogger

from catalog.job_queue import ClaimedJob, JobQueue
from core.errors import (
    AuditUnavailable,
    Conflict,
    FootnoteError,
    LeaseLost,
    LimitExceeded,
    NotFound,
    Transient,
    UnreadableDocument,
    WrongUsage,
)
from core.logs import frames_of, json_log
from ingest.pipeline import PASSING_VERDICTS
from wiring.home import Home
from workers.functions import JOB_FUNCTIONS

# Signs of life in one lease: two may be missed.
_BEATS_PER_LEASE = 3
# A neighbour is away, or a disk is full: every other job would meet the same, so it costs none of them an attempt.
_NOT_ITS_FAULT = (Transient, AuditUnavailable, LimitExceeded)


def worker_name() -> str:
    """This process and thread, as the table of jobs names who has a job."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"


def run_next(home: Home, queues: Sequence[str]) -> bool:
    """Do the job whose turn it is; False when none waits.

    Raises `Transient` when the catalog cannot be reached, and `LimitExceeded` when its disk is full.
    """
    job = home.jobs.claim(worker_name(), queues)
    if job is None:
        return False
    run_claimed(home, job)
    return True


@contextmanager
def outlived(log: FilteringBoundLogger, event: str) -> Iterator[None]:
    """Note what the block raised, by class and place, and go on: it must not end the worker of all the other jobs."""
    try:
        yield
    except FootnoteError as error:
        log.warning(event, error=type(error).__name__)
    except Exception as error:  # noqa: BLE001 - a bug, told as one
        log.error(event, error=type(error).__name__, at=frames_of(error))


def run_claimed(home: Home, job: ClaimedJob) -> None:
    """Do a claimed job and put its end on record; raises nothing that the job raised."""
    log = json_log(home.settings.log_level, job_id=job.id, kind=job.kind, queue=job.queue)
    began = time.monotonic()
    with _signs_of_life(home.jobs, job):
        try:
            outcome = _outcome(home, job, log)
        except LeaseLost:
            outcome = "taken from this worker"
        except FootnoteError:
            outcome = "left to the sweep"  # the catalog takes no note of it, and the lease ends by itself
    log.info("job", attempt=job.attempt, outcome=outcome, milliseconds=round((time.monotonic() - began) * 1000))


def _outcome(home: Home, job: ClaimedJob, log: FilteringBoundLogger) -> str:
    """Call the job's function, and note in the table how it ended.

    Raises `LeaseLost`, and `Transient` or `LimitExceeded` where the table takes no note.
    """
    try:
        function = JOB_FUNCTIONS.get(job.kind)
        if function is None:
            raise Conflict(f"This worker's version knows no jobs of the kind {job.kind!r}; upgrade it.")
        function(home, job)
        home.jobs.complete(job)
        return "done"
    except LeaseLost:
        raise
    except _NOT_ITS_FAULT as error:
        home.jobs.give_back(job, str(error))
        return "given back"
    except FootnoteError as error:
        return home.jobs.fail(job, _cause(error), retry=_may_end_otherwise(error))
    except Exception as error:  # noqa: BLE001 - a bug in one job must not end the worker of all the others
        # The class alone: the words of a foreign error may quote a document.
        log.error("job failed by a bug", error=type(error).__name__, at=frames_of(error))
        return home.jobs.fail(job, f"a bug: {type(error).__name__}")


def _cause(error: FootnoteError) -> str:
    return f"{error.verdict}: {error.reason}" if isinstance(error, UnreadableDocument) else str(error)


def _may_end_otherwise(error: FootnoteError) -> bool:
    """Whether another attempt at the same job can end otherwise."""
    if isinstance(error, UnreadableDocument):
        return error.verdict in PASSING_VERDICTS
    return not isinstance(error, WrongUsage | NotFound)


@contextmanager
def _signs_of_life(jobs: JobQueue, job: ClaimedJob) -> Iterator[None]:
    """Renew the job's lease from a thread of its own until the block ends or the job is somebody else's."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(jobs.lease.total_seconds() / _BEATS_PER_LEASE):
            try:
                jobs.heartbeat(job)
            except LeaseLost:
                return
            except FootnoteError:
                continue  # the next sign of life may be in time

    thread = threading.Thread(target=beat, name=f"footnote-lease-{job.id[:8]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
