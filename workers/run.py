"""Running jobs: claimed, kept alive while a worker has them, and what became of each put on record."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from catalog.job_queue import ClaimedJob
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
from ingest.items import PASSING_VERDICTS
from ingest.pipeline import EMBEDDED_CHUNKS
from wiring.home import Home
from workers.functions import JOB_FUNCTIONS, TOGETHER, Together
from workers.ingesting import Begun
from workers.sweeping import recover_lost

T = TypeVar("T")

# Signs of life in one lease: two may be missed.
_BEATS_PER_LEASE = 3
# What is published together: so much that each costs little, so little that nobody waits long for it and little is done
# again where the worker is lost.
_TOGETHER_JOBS = 16
_TOGETHER_SECONDS = 2.0
_TRIES_TOGETHER = 3
# How soon a catalog that has taken no note of a job's end is asked again.
_NOTED_AGAIN_SECONDS = 0.5
# A neighbour is away, or a disk is full: every other job would meet the same, so it costs none of them an attempt.
_NOT_ITS_FAULT = (Transient, AuditUnavailable, LimitExceeded)


def worker_name() -> str:
    """This process and thread, as the table of jobs names who has a job."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"


def run_next(home: Home, queues: Sequence[str], going_on: Callable[[], bool] = lambda: True) -> bool:
    """Do the job whose turn it is, with what is done together with it; False when none waits.

    It takes no more of those once `going_on` says no. Raises `Transient` when the catalog cannot be reached, and
    `LimitExceeded` when its disk is full.
    """
    job = home.jobs.claim(worker_name(), queues)
    if job is None:
        return False
    if job.kind in TOGETHER and job.attempt == 1:
        _run_together(home, job, queues, going_on)
    else:
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
    in_hand = _InHand(home, job)
    with _signs_of_life(home) as hold:
        hold(job)
        in_hand.do(in_hand.all_of_it)


def _run_together(home: Home, first: ClaimedJob, queues: Sequence[str], going_on: Callable[[], bool]) -> None:
    """Do a job and those like it that come next: each is begun by itself, and they are published together.

    What takes the worker down takes all of them down, once: a job that was tried before is done alone.
    """
    kind, until = TOGETHER[first.kind], time.monotonic() + _TOGETHER_SECONDS
    begun: list[tuple[_InHand, Begun]] = []
    with _signs_of_life(home) as hold:
        job: ClaimedJob | None = first
        while job is not None:
            hold(job)
            in_hand = _InHand(home, job)
            part = in_hand.do(partial(kind.begin, home, job))
            begun += [(in_hand, part)] if part is not None else []
            if not going_on() or time.monotonic() > until or _enough(begun):
                break
            job = _next_like(home, queues, first)
        for _, some in groupby(sorted(begun, key=_together_with), key=_together_with):
            _publish(home, kind, list(some))


def _together_with(one: tuple[_InHand, Begun]) -> int:
    return one[1].together_with


def _enough(begun: Sequence[tuple[_InHand, Begun]]) -> bool:
    return len(begun) >= _TOGETHER_JOBS or sum(part.chunks for _, part in begun) >= EMBEDDED_CHUNKS


def _next_like(home: Home, queues: Sequence[str], job: ClaimedJob) -> ClaimedJob | None:
    """The next job that may be done together with one; none where the catalog does not say."""
    with outlived(json_log(home.settings.log_level), "no job claimed"):
        return home.jobs.claim(worker_name(), queues, like=job)
    return None


def _publish(home: Home, kind: Together, begun: Sequence[tuple[_InHand, Begun]]) -> None:
    """Publish what jobs have come to; where that is refused, one by one, so that none stands in another's way."""
    for _ in range(_TRIES_TOGETHER):
        if len(begun) < 2:
            break
        try:
            kind.publish(home, [part for _, part in begun])
        except LeaseLost:
            # One of them is somebody else's, or was just being changed.
            begun = _still_ours(home, begun)
        except _NOT_ITS_FAULT as error:
            until = time.monotonic() + home.jobs.lease.total_seconds()
            for in_hand, _ in begun:
                in_hand.do(partial(_refused, error), until)
            return
        except Exception as error:  # noqa: BLE001 - whose fault it is shows when each is published by itself
            log = json_log(home.settings.log_level)
            log.warning("not published together", error=type(error).__name__, at=frames_of(error))
            break
        else:
            for in_hand, _ in begun:
                in_hand.tell("done")
            return
    for in_hand, part in begun:
        in_hand.do(partial(kind.publish, home, [part]))


def _still_ours(home: Home, begun: Sequence[tuple[_InHand, Begun]]) -> Sequence[tuple[_InHand, Begun]]:
    """Those of which no other worker has the job; all of them where the catalog does not say."""
    try:
        ours = home.jobs.still_held([in_hand.job for in_hand, _ in begun])
    except FootnoteError:
        return begun
    for in_hand, _ in begun:
        if in_hand.job not in ours:
            in_hand.tell("taken from this worker")
    return [one for one in begun if one[0].job in ours]


def _refused(error: Exception) -> None:
    raise error


class _InHand:
    """A job that this worker has, until its end is on record."""

    def __init__(self, home: Home, job: ClaimedJob) -> None:
        self._home, self.job = home, job
        self._log = json_log(home.settings.log_level, job_id=job.id, kind=job.kind, queue=job.queue)
        self._began = time.monotonic()

    def all_of_it(self) -> None:
        function = JOB_FUNCTIONS.get(self.job.kind)
        if function is None:
            raise Conflict(f"This worker's version knows no jobs of the kind {self.job.kind!r}; upgrade it.")
        function(self._home, self.job)

    def do(self, work: Callable[[], T | None], until: float | None = None) -> T | None:
        """Do work, and put the end of the job on record unless something is left to do, which is returned.

        Raises nothing that the work raised. While the catalog takes no note, it is asked again for a lease, or `until`
        then: what a neighbour's absence has stopped costs no attempt if the neighbour is back in time.
        """
        left, note = self._tried(work)
        if left is None:
            lease_s = self._home.jobs.lease.total_seconds()
            self.tell(self._noted(note, time.monotonic() + lease_s if until is None else until))
        return left

    def _noted(self, note: Callable[[], str], until: float) -> str:
        while True:
            try:
                return note()
            except LeaseLost:
                return "taken from this worker"
            except FootnoteError:
                if time.monotonic() > until:
                    return "left to the sweep"
                time.sleep(_NOTED_AGAIN_SECONDS)

    def tell(self, outcome: str) -> None:
        took = round((time.monotonic() - self._began) * 1000)
        self._log.info("job", attempt=self.job.attempt, outcome=outcome, milliseconds=took)

    def _tried(self, work: Callable[[], T | None]) -> tuple[T | None, Callable[[], str]]:
        """Do the work; what is left of it, and what puts its end on record otherwise and says which end that is."""
        job, jobs = self.job, self._home.jobs
        try:
            return work(), self._complete
        except LeaseLost:
            return None, lambda: "taken from this worker"
        except _NOT_ITS_FAULT as error:
            return None, partial(self._give_back, str(error))
        except FootnoteError as error:
            return None, partial(jobs.fail, job, _cause(error), retry=_may_end_otherwise(error))
        except Exception as error:  # noqa: BLE001 - a bug in one job must not end the worker of all the others
            # The class alone: the words of a foreign error may quote a document.
            self._log.error("job failed by a bug", error=type(error).__name__, at=frames_of(error))
            return None, partial(jobs.fail, job, f"a bug: {type(error).__name__}")

    def _complete(self) -> str:
        self._home.jobs.complete(self.job)
        return "done"

    def _give_back(self, cause: str) -> str:
        self._home.jobs.give_back(self.job, cause)
        return "given back"


def _cause(error: FootnoteError) -> str:
    return f"{error.verdict}: {error.reason}" if isinstance(error, UnreadableDocument) else str(error)


def _may_end_otherwise(error: FootnoteError) -> bool:
    """Whether another attempt at the same job can end otherwise."""
    if isinstance(error, UnreadableDocument):
        return error.verdict in PASSING_VERDICTS
    return not isinstance(error, WrongUsage | NotFound)


@contextmanager
def _signs_of_life(home: Home) -> Iterator[Callable[[ClaimedJob], None]]:
    """Renew the leases of jobs from a thread of its own until the block ends, or one is somebody else's.

    Yields what adds a job to them. The thread also takes jobs from workers that are lost: in a process that is busy for
    long, the sweep waits its turn behind what it is busy with.
    """
    jobs, log = home.jobs, json_log(home.settings.log_level)
    ended = threading.Event()
    held: list[ClaimedJob] = []

    def beat() -> None:
        while not ended.wait(jobs.lease.total_seconds() / _BEATS_PER_LEASE):
            with outlived(log, "no sign of life"):  # the next one may be in time
                some = list(held)
                for job in set(some).difference(jobs.heartbeat(some)):
                    held.remove(job)
            with outlived(log, "nothing recovered"):
                recover_lost(home)

    thread = threading.Thread(target=beat, name="footnote-lease", daemon=True)
    thread.start()
    try:
        yield held.append
    finally:
        ended.set()
        thread.join()
