"""What every command shares: the settings it was given, the home it opens, and how it prints and fails."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from apps.administration import Administration
from core.errors import FootnoteError, WrongUsage
from core.principals import Grantee, Principal, parse_grantee, parse_principal
from governance.access.membership import unknown
from wiring.home import Home
from wiring.lifecycle import open_home
from wiring.settings import LoadedSettings, load_settings
from wiring.tracing import send_traces

# Everything that is not the result goes to stderr, so that stdout can be piped.
notes = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
AsPrincipal = Annotated[str, typer.Option("--as", metavar="PRINCIPAL", help="Who asks: user:ID.")]
AsAnybody = Annotated[
    str | None, typer.Option("--as", metavar="PRINCIPAL", help="Who reads: user:ID; by default the operator.")
]


@dataclass
class Flags:
    """What was said before and around the command, and whether this process is the command's own."""

    values: dict[str, Any] = field(default_factory=dict)
    own_process: bool = False


flags = Flags()


def settings(**more: Any) -> LoadedSettings:
    """The settings of this invocation; `more` are a command's own flags (None: not given)."""
    return load_settings({**flags.values, **more})


@contextmanager
def opened_home(**more: Any) -> Iterator[Home]:
    """The home of this invocation, closed when the block ends; Ctrl-C in it is met with words."""
    chosen = settings(**more).settings
    send_traces(chosen.traces_url)
    with open_home(chosen) as home:
        try:
            yield home
        except KeyboardInterrupt:
            notes.print("Interrupted. Nothing is lost: run the same command again to go on.")
            raise typer.Exit(130) from None


def operator() -> Principal:
    """Who runs the command, by the name the system knows them by; not a user of the organization."""
    return Principal("operator", getpass.getuser())


def actor() -> str:
    return f"operator:{operator().subject}"


def administration(home: Home) -> Administration:
    return Administration(home, operator(), actor())


def asker(home: Home, name: str) -> Principal:
    """The person named by `--as`; a warning on stderr says when nobody has defined them."""
    principal = parse_principal(name)
    warn_unknown(home, [principal.grantee])
    return principal


def warn_unknown(home: Home, grantees: Sequence[Grantee]) -> None:
    with home.catalog.read() as session:
        for grantee in unknown(session, grantees):
            warn(f"{grantee} is not known yet: nobody has defined it, and it belongs to nothing but everyone.")


def warn(message: str) -> None:
    notes.print(f"[yellow]Warning:[/] {_plain(message)}")


def grantees(names: Sequence[str]) -> list[Grantee]:
    return [parse_grantee(name) for name in names]


def require_place(file: Path) -> None:
    """Raise `WrongUsage` where no file can be written, before the work that would fill it."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise WrongUsage(f"There is no folder {folder} to write {file.name} to.")
    if file.is_dir():
        raise WrongUsage(f"{file} is a folder; name a file to write.")


def emit(as_json: bool, document: Any, render: Callable[[], None]) -> None:
    """Print a result: as one JSON document, or for people."""
    if as_json:
        json.dump(document, sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")
    else:
        render()


def table(name: str, *columns: str) -> Table:
    """A table whose first column, by which a row is named to other commands, is shown whole however narrow it gets."""
    return Table(Column(name, no_wrap=True), *columns, box=None, header_style="bold", pad_edge=False)


def say(text: str = "", end: str = "\n") -> None:
    """Print a line of a result, exactly as it is; at once, also where `end` leaves it open."""
    results.print(_plain(text), end=end)


@contextmanager
def failures_in_words() -> Iterator[None]:
    """Turn our errors into one clear line and an exit code: 2 for wrong usage, 1 for everything else."""
    try:
        yield
    except FootnoteError as error:
        notes.print(f"[red]Error:[/] {_plain(str(error))}")
        raise typer.Exit(2 if isinstance(error, WrongUsage) else 1) from error
    except BrokenPipeError:
        raise typer.Exit(1) from None


def _plain(text: str) -> str:
    """Text as it is: brackets are not markup, and what a terminal would obey is shown instead."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown.replace("[", "\\[")
