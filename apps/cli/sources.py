"""Commands on sources: folders and systems that are kept in step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from apps.cli.documents import finish
from apps.cli.keys import lifetime
from apps.cli.operations import progress_bar
from apps.cli.shell import AsJson, administration, emit, grantees, opened_home, results, say, table
from apps.cli.systems import ago, system_request
from apps.rendering import connection_json, source_json
from apps.work import Work
from governance.access.rules import written
from ingest.sources import SourceRequest
from wiring.connectors import KINDS, kind_of

app = typer.Typer(no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="SOURCE", help="The source's name or id.")]


@app.command()
def add(
    place: Annotated[
        str, typer.Argument(metavar="PATH_OR_URL_OR_KIND", help="Folder, address or kind of system to keep in step.")
    ],
    source: Annotated[str | None, typer.Option(help="Name of the source; by default its path or address.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the system (JSON or text).")
    ] = None,
    secret: Annotated[
        str | None, typer.Option(help="Where its credential is: env:FOOTNOTE_SECRET_NAME or file:NAME.")
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Who may read where the source does not say.")] = None,
    access: Annotated[Path | None, typer.Option(help="Rules for the source, written as access.yaml.")] = None,
    every: Annotated[str | None, typer.Option(help="How often, such as 30m, 12h or 1d; unset: when asked.")] = None,
    prune: Annotated[
        str, typer.Option(help="Delete what a folder no longer has; a system's documents always go.")
    ] = "no",
    as_json: AsJson = False,
) -> None:
    """Keep a folder or a system in step. A worker (`footnote serve` or `footnote worker`) brings its documents in."""
    interval = lifetime(every, "--every") if every else None
    system = system_request(place, source, set_ or [], secret, allow, access)
    with opened_home() as home:
        work = Work(administration(home))
        if system is not None:
            view, job_id = work.add_system(replace(system, every=interval))
        else:
            path = Path(place).resolve()
            request = SourceRequest(
                name=source or written(path),
                path=path,
                allow=grantees(allow or []),
                access_file=access.resolve() if access else None,
                every=interval,
                prune=prune != "no",
            )
            view, job_id = work.add_source(request)
    emit(
        as_json,
        {**source_json(view), "job_id": job_id},
        lambda: say(f"{view.name} is kept in step. Follow it with: footnote jobs show {job_id}"),
    )


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Every source that is kept in step or holds a document, and how current it is."""
    with opened_home() as home:
        views = Work(administration(home)).sources()

    def render() -> None:
        rows = table("id", "source", "kind", "kept in step", "documents", "failed", "waiting", "current")
        for view in views:
            interval = f"every {timedelta(seconds=view.every_s)}" if view.every_s else "when asked"
            rows.add_row(
                str(view.source_id),
                view.name,
                view.kind,
                interval if view.standing else "no",
                str(view.documents),
                str(view.failed),
                str(view.waiting),
                ago(view.content_at),
            )
        results.print(rows)
        for view in views:
            if view.problem:
                say(f"{view.name}: {view.problem}")
            if view.notices:
                say(f"{view.name}: {view.notices} things it did not tell; footnote sources show {view.source_id}")

    emit(as_json, [source_json(view) for view in views], render)


@app.command()
def show(source: Named, as_json: AsJson = False) -> None:
    """One source: how current it is, how it is reached, and what it did not tell."""
    with opened_home() as home:
        work = Work(administration(home))
        view = work.source(source)
        freshness = work.connection(view.source_id)
    record = {**source_json(view), **(connection_json(freshness) if freshness else {})}

    def render() -> None:
        for name, value in record.items():
            say(f"{name}: {value}")

    emit(as_json, record, render)


@app.command()
def sync(
    source: Named,
    here: Annotated[bool, typer.Option("--here", help="In this process, not by a worker; systems only.")] = False,
    prune: Annotated[
        str, typer.Option(metavar="force", help="Let a listing that has shrunk delete much; implies --here.")
    ] = "no",
    as_json: AsJson = False,
) -> None:
    """Bring a standing source in step now, by a worker."""
    with opened_home() as home:
        work = Work(administration(home))
        if here or prune != "no":
            with progress_bar() as bar:
                task = bar.add_task(f"Syncing {source}", total=None)
                report = work.sync_system(
                    source,
                    prune == "force",
                    lambda done, total, failed: bar.update(task, completed=done, total=total),
                )
            finish([report], as_json)
            return
        job_id = work.sync_source(source)
    emit(as_json, {"job_id": job_id}, lambda: say(f"Queued. Follow it with: footnote jobs show {job_id}"))


@app.command()
def pause(source: Named, as_json: AsJson = False) -> None:
    """Let a source wait, with all that is on its way in, until it is resumed."""
    with opened_home() as home:
        view = Work(administration(home)).pause_source(source)
    emit(as_json, source_json(view), lambda: say(f"{view.name} is paused; {view.waiting} documents wait."))


@app.command()
def resume(source: Named, as_json: AsJson = False) -> None:
    """Let a paused source go on."""
    with opened_home() as home:
        view = Work(administration(home)).resume_source(source)
    emit(as_json, source_json(view), lambda: say(f"{view.name} goes on; {view.waiting} documents are on their way in."))


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


@app.command()
def label(
    source: Named,
    add: Annotated[list[str] | None, typer.Option(metavar="LABEL", help="Give this label; again for more.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="LABEL", help="Take this label away.")] = None,
    as_json: AsJson = False,
) -> None:
    """The labels that all documents of a source have, also those to come."""
    with opened_home() as home:
        labels = administration(home).label_source(source, add or (), remove or ())
    emit(as_json, {"source": source, "labels": labels}, lambda: say("\n".join(labels) or "It has no label."))


@app.command()
def accounts(source: Named, as_json: AsJson = False) -> None:
    """Everybody whom a system's lists may name, asked of it now, and whose accounts these are here."""
    with opened_home() as home:
        work = Work(administration(home))
        found = sorted(work.accounts(source), key=lambda account: account.user)
        owners = {link.account: str(link.person) for link in work.account_links()}
    document = [
        {"account": str(one.user), "name": one.name, "email": one.email, "person": owners.get(one.user)}
        for one in found
    ]

    def render() -> None:
        rows = table("account", "name", "address", "person")
        for one in document:
            rows.add_row(*(str(value or "") for value in one.values()))
        results.print(rows)
        say("Link one with: footnote users link user:ID ACCOUNT")

    emit(as_json, document, render)


@app.command()
def kinds(
    kind: Annotated[str | None, typer.Argument(help="The settings of one kind.")] = None, as_json: AsJson = False
) -> None:
    """The kinds of system that documents can come from, and what each is set up with."""
    chosen = {name: kind_of(name) for name in ([kind] if kind else sorted(KINDS))}
    settings = {
        name: {
            field: {
                "required": about.is_required(),
                "default": None if about.is_required() else about.get_default(call_default_factory=True),
                "meaning": about.description or "",
            }
            for field, about in one.settings.model_fields.items()
        }
        for name, one in chosen.items()
    }
    document = {
        name: {"credential": one.credential or None, "settings": settings[name]} for name, one in chosen.items()
    }

    def render() -> None:
        for name, one in chosen.items():
            say(f"{name}: needs {one.credential or 'no credential'}")
            for field, about in settings[name].items() if kind else ():
                start = "required" if about["required"] else f"default {about['default']!r}"
                say(f"  {field} ({start}): {about['meaning']}")

    emit(as_json, document, render)
