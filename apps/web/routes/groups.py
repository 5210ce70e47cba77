"""Groups and their members, for administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from apps.web.guard import Administrator, GuardedRoute, OpenHome, needs
from apps.web.requests import GroupBody
from core.errors import Conflict, WrongUsage
from core.principals import Grantee, parse_grantee
from governance.access.membership import groups, unknown

router = APIRouter(route_class=GuardedRoute, tags=["groups"])


@router.get("/v1/groups")
@needs("admin")
def list_groups(home: OpenHome, administration: Administrator) -> list[dict[str, Any]]:
    """Every defined group with its direct members."""
    administration.record("groups.list")
    with home.catalog.read() as session:
        return [_group_json(view.group, view.members) for view in groups(session)]


# A group's name may hold a slash.
@router.put("/v1/groups/{name:path}")
@needs("admin")
def set_group(name: str, body: GroupBody, home: OpenHome, administration: Administrator) -> dict[str, Any]:
    """Replace a group's members, defining the group; a cycle is refused and named."""
    group, members = parse_grantee(f"group:{name}"), [parse_grantee(member) for member in body.members]
    try:
        administration.set_group(group, members)
    except WrongUsage as error:
        # The names made sense; what does not is how they would contain each other.
        raise Conflict(str(error)) from error
    with home.catalog.read() as session:
        warnings = [f"{member} has not been defined yet; it has no members." for member in unknown(session, members)]
    return {**_group_json(group, members), "warnings": warnings}


@router.delete("/v1/groups/{name:path}", status_code=204)
@needs("admin")
def delete_group(name: str, administration: Administrator) -> None:
    """Forget a group."""
    administration.delete_group(parse_grantee(f"group:{name}"))


def _group_json(group: Grantee, members: Sequence[Grantee]) -> dict[str, Any]:
    return {"group": str(group), "members": sorted({str(member) for member in members})}
