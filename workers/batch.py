"""The rows of batches as jobs: one question each, asked as the person it is asked for."""

from __future__ import annotations

from sqlalchemy.orm import Session

from catalog.job_queue import ClaimedJob
from wiring.home import Home

KIND, QUEUE = "batch-row", "batch"


def answer_row(home: Home, job: ClaimedJob) -> None:
    """Answer one row and publish its result together with the end of the job; a row with a result is left as it is."""

    def finish(session: Session) -> None:
        home.jobs.finish(session, job)

    batch_id, _, ordinal = job.subject_id.partition(":")
    home.batch_runner.run_row(batch_id, int(ordinal), also=finish)
