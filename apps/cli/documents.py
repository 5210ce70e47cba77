"""Commands that bring documents in, list, show and delete them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from apps.cli.operations import progress_bar
from apps.cli.shell import (
    AsAnybody,
    AsJson,
    actor,
    administration,
    asker,
    emit,
    flags,
    grantees,
    notes,
    opened_home,
    operator,
    results,
    say,
    table,
    warn,
)
from apps.rendering import document_json
from core.errors import NotFound, WrongUsage
from governance.access.rules import written
from ingest.report import IngestReport
from ingest.sync import FolderRequest, Prune, plan_folder, sync_folder
from wiring.home import Home

app = typer.Typer(no_args_is_help=True)


def add_to(top: typer.Typer) -> None:
    """Add `ingest` to the top level."""
    top.command()(ingest)


def ingest(
    paths: Annotated[list[str], typer.Argument(metavar="PATH_OR_URL...", help="Folders or files to bring in.")],
    source: Annotated[str | None, typer.Option(help="Name of the source; by default the absolute path.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Who may read where no access.yaml says.")] = None,
    access: Annotated[Path | None, typer.Option(help="Rules for PATH, written as access.yaml.")] = None,
    prune: Annotated[str, typer.Option(metavar="[force]", help="Delete what the source no longer has.")] = "no",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and who could read it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring documents in. Safe to interrupt and to repeat."""
    requests = _requests(paths, source, allow, access, prune)
    if flags.own_process:
        os.nice(10)  # whoever asks while documents arrive comes first
    with opened_home() as home:
        reports = [_ingest_one(home, request, dry_run) for request in requests]
    for report in reports:
        for message in report.warnings:
            warn(message)
    document = [report.to_json() for report in reports]
    emit(as_json, document[0] if len(document) == 1 else document, lambda: _render_all(reports))
    if any(report.failed for report in reports):
        raise typer.Exit(3)


@app.command("list")
def list_documents(as_json: AsJson = False) -> None:
    """List every document (its record, not its text)."""
    with opened_home() as home:
        views = administration(home).documents()

    def render() -> None:
        rows = table("document", "source", "external id", "title", "version", "chunks", "state")
        for view in views:
            rows.add_row(
                view.document_id,
                view.source,
                view.external_id,
                view.title,
                str(view.version),
                str(view.chunks),
                view.state,
            )
        results.print(rows)

    emit(as_json, [document_json(view) for view in views], render)


@app.command()
def show(
    document: Annotated[str, typer.Argument(help="Document id, external id, or SOURCE:EXTERNAL_ID.")],
    text: Annotated[bool, typer.Option("--text", help="Add the stored text that citations point into.")] = False,
    as_: AsAnybody = None,
    as_json: AsJson = False,
) -> None:
    """Show one document. Its text is shown to whom `--as` names, by default to the operator, if they may read it."""
    with opened_home() as home:
        principal = asker(home, as_) if as_ else operator()
        document_id = administration(home).resolve(document)
        try:
            if text:
                view, stored = home.disclosure.text(principal, document_id, actor())
                record = {**document_json(view), "text": stored}
            elif as_:
                record = document_json(home.gate.document(principal, document_id))
            else:
                record = document_json(administration(home).documents(document_id)[0])
        except NotFound as error:
            # In the words that were asked: the id would tell that there is such a document.
            raise NotFound("document", document) from error

    def render() -> None:
        for name, value in record.items():
            say(f"{name}: {value}" if name != "text" else f"\n{value}")

    emit(as_json, record, render)


@app.command()
def delete(
    documents: Annotated[list[str], typer.Argument(help="Documents, by id or external id.")], as_json: AsJson = False
) -> None:
    """Delete documents: gone from the next search on, their text and bytes forgotten."""
    with opened_home() as home:
        ids = administration(home).delete_documents(documents)
    emit(as_json, {"deleted": ids}, lambda: say(f"Deleted {len(ids)} document{'s' if len(ids) != 1 else ''}."))


@app.command()
def why(document: Annotated[str, typer.Argument(help="Document id or external id.")], as_json: AsJson = False) -> None:
    """The state of a document, and why it can or cannot be found."""
    with opened_home() as home:
        view = administration(home).documents(document)[0]
    if view.failure_verdict:
        reason = f"it could not be read ({view.failure_verdict}): {view.failure_cause}"
        reason += f"; version {view.version}, read before, can still be found" if view.version else ""
    else:
        reason = f"version {view.version} is indexed in {view.chunks} chunks; who may read it, finds it"
    record = {**document_json(view), "why": reason}
    emit(as_json, record, lambda: say(f"{view.external_id} is {view.state}: {reason}."))


def _requests(
    paths: list[str], source: str | None, allow: list[str] | None, access: Path | None, prune: str
) -> list[FolderRequest]:
    if len(paths) > 1 and source:
        raise WrongUsage("Several paths need several sources: leave --source out, or ingest them one by one.")
    if prune not in ("no", "yes", "force"):
        raise WrongUsage(f"--prune={prune} makes no sense: write --prune or --prune=force.")
    for path in paths:
        if "://" in path:
            raise WrongUsage(
                f"{path}: web addresses are not read yet; download the pages into a folder and ingest that."
            )
    kind: Prune = "yes" if prune == "yes" else "force" if prune == "force" else "no"
    return [
        FolderRequest(
            path=Path(path).resolve(),
            source=source or written(Path(path).resolve()),
            allow=tuple(grantees(allow)) if allow else None,
            access_file=access.resolve() if access else None,
            prune=kind,
        )
        for path in paths
    ]


def _ingest_one(home: Home, request: FolderRequest, dry_run: bool) -> IngestReport:
    if dry_run:
        return plan_folder(home.ingestion, home.layout.folder, request)
    administration(home).record("ingest", source=request.source, path=str(request.path), prune=request.prune)
    with progress_bar() as bar:
        task = bar.add_task(f"Ingesting {request.source}", total=None)
        return sync_folder(
            home.ingestion,
            home.layout.folder,
            request,
            home.settings.max_document_bytes,
            lambda done, total, failed: bar.update(task, completed=done, total=total),
        )


def render_report(report: IngestReport) -> None:
    """What an ingest did, for people: one line of counts, then every failure with its cause."""
    if report.plan is not None:
        _render_plan(report)
        return
    counts = report.to_json()["documents"]
    if not any(counts[name] for name in ("added", "updated", "deleted", "failed", "access_changed", "missing")):
        say(f"{report.source}: nothing has changed; {counts['unchanged']} documents are as they were.")
        return
    parts = [f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count]
    say(f"{report.source}: {', '.join(parts)}; {report.chunks} chunks in {report.seconds:.1f} s.")
    for failure in report.failures:
        notes.print(f"  {failure.external_id}: {failure.verdict}: {failure.cause}", markup=False)


def _render_all(reports: list[IngestReport]) -> None:
    for report in reports:
        render_report(report)


def _render_plan(report: IngestReport) -> None:
    rows = table("document", "change", "allow", "deny", "rule")
    for change in report.plan or []:
        rows.add_row(change.external_id, change.change, " ".join(change.allow), " ".join(change.deny), change.rule)
    results.print(rows)
    say("Nothing was changed.")
