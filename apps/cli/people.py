"""Commands on people and groups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from apps.administration import require_group
from apps.cli.shell import AsJson, administration, emit, grantees, opened_home, results, say, table, warn_unknown
from apps.rendering import account_link_json
from apps.roster import apply_roster, read_roster
from apps.work import Work
from core.principals import Grantee, GranteeKind, parse_grantee, parse_principal
from governance.access import membership

groups = typer.Typer(no_args_is_help=True)
users = typer.Typer(no_args_is_help=True)

GroupName = Annotated[str, typer.Argument(help="The group, with or without `group:`.")]
UserName = Annotated[str, typer.Argument(help="The person, with or without `user:`.")]


@groups.command("list")
def list_groups(as_json: AsJson = False) -> None:
    """Every group and its direct members."""
    with opened_home() as home:
        administration(home).record("groups.list")
        with home.catalog.read() as session:
            views = membership.groups(session)

    def render() -> None:
        rows = table("group", "members")
        for view in views:
            rows.add_row(str(view.group), " ".join(map(str, view.members)))
        results.print(rows)

    emit(as_json, [{"group": str(v.group), "members": [str(m) for m in v.members]} for v in views], render)


@groups.command("set")
def set_group(
    group: GroupName,
    members: Annotated[list[str] | None, typer.Argument(help="user:ID or group:ID; none empties the group.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replace a group's members. A member may be a group; a cycle is refused and named."""
    named, chosen = _group(group), grantees(members or [])
    with opened_home() as home:
        administration(home).set_group(named, chosen)
        warn_unknown(home, chosen)
    document = {"group": str(named), "members": [str(member) for member in chosen]}
    emit(as_json, document, lambda: say(f"{named} has {len(chosen)} member{'s' if len(chosen) != 1 else ''}."))


@groups.command("load")
def load_groups(
    file: Annotated[Path, typer.Argument(help="YAML with `groups:` and, if you like, `people:`.")],
    as_json: AsJson = False,
) -> None:
    """Bring in a whole roster of people and groups, all of it or nothing."""
    roster = read_roster(file)
    with opened_home() as home:
        apply_roster(administration(home), roster)
    document = {"groups": len(roster.groups), "people": len(roster.people)}
    emit(as_json, document, lambda: say(f"{len(roster.groups)} groups and {len(roster.people)} people are known."))


@groups.command("delete")
def delete_group(group: GroupName, as_json: AsJson = False) -> None:
    """Forget a group; it has no members from the next question on."""
    named = _group(group)
    with opened_home() as home:
        administration(home).delete_group(named)
    emit(as_json, {"deleted": str(named)}, lambda: say(f"{named} is deleted."))


@users.command("list")
def list_users(as_json: AsJson = False) -> None:
    """Everybody Footnote knows, and the groups that name them."""
    with opened_home() as home:
        administration(home).record("users.list")
        with home.catalog.read() as session:
            views = membership.users(session)

    def render() -> None:
        rows = table("user", "name", "active", "groups")
        for view in views:
            rows.add_row(str(view.user), view.name, "yes" if view.active else "no", " ".join(map(str, view.groups)))
        results.print(rows)

    emit(as_json, [_user_json(view) for view in views], render)


@users.command("set")
def set_user(
    user: UserName,
    name: Annotated[str, typer.Option(help="Display name.")] = "",
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="An inactive person reads nothing; unset: as it was.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a person known, or change their name, or let them read nothing any more."""
    named = _person(user)
    with opened_home() as home:
        view = administration(home).define_user(named, name, active)
    emit(as_json, _user_json(view), lambda: say(f"{named} is {'active' if view.active else 'inactive'}."))


def _person(name: str) -> Grantee:
    return parse_principal(name if name.startswith("user:") else f"user:{name}").grantee


def _user_json(view: membership.UserView) -> dict[str, Any]:
    groups = [str(group) for group in view.groups]
    return {"user": str(view.user), "name": view.name, "active": view.active, "groups": groups}


def _group(name: str) -> Grantee:
    return require_group(parse_grantee(name if name.startswith(f"{GranteeKind.GROUP}:") else f"group:{name}"))


@users.command("link")
def link(
    user: UserName,
    account: Annotated[str, typer.Argument(help="The account: user:SYSTEM|ID, as `sources accounts` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Let a person read what their account of another system may read there."""
    person, owned = _person(user), parse_grantee(account)
    with opened_home() as home:
        Work(administration(home)).link_account(person, owned)
    emit(as_json, {"account": str(owned), "person": str(person)}, lambda: say(f"{owned} is {person}'s."))


@users.command("unlink")
def unlink(
    account: Annotated[str, typer.Argument(help="The account: user:SYSTEM|ID.")], as_json: AsJson = False
) -> None:
    """Let an account of another system be nobody's: what it may read there is read by nobody through it."""
    owned = parse_grantee(account)
    with opened_home() as home:
        Work(administration(home)).unlink_account(owned)
    emit(as_json, {"account": str(owned), "person": None}, lambda: say(f"{owned} is nobody's any more."))


@users.command("links")
def links(as_json: AsJson = False) -> None:
    """Every account of another system that is somebody's."""
    with opened_home() as home:
        found = Work(administration(home)).account_links()

    def render() -> None:
        rows = table("account", "person")
        for one in found:
            rows.add_row(str(one.account), str(one.person))
        results.print(rows)

    emit(as_json, [account_link_json(one) for one in found], render)
