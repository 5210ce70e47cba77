"""Commands that run the Slack bot and look after who is who in Slack."""

from __future__ import annotations

from typing import Annotated

import typer

from apps.cli.shell import (
    AsAnybody,
    AsJson,
    AsPrincipal,
    actor,
    administration,
    asker,
    emit,
    notes,
    opened_home,
    results,
    say,
    table,
)
from apps.rendering import slack_link_json
from core.principals import parse_principal

app = typer.Typer(invoke_without_command=True)


@app.callback()
def run(
    context: typer.Context,
    http: Annotated[bool, typer.Option("--http", help="Be called by Slack instead of Socket Mode.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on with --http.")] = None,
    port: Annotated[int, typer.Option(help="Port to listen on with --http.")] = 8322,
) -> None:
    """Run the Slack bot until Ctrl-C: over Socket Mode, or with --http as a server for Slack's events."""
    if context.invoked_subcommand is not None:
        return
    from apps.slack.serving import run_http, run_socket

    with opened_home() as home:
        home.warm()

        def ready(where: str) -> None:
            notes.print(f"The Slack bot is ready: {where}")

        if http:
            run_http(home, host or home.settings.host, port, ready)
        else:
            run_socket(home, ready)


@app.command()
def link(as_: AsPrincipal, as_json: AsJson = False) -> None:
    """A code, shown once, with which this person proves in Slack who they are."""
    with opened_home() as home:
        code = home.slack_accounts.code(asker(home, as_), actor())
    emit(as_json, {"code": code}, lambda: say(f"Send this to the bot in a direct message: link {code}"))


@app.command()
def links(as_: AsAnybody = None, as_json: AsJson = False) -> None:
    """The Slack accounts that are linked: one person's, or all."""
    with opened_home() as home:
        administration(home).record("slack.links")
        accounts = home.slack_accounts
        views = accounts.links_of(parse_principal(as_)) if as_ else accounts.links()

    def render() -> None:
        rows = table("workspace", "user", "is", "since")
        for view in views:
            rows.add_row(view.account.team_id, view.account.user_id, str(view.principal), f"{view.linked:%F %R}")
        results.print(rows)

    emit(as_json, [slack_link_json(view) for view in views], render)


@app.command()
def unlink(as_: AsPrincipal, as_json: AsJson = False) -> None:
    """End every link of a person, and their code."""
    with opened_home() as home:
        ended = home.slack_accounts.unlink_person(parse_principal(as_), actor())
    emit(as_json, {"unlinked": ended}, lambda: say(f"{ended} links of {as_} are ended."))
