"""Commands on jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from apps.cli.shell import AsJson, administration, emit, opened_home, results, say, table
from apps.rendering import job_json, progress_json
from apps.work import Work
from catalog.job_queue import STATES
from catalog.job_records import JobView, Progress
from core.errors import WrongUsage
from workers.doorbell import QUEUES

app = typer.Typer(no_args_is_help=True)

JobId = Annotated[str, typer.Argument(help="The job's id.")]


@app.command("list")
def list_all(
    state: Annotated[list[str] | None, typer.Option(help="queued, running, done, dead or cancelled.")] = None,
    queue: Annotated[str | None, typer.Option(help="Jobs of one queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What waits, what runs, what failed and why."""
    for kind, names, known in (("state", state or (), STATES), ("queue", [queue] if queue else (), QUEUES)):
        if unknown := [name for name in names if name not in known]:
            raise WrongUsage(f"There is no {kind} {unknown[0]!r}; write one of {', '.join(known)}.")
    with opened_home() as home:
        views = Work(administration(home)).jobs(limit, state or (), queue)
    emit(as_json, [job_json(view) for view in views], lambda: _render(views))


@app.command()
def show(job: JobId, as_json: AsJson = False) -> None:
    """One job; where it has queued others, how far they are and which failed."""
    with opened_home() as home:
        work = Work(administration(home))
        view, progress = work.job(job)
        failures = work.failures(job) if progress else []
    document = {
        **job_json(view),
        "progress": progress_json(progress) if progress else None,
        "failures": [job_json(one) for one in failures],
    }

    def render() -> None:
        for name, value in job_json(view).items():
            say(f"{name}: {value}")
        if progress:
            say(_in_words(progress))
        for one in failures:
            say(f"  {one.id}: {one.cause}")

    emit(as_json, document, render)


@app.command()
def why(job: JobId, as_json: AsJson = False) -> None:
    """What a job waits for, who has it, or what ended it, and what can be done about it."""
    with opened_home() as home:
        view, progress = Work(administration(home)).job(job)
    told = job_json(view)

    def render() -> None:
        say(f"{told['document'] or view.kind} is {view.state}: {told['why']}")
        if progress:
            say(_in_words(progress))
        for line in told["next_steps"]:
            say(f"  {line}")

    emit(as_json, told, render)


@app.command()
def retry(job: JobId, as_json: AsJson = False) -> None:
    """Queue a dead or cancelled job anew, with all its attempts."""
    with opened_home() as home:
        view = Work(administration(home)).retry_job(job)
    emit(as_json, job_json(view), lambda: say(f"The job {view.id} is {view.state}."))


@app.command()
def cancel(job: JobId, as_json: AsJson = False) -> None:
    """Cancel a job that waits or runs (what a worker has of it is not published), or put a dead letter aside."""
    with opened_home() as home:
        view = Work(administration(home)).cancel_job(job)
    emit(as_json, job_json(view), lambda: say(f"The job {view.id} is {view.state}."))


@app.command()
def pause(job: JobId, as_json: AsJson = False) -> None:
    """Let a job, and those it has queued, wait until they are resumed; what runs already comes to its end."""
    with opened_home() as home:
        view = Work(administration(home)).pause_job(job)
    emit(as_json, job_json(view), lambda: say(f"The job {view.id} is {view.state}."))


@app.command()
def resume(job: JobId, as_json: AsJson = False) -> None:
    """Let a paused job, and those it has queued, run again."""
    with opened_home() as home:
        view = Work(administration(home)).resume_job(job)
    emit(as_json, job_json(view), lambda: say(f"The job {view.id} is {view.state}."))


def _render(views: list[JobView]) -> None:
    rows = table("job", "kind", "queue", "state", "attempts", "created", "cause")
    for view in views:
        rows.add_row(
            view.id,
            view.kind,
            view.queue,
            view.state,
            str(view.attempts),
            f"{view.created_at:%F %T}",
            (view.cause or "").replace("[", "\\["),
        )
    results.print(rows)


def _in_words(progress: Progress) -> str:
    states = ", ".join(f"{count} {state}" for state, count in sorted(progress.states.items()))
    words = f"{progress.settled} of {progress.total} jobs are settled ({states})"
    if not progress.eta:
        return f"{words}."
    left = timedelta(seconds=round(progress.eta.total_seconds()))
    return f"{words}; {left} left at {progress.per_second:.2g} a second."
