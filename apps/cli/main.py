"""The entry of the command `footnote`."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import version

import typer

from apps.cli import (
    access,
    audit,
    batch,
    documents,
    evaluation,
    index,
    jobs,
    keys,
    operations,
    people,
    questions,
    redaction,
    slack,
    sources,
)
from apps.cli.demo import demo
from apps.cli.shell import failures_in_words, flags, say
from apps.cli.vllm import vllm
from apps.cli.worker import worker
from core.errors import WrongUsage

# How Python hands over bytes of the command line that are not UTF-8 (PEP 383).
_ODD_BYTES = re.compile("[\udc80-\udcff]")

app = typer.Typer(
    name="footnote",
    help="Answers from your organization's own documents, every sentence with its source.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for room in (operations, documents, questions, evaluation):
    room.add_to(app)
app.command()(demo)
app.command()(vllm)
app.command()(worker)
app.add_typer(batch.app, name="batch", help="Files of questions, answered row by row.")
app.add_typer(documents.app, name="documents", help="List, show and delete documents.")
app.add_typer(
    sources.app, name="sources", help="Folders and systems that documents come from, and how current they are."
)
app.add_typer(jobs.app, name="jobs", help="What workers do: progress, failures, retries.")
app.add_typer(people.groups, name="groups", help="Groups and their members.")
app.add_typer(people.users, name="users", help="The people Footnote knows.")
app.add_typer(keys.app, name="keys", help="API keys: scoped, expiring, shown once.")
app.add_typer(redaction.app, name="redaction", help="What is masked of secrets and personal data, and for whom.")
app.add_typer(access.app, name="access", help="Who may read a document, and why.")
app.add_typer(index.app, name="index", help="The index, a cache of the catalog.")
app.add_typer(slack.app, name="slack", help="The Slack bot, and who is who in Slack.")
app.add_typer(audit.app, name="audit", help="The record of every answer and every change.")


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    show_version: bool = typer.Option(False, "--version", help="Print the version and stop."),
    home: str = typer.Option("", "--home", metavar="DIR", help="The home (FOOTNOTE_HOME; default ./.footnote)."),
) -> None:
    if show_version:
        say(f"footnote {version('footnote')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(2)


def run() -> None:
    """Run the command line of this process."""
    # A question is embedded while its record is written: at the default of 5 ms either would wait for the other.
    sys.setswitchinterval(0.0005)
    flags.own_process = True
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: list[str]) -> int:
    """Run one command line; returns its exit code."""
    flags.values.clear()
    try:
        with failures_in_words():
            app(_with_prune_value(_without_home(_readable(arguments))), prog_name="footnote")
    except typer.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def _readable(arguments: list[str]) -> list[str]:
    """Arguments as text that SQL takes: what is not UTF-8 in them becomes U+FFFD, unless they name a file so."""
    return [one if os.path.lexists(one) else _ODD_BYTES.sub("\N{REPLACEMENT CHARACTER}", one) for one in arguments]


def _without_home(arguments: list[str]) -> list[str]:
    """Take `--home DIR` out of the arguments wherever it stands: it belongs to every command."""
    left: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            return [*left, argument, *rest]
        if argument == "--home":
            flags.values["home"] = _named(next(rest, ""))
        elif argument.startswith("--home="):
            flags.values["home"] = _named(argument.removeprefix("--home="))
        else:
            left.append(argument)
    return left


def _named(home: str) -> str:
    if not home:
        raise WrongUsage("--home needs a folder: write --home DIR.")
    return home


def _with_prune_value(arguments: list[str]) -> list[str]:
    """`--prune` may stand alone or carry `=force`; the parser below wants a value each time."""
    if arguments[:1] != ["ingest"] and arguments[:2] not in (["sources", "add"], ["sources", "sync"]):
        return arguments
    options = arguments.index("--") if "--" in arguments else len(arguments)
    alone = ["--prune=yes" if argument == "--prune" else argument for argument in arguments[:options]]
    return [*alone, *arguments[options:]]
