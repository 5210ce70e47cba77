"""Commands on sources: folders that are kept in step."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from apps.cli.keys import lifetime
from apps.cli.shell import AsJson, administration, emit, grantees, opened_home, results, say, table
from apps.rendering import source_json
from apps.work import Work
from governance.access.rules import written
from ingest.sources import SourceRequest

app = typer.Typer(no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="SOURCE", help="The source's name or id.")]


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="Folder to keep in step.")],
    source: Annotated[str | None, typer.Option(help="Name of the source; by default the absolute path.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Who may read where no access.yaml says.")] = None,
    access: Annotated[Path | None, typer.Option(help="Rules for PATH, written as access.yaml.")] = None,
    every: Annotated[str | None, typer.Option(help="How often, such as 30m, 12h or 1d; unset: when asked.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Delete what the folder no longer has.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep a folder in step. A worker (`footnote serve` or `footnote worker`) brings its documents in."""
    request = SourceRequest(
        name=source or written(path.resolve()),
        path=path.resolve(),
        allow=grantees(allow or []),
        access_file=access.resolve() if access else None,
        every=lifetime(every, "--every") if every else None,
        prune=prune,
    )
    with opened_home() as home:
        view, job_id = Work(administration(home)).add_source(request)
    emit(
        as_json,
        {**source_json(view), "job_id": job_id},
        lambda: say(f"{view.name} is kept in step. Follow it with: footnote jobs show {job_id}"),
    )


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Every source that is kept in step or holds a document."""
    with opened_home() as home:
        views = Work(administration(home)).sources()

    def render() -> None:
        rows = table("id", "source", "kept in step", "documents", "failed", "waiting")
        for view in views:
            interval = f"every {timedelta(seconds=view.every_s)}" if view.every_s else "when asked"
            rows.add_row(
                str(view.source_id),
                view.name,
                interval if view.standing else "no",
                str(view.documents),
                str(view.failed),
                str(view.waiting),
            )
        results.print(rows)

    emit(as_json, [source_json(view) for view in views], render)


@app.command()
def show(source: Named, as_json: AsJson = False) -> None:
    """One source."""
    with opened_home() as home:
        record = source_json(Work(administration(home)).source(source))

    def render() -> None:
        for name, value in record.items():
            say(f"{name}: {value}")

    emit(as_json, record, render)


@app.command()
def sync(source: Named, as_json: AsJson = False) -> None:
    """Bring a standing source in step now, by a worker."""
    with opened_home() as home:
        job_id = Work(administration(home)).sync_source(source)
    emit(as_json, {"job_id": job_id}, lambda: say(f"Queued. Follow it with: footnote jobs show {job_id}"))


@app.command()
def remove(
    source: Named,
    keep_documents: Annotated[bool, typer.Option("--keep-documents", help="Leave its documents as they are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep a source in step no longer, and delete its documents."""
    with opened_home() as home:
        view = Work(administration(home)).remove_source(source, keep_documents)
    kept = "kept" if keep_documents else "deleted"
    emit(
        as_json,
        {"source": view.name, "documents": view.documents, "kept": keep_documents},
        lambda: say(f"{view.name} is removed; its {view.documents} documents are {kept}."),
    )
