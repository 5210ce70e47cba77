"""Commands that make, serve and look after a home."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from apps.cli.shell import AsJson, administration, emit, notes, opened_home, results, say, settings, table
from apps.doctor import examine
from ingest.compaction import compact as compact_home
from wiring.home import Home
from wiring.lifecycle import init_home, upgrade_home
from workers.embedded import embedded_workers

# Most documents take less; what takes longer is brought in by whoever serves next.
_JOB_GRACE_SECONDS = 10.0


def add_to(app: typer.Typer) -> None:
    """Add these commands to the top level."""
    app.command()(init)
    app.command()(serve)
    app.command("config")(show_config)
    app.command()(doctor)
    app.command()(compact)
    app.command()(upgrade)


def init(as_json: AsJson = False) -> None:
    """Create the home, and print an administrator's API key once."""
    chosen = settings().settings
    key = init_home(chosen)

    def render() -> None:
        say(f"Created {chosen.home}.")
        say(f"Administrator's API key, shown this once: {key}")
        say("Next: footnote ingest FOLDER --allow everyone, or with an access.yaml in the folder.")

    emit(as_json, {"home": str(chosen.home), "admin_key": key}, render)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Serve the web API and the page until Ctrl-C."""
    from apps.web.server import serve as serve_web

    with opened_home(host=host, port=port) as home:
        home.warm()
        with _workers_of(home):
            serve_web(
                home,
                home.settings.host,
                home.settings.port,
                ready=lambda address: notes.print(f"Footnote is ready: {address}"),
            )


def _workers_of(home: Home) -> AbstractContextManager[None]:
    """Threads that do the home's jobs, unless it has a broker that rings for workers of their own."""
    return nullcontext() if home.settings.redis_url else embedded_workers(home, _JOB_GRACE_SECONDS)


def show_config(as_json: AsJson = False) -> None:
    """Print every setting with its value, where it came from and what it means."""
    views = settings().views()

    def render() -> None:
        rows = table("setting", "value", "from", "meaning")
        for view in views:
            rows.add_row(view.name, view.value, view.origin, view.meaning)
        results.print(rows)

    emit(as_json, [vars(view) for view in views], render)


def doctor(as_json: AsJson = False) -> None:
    """Look the home over: catalog, index checksums, audit chain, keys, encoder, disk. Exit 1 if something is wrong."""
    findings = examine(settings().settings)

    def render() -> None:
        for finding in findings:
            say(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.subject}: {finding.detail}")

    emit(as_json, [vars(finding) for finding in findings], render)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def compact(as_json: AsJson = False) -> None:
    """Rewrite the home's files without what was deleted: its bytes are gone from the disk, and the room is free.

    Whoever writes waits meanwhile; on PostgreSQL whoever reads does too.
    """
    with opened_home() as home:
        administration(home).record("compact")
        before = _size(home.layout.folder)
        compact_home(home.ingestion, home.layout.source_caches, in_full=True)
        after = _size(home.layout.folder)

    def render() -> None:
        say(f"The home takes {after / 1e6:,.1f} MB; before it took {before / 1e6:,.1f} MB.")

    emit(as_json, {"size_bytes_before": before, "size_bytes": after}, render)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def upgrade(as_json: AsJson = False) -> None:
    """Bring a home of an older version, or of another embedding model, to this one."""
    embedded = upgrade_home(settings().settings)
    emit(as_json, {"embedded": embedded}, lambda: say(f"The home is up to date; {embedded} chunks were embedded anew."))


class _Pace(ProgressColumn):
    """How many a second are done, lately."""

    def render(self, task: Task) -> Text:
        pace = task.finished_speed or task.speed
        return Text("" if pace is None else f"{pace:,.1f}/s", style="progress.data.speed")


def progress_bar() -> Progress:
    """A bar with counts, pace and the time that is left, on stderr; silent where that is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Pace(),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )
