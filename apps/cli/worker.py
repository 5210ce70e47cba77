"""The command that starts a worker."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from apps.cli.shell import flags, notes, opened_home
from core.errors import WrongUsage
from workers.doorbell import QUEUES


def worker(
    queues: Annotated[str, typer.Option(help="Queues it works for, separated by commas.")] = ",".join(QUEUES),
    concurrency: Annotated[int, typer.Option(min=1, help="Jobs at a time, each in a process of its own.")] = 1,
    beat: Annotated[
        bool, typer.Option("--beat", help="Also ring for the sweep; one worker of a cluster must.")
    ] = False,
) -> None:
    """Do jobs that Redis rings for, until SIGTERM or Ctrl-C lets the ones in progress end."""
    chosen = [name.strip() for name in queues.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in QUEUES]:
        raise WrongUsage(f"There is no queue {unknown[0]!r}; the queues are {', '.join(QUEUES)}.")
    # Opened to be checked, and closed before processes are forked: they open it themselves.
    with opened_home() as home:
        settings = home.settings
    if settings.redis_url is None:
        raise WrongUsage(
            "A worker needs a Redis to be woken by (FOOTNOTE_REDIS_URL=redis://…). Without one, `footnote serve` does "
            "the jobs itself."
        )
    from workers.celery_app import serve

    if flags.own_process:
        # Whoever asks on the same machine comes first; less than the commands give way, because leases are to be kept.
        os.nice(5)
    notes.print(f"Footnote works for the queues {', '.join(chosen)}.")
    if code := serve(settings, chosen, concurrency, beat):
        raise typer.Exit(code)
