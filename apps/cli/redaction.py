"""`footnote redaction`: what is masked for the members of a group."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from apps.cli.shell import AsJson, administration, emit, opened_home, results, say, table
from core.errors import WrongUsage
from core.principals import EVERYONE, Grantee, GranteeKind, parse_grantee
from governance.redaction import policies
from governance.safety.sensitive import Policy

app = typer.Typer(no_args_is_help=True)

GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="A group, with or without `group:` before it.")]


@app.command("list")
def list_policies(as_json: AsJson = False) -> None:
    """The policy of everybody else, and the groups that have one of their own."""
    with opened_home() as home:
        administration(home).record("redaction.list")
        default = home.settings.redaction
        with home.catalog.read() as session:
            views = policies(session)

    def render() -> None:
        rows = table("group", "policy")
        for view in views:
            rows.add_row(str(view.group), view.policy)
        rows.add_row("everybody else", default)
        results.print(rows)

    groups = [{"group": str(view.group), "policy": view.policy} for view in views]
    emit(as_json, {"default": default, "groups": groups}, render)


@app.command("set")
def set_policy(
    group: GroupName,
    policy: Annotated[str, typer.Argument(help="open: nothing is masked; standard; strict: everything found is.")],
    as_json: AsJson = False,
) -> None:
    """Let a policy hold for a group's members from their next question on; the most permissive of theirs decides."""
    named = _named(group)
    chosen: Policy | None = next((one for one in get_args(Policy) if one == policy), None)
    if chosen is None:
        raise WrongUsage(f"{policy!r} is no policy: write {', '.join(get_args(Policy))}.")
    with opened_home() as home:
        administration(home).set_redaction(named, chosen)
    emit(as_json, {"group": str(named), "policy": chosen}, lambda: say(f"{named} now has the policy {chosen}."))


@app.command("unset")
def unset_policy(group: GroupName, as_json: AsJson = False) -> None:
    """Let a group have no policy of its own."""
    named = _named(group)
    with opened_home() as home:
        administration(home).unset_redaction(named)
    emit(as_json, {"group": str(named), "policy": None}, lambda: say(f"{named} has no policy of its own any more."))


def _named(group: str) -> Grantee:
    """The grantee as it was written, `group:` being left out or not."""
    known = group == str(EVERYONE) or group.partition(":")[0] in list(GranteeKind)
    return parse_grantee(group if known else f"{GranteeKind.GROUP}:{group}")
