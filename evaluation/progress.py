"""What an evaluation says while it works: to a person at a terminal, and never on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, track

from ingest.pipeline import Progress as IngestProgress

T = TypeVar("T")


def followed(items: Sequence[T], what: str) -> Iterable[T]:
    """The items one after the other, with a bar where somebody watches."""
    console = _console()
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def following_ingest(what: str) -> Iterator[IngestProgress]:
    """What an ingest reports to, shown as a bar where somebody watches."""
    console = _console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total, failed: progress.update(task, completed=done, total=total)


def warn(message: str) -> None:
    """One line on standard error."""
    _console().print(message, markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    return Console(stderr=True)
