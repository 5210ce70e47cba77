"""Commands on API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from apps.cli.shell import AsJson, administration, emit, opened_home, results, say, table, warn_unknown
from apps.rendering import key_json
from core.errors import WrongUsage
from core.principals import parse_principal
from governance.identity import ADMINISTRATOR, ADMINISTRATOR_SCOPES, PERSON_SCOPES, SCOPES, list_keys

app = typer.Typer(no_args_is_help=True)

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    as_: Annotated[str | None, typer.Option("--as", metavar="PRINCIPAL", help="Whom the key speaks for.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help=f"What it may do: {', '.join(SCOPES)}.")] = None,
    expires: Annotated[str | None, typer.Option(help="Lifetime, such as 12h, 30d or 8w; unset: no end.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it once. With --as it searches, asks and reads as that person; without, it administers."""
    principal = parse_principal(as_) if as_ else ADMINISTRATOR
    scopes = scope or (PERSON_SCOPES if as_ else ADMINISTRATOR_SCOPES)
    with opened_home() as home:
        if as_:
            warn_unknown(home, [principal.grantee])
        view, key = administration(home).create_key(name, principal, scopes, lifetime(expires))
    emit(as_json, {**key_json(view), "key": key}, lambda: say(f"{key}\nThis is shown once. Its id is {view.key_id}."))


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Every key, without its secret."""
    with opened_home() as home:
        administration(home).record("keys.list")
        with home.catalog.read() as session:
            views = list_keys(session)

    def render() -> None:
        rows = table("key", "name", "speaks for", "scopes", "expires", "state")
        for view in views:
            expires = f"{view.expires:%F %R}" if view.expires else "never"
            state = "revoked" if view.revoked else "in force"
            rows.add_row(view.key_id, view.name, str(view.principal), " ".join(view.scopes), expires, state)
        results.print(rows)

    emit(as_json, [key_json(view) for view in views], render)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id.")], as_json: AsJson = False) -> None:
    """End a key, and every browser session opened with it."""
    with opened_home() as home:
        view = administration(home).revoke_key(key_id)
    emit(as_json, key_json(view), lambda: say(f"The key {view.key_id} ({view.name}) is revoked."))


def lifetime(text: str | None, option: str = "--expires") -> timedelta | None:
    """A length of time as options take it; raises `WrongUsage`."""
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in _UNITS or not 0 < int(number) <= 10_000:
        raise WrongUsage(f"{option} {text!r} is no length of time: write 30m, 12h, 30d or 8w.")
    return int(number) * _UNITS[unit]
