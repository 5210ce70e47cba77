"""What each kind of job does."""

from __future__ import annotations

from collections.abc import Callable

from catalog.job_queue import ClaimedJob
from wiring.home import Home
from workers.batch import answer_row
from workers.ingesting import ingest, sync_source, upkeep

JobFunction = Callable[[Home, ClaimedJob], None]

JOB_FUNCTIONS: dict[str, JobFunction] = {
    "batch-row": answer_row,
    "ingest": ingest,
    "source-sync": sync_source,
    "upkeep": upkeep,
}
"""By kind. Each may run twice or late, and publishes only behind the fence of its job (see the room's docstring)."""
