"""What each kind of job does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catalog.job_queue import ClaimedJob
from wiring.home import Home
from workers.batch import answer_row
from workers.ingesting import Begun, begin, compact_home, ingest, publish, sync_source, upkeep

JobFunction = Callable[[Home, ClaimedJob], None]

JOB_FUNCTIONS: dict[str, JobFunction] = {
    "batch-row": answer_row,
    "compaction": compact_home,
    "ingest": ingest,
    "source-sync": sync_source,
    "upkeep": upkeep,
}
"""By kind. Each may run twice or late, and publishes only behind the fence of its job (see the room's docstring)."""


@dataclass(frozen=True)
class Together:
    """A kind of which several jobs are done together: each is begun by itself, then all of them are published at once.

    `begin` gives None where it has ended the job itself. `publish` ends the jobs of what it publishes, all of them or
    none, and is called with what says to be `together_with` the same.
    """

    begin: Callable[[Home, ClaimedJob], Begun | None]
    publish: Callable[[Home, Sequence[Begun]], None]


TOGETHER = {"ingest": Together(begin, publish)}
