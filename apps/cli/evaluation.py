"""Commands that measure: quality on labelled sets, speed beside peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from apps.cli.shell import AsJson, emit, results, say, settings
from core.errors import WrongUsage


def add_to(top: typer.Typer) -> None:
    """Add `bench` to the top level."""
    top.command()(bench)


def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="embed, search; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Speed, side by side with peers in one run where they are installed."""
    from evaluation.bench import BENCHES

    chosen = names or list(BENCHES)
    unknown = [name for name in chosen if name not in BENCHES]
    if unknown:
        raise WrongUsage(f"{unknown[0]!r} is no bench; there are {', '.join(BENCHES)}.")
    reports = [BENCHES[name](settings().settings.home / "models") for name in chosen]
    documents = [report.to_json() for report in reports]

    def render() -> None:
        for report in reports:
            report.render(results)

    emit(as_json, documents[0] if len(documents) == 1 else documents, render)


__all__ = ["Path", "add_to", "json", "say"]
