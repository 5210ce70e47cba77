"""Commands that bring documents in, list, show and delete them."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from apps.cli.systems import system_request
from apps.rendering import document_json, failure_group_json, near_json
from apps.why import explained
from apps.work import Work
from core.errors import FootnoteError, NotFound, WrongUsage
from governance.access.rules import written
from ingest.failures import FailureGroup, grouped
from ingest.report import IngestReport
from ingest.sources import SystemRequest
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
    watch: Annotated[bool, typer.Option("--watch", help="Go on: bring in what changes, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring documents in. Safe to interrupt and to repeat."""
    requests = _requests(paths, source, allow, access, prune)
    if watch and (dry_run or as_json or any(isinstance(one, SystemRequest) for one in requests)):
        raise WrongUsage("--watch is for folders, and goes with neither --dry-run nor --json.")
    if flags.own_process:
        os.nice(10)  # whoever asks while documents arrive comes first
    with opened_home() as home:
        reports = [_ingest_one(home, request, dry_run, prune == "force") for request in requests]
        if watch:
            _keep_up(home, [one for one in requests if isinstance(one, FolderRequest)], reports)
    finish(reports, as_json)


def _keep_up(home: Home, requests: Sequence[FolderRequest], reports: Sequence[IngestReport]) -> None:
    """Bring in what changes until somebody ends it; what goes wrong meanwhile is said, and tried again."""
    # Imported here because few commands watch anything.
    from ingest.watching import changes

    for report in reports:
        render_report(report)
    for turn, _ in enumerate(changes([request.path for request in requests], home.layout.folder)):
        if turn == 0:
            say("Watching. Ctrl-C ends it.")
        for request in requests:
            try:
                report = _ingest_one(home, request, dry_run=False, force=request.prune == "force")
            except FootnoteError as error:
                warn(str(error))
                continue
            for message in report.warnings:
                warn(message)
            if report.changed or report.failures:
                render_report(report)


def finish(reports: Sequence[IngestReport], as_json: bool) -> None:
    """Print what ingests did, and end with the exit code that says whether documents failed."""
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
    version: Annotated[
        int | None, typer.Option(min=1, help="With --text: an earlier version, as a citation names it.")
    ] = None,
    as_: AsAnybody = None,
    as_json: AsJson = False,
) -> None:
    """Show one document. Its text is shown to whom `--as` names, by default to the operator, if they may read it."""
    with opened_home() as home:
        principal = asker(home, as_) if as_ else operator()
        document_id = administration(home).resolve(document)
        try:
            if text:
                view, stored = home.disclosure.text(principal, document_id, actor(), version)
                near = home.near_duplicates.readable(principal, document_id)
                record = {**document_json(view), **near_json(near), "text": stored}
            elif as_:
                view = home.gate.document(principal, document_id)
                record = {**document_json(view), **near_json(home.near_duplicates.readable(principal, document_id))}
            else:
                view = administration(home).documents(document_id)[0]
                record = {**document_json(view), **near_json(home.near_duplicates.all(document_id))}
        except NotFound as error:
            # In the words that were asked: the id would tell that there is such a document.
            raise NotFound("document", document) from error

    def render() -> None:
        for name, value in record.items():
            if name == "near_duplicates":
                for one in value:
                    say(f"near duplicate: {one['title']} ({one['uri']}, {one['similarity']:.0%} alike)")
            else:
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
def label(
    document: Annotated[str, typer.Argument(help="Document id, external id, or SOURCE:EXTERNAL_ID.")],
    add: Annotated[list[str] | None, typer.Option(metavar="LABEL", help="Give it this label; again for more.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="LABEL", help="Take this label from it.")] = None,
    as_json: AsJson = False,
) -> None:
    """The labels of a document, which questions can be narrowed to. They stay when a new version comes."""
    with opened_home() as home:
        labels = administration(home).label_document(document, add or (), remove or ())
    emit(as_json, {"document": document, "labels": labels}, lambda: say("\n".join(labels) or "It has no label."))


@app.command()
def failures(
    source: Annotated[str | None, typer.Option(help="Of one source only, by its name or id.")] = None,
    as_json: AsJson = False,
) -> None:
    """What could not be read, or not whole, by its cause, with the next step."""
    with opened_home() as home:
        groups = Work(administration(home)).failures_by_cause(source)
    emit(as_json, [failure_group_json(group) for group in groups], lambda: _render_failures(groups))


@app.command()
def why(document: Annotated[str, typer.Argument(help="Document id or external id.")], as_json: AsJson = False) -> None:
    """The state of a document, and why it can or cannot be found."""
    with opened_home() as home:
        told = explained(administration(home), document)

    def render() -> None:
        say(f"{told['external_id']} is {told['state']}: {told['why']}")
        for line in told["next_steps"]:
            say(f"  {line}")

    emit(as_json, told, render)


def _render_failures(groups: Sequence[FailureGroup]) -> None:
    if not groups:
        say("Everything that was brought in could be read.")
    for group in groups:
        for line in in_lines(group):
            say(line)


def in_lines(group: FailureGroup) -> list[str]:
    """A cause with the number of its documents, the next step, and every name."""
    head = f"{len(group.documents)} {group.verdict}: {group.cause}"
    return [head, *([f"  {group.next_step}"] if group.next_step else []), *(f"    {name}" for name in group.documents)]


def _requests(
    paths: list[str], source: str | None, allow: list[str] | None, access: Path | None, prune: str
) -> list[FolderRequest | SystemRequest]:
    if len(paths) > 1 and source:
        raise WrongUsage("Several paths need several sources: leave --source out, or ingest them one by one.")
    if prune not in ("no", "yes", "force"):
        raise WrongUsage(f"--prune={prune} makes no sense: write --prune or --prune=force.")
    kind: Prune = "yes" if prune == "yes" else "force" if prune == "force" else "no"
    return [
        system_request(path, source, (), None, allow, access)
        or FolderRequest(
            path=Path(path).resolve(),
            source=source or written(Path(path).resolve()),
            allow=tuple(grantees(allow)) if allow else None,
            access_file=access.resolve() if access else None,
            prune=kind,
        )
        for path in paths
    ]


def _ingest_one(home: Home, request: FolderRequest | SystemRequest, dry_run: bool, force: bool) -> IngestReport:
    if isinstance(request, SystemRequest):
        if dry_run:
            raise WrongUsage("--dry-run is for folders: what a system has is known once it is listed.")
        with progress_bar() as bar:
            task = bar.add_task(f"Ingesting {request.name}", total=None)
            return Work(administration(home)).ingest_system(
                request, force, lambda done, total, failed: bar.update(task, completed=done, total=total)
            )
    if dry_run:
        return plan_folder(home.ingestion, home.layout.folder, request)
    by_hand = administration(home)
    by_hand.record("ingest", source=request.source, path=str(request.path), prune=request.prune)
    by_hand.call_off(request.source)
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
    for group in grouped(report.failures):
        for line in in_lines(group):
            notes.print(f"  {line}", markup=False)


def _render_all(reports: Sequence[IngestReport]) -> None:
    for report in reports:
        render_report(report)


def _render_plan(report: IngestReport) -> None:
    rows = table("document", "change", "allow", "deny", "rule")
    for change in report.plan or []:
        rows.add_row(change.external_id, change.change, " ".join(change.allow), " ".join(change.deny), change.rule)
    results.print(rows)
    say("Nothing was changed.")
