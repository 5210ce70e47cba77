"""Why a job stands as it does, and what can be done about it, in words for whoever administers."""

from __future__ import annotations

from typing import cast

from catalog.job_queue import WORKER_LOST
from catalog.job_records import JobView
from core.errors import Verdict
from ingest.failures import NEXT_STEPS


def why(job: JobView) -> str:
    """What a job waits for, who has it, or what ended it: one sentence."""
    cause = (job.cause or "").rstrip(".")
    tries = "1 attempt" if job.attempts == 1 else f"{job.attempts} attempts"
    match job.state:
        case "queued" if cause and not job.attempts:
            return f"It waits: {cause}. It is tried again from {job.not_before:%F %T} UTC on."
        case "queued" if cause:
            return f"Attempt {job.attempts} failed: {cause}. It is tried again from {job.not_before:%F %T} UTC on."
        case "queued":
            return f"It waits for its turn since {job.created_at:%F %T} UTC."
        case "paused":
            return "It is paused." if not cause else f"It is paused. Before that: {cause}."
        case "running":
            until = f", and has to show a sign of life by {job.lease_until:%F %T} UTC" if job.lease_until else ""
            return f"{job.worker} has it in hand (attempt {job.attempts}){until}."
        case "dead":
            return f"It was given up after {tries}: {cause}."
        case "cancelled" if cause == "superseded":
            return "Newer content has taken its place."
        case "cancelled":
            return "It was called off." if not cause else f"It was called off. Before that: {cause}."
        case _:
            return f"It was done after {tries}."


def next_steps(job: JobView) -> list[str]:
    """What there is to do about a job, the most telling first; nothing where it goes its way."""
    match job.state:
        case "queued" if not job.cause:
            return ["If it stays so, let somebody work: footnote serve, or footnote worker with Redis"]
        case "paused":
            return [f"Let it run: footnote jobs resume {job.id}"]
        case "dead":
            again = f"Try it again: footnote jobs retry {job.id}"
            return [*_about(job.cause or ""), again, f"Put it aside: footnote jobs cancel {job.id}"]
        case "cancelled" if job.cause != "superseded":
            return [f"Take it up again: footnote jobs retry {job.id}"]
        case _:
            return []


def _about(cause: str) -> list[str]:
    if cause == WORKER_LOST:
        return ["Look at what ended its workers (their memory, their log) before it ends another"]
    step = NEXT_STEPS.get(cast(Verdict, cause.partition(":")[0]))
    return [step.rstrip(".")] if step else []
