"""People and groups: who is defined, who belongs to what, and everything one principal holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import CTE, ColumnElement, Select, and_, bindparam, delete, exists, or_, select
from sqlalchemy.orm import Session, aliased

from catalog.database import bump_epoch
from catalog.models import GranteeRow, Membership
from core.errors import NotFound, WrongUsage
from core.principals import Grantee, GranteeKind, Principal


@dataclass(frozen=True)
class GroupView:
    """A defined group and its direct members, sorted."""

    group: Grantee
    members: tuple[Grantee, ...]


@dataclass(frozen=True)
class UserView:
    """A known person and the groups that name them directly, sorted."""

    user: Grantee
    name: str
    active: bool
    groups: tuple[Grantee, ...]


def asking(principal: Principal) -> dict[str, str]:
    """The parameters that name who asks in a statement with `HELD` in it."""
    return {"asker_issuer": principal.issuer, "asker_subject": principal.subject}


def _held() -> CTE:
    def asker(row: type[GranteeRow]) -> ColumnElement[bool]:
        named = and_(row.issuer == bindparam("asker_issuer"), row.subject == bindparam("asker_subject"))
        return and_(row.kind == GranteeKind.USER.value, named)

    other = aliased(GranteeRow)
    inactive = exists().where(asker(other), other.active.is_(False))
    base = (
        select(GranteeRow.id.label("id"))
        .where(or_(asker(GranteeRow), GranteeRow.kind == GranteeKind.EVERYONE.value))
        .where(~inactive)
        .cte("held", recursive=True)
    )
    return base.union(select(Membership.group_id).join(base, Membership.member_id == base.c.id))


HELD = _held()
"""The ids of everything somebody is: themselves, every group they are in at any depth, and everyone.

Somebody unknown is only everyone; somebody inactive is nothing. It stands inside the statement that decides, so that
the decision and what it decides on are one moment; `asking` names the somebody. Built once: building a statement
takes longer than running it.
"""


def intern(session: Session, grantee: Grantee) -> int:
    """The id of a grantee, creating an undefined one on first mention. Call within a writing transaction."""
    row = session.scalar(select(GranteeRow).where(_is(grantee)))
    if row is None:
        row = GranteeRow(kind=grantee.kind.value, issuer=grantee.issuer, subject=grantee.subject)
        session.add(row)
        session.flush()
    return row.id


def unknown(session: Session, grantees: Iterable[Grantee]) -> list[Grantee]:
    """Those of `grantees` that nobody has defined, sorted; naming them is allowed, and worth a warning."""
    names = {grantee for grantee in grantees if grantee.kind is not GranteeKind.EVERYONE}
    rows = session.scalars(select(GranteeRow).where(GranteeRow.defined))
    return sorted(names - {as_grantee(row) for row in rows})


def set_members(session: Session, group: Grantee, members: Sequence[Grantee]) -> None:
    """Replace the members of a group, defining it.

    Raises `WrongUsage` for a cycle, naming its path; nothing is changed then.
    """
    if group.kind is not GranteeKind.GROUP:
        raise WrongUsage(f"{group} is not a group.")
    bump_epoch(session)
    group_row = _define(session, group)
    session.execute(delete(Membership).where(Membership.group_id == group_row.id))
    for member in dict.fromkeys(members):
        row = _define(session, member) if member.kind is GranteeKind.USER else _row(session, member)
        session.add(Membership(group_id=group_row.id, member_id=row.id))
    session.flush()
    cycle = _cycle_through(session, group_row.id)
    if cycle:
        raise WrongUsage(f"Groups may not contain themselves: {' > '.join(cycle)}. Nothing was changed.")


def delete_group(session: Session, group: Grantee) -> None:
    """Forget a group: it has no members from now on, and belongs to nothing. Raises `NotFound`."""
    row = session.scalar(select(GranteeRow).where(_is(group), GranteeRow.defined))
    if row is None:
        raise NotFound("group", group.subject)
    bump_epoch(session)
    session.execute(delete(Membership).where(or_(Membership.group_id == row.id, Membership.member_id == row.id)))
    row.defined = False


def define_user(session: Session, user: Grantee, name: str = "", active: bool | None = None) -> UserView:
    """Make a person known, or change their display name or whether they are active; what is not given stays."""
    if user.kind is not GranteeKind.USER:
        raise WrongUsage(f"{user} is not a person.")
    bump_epoch(session)
    row = _define(session, user)
    row.name = name or row.name
    row.active = row.active if active is None else active
    session.flush()
    return _user_view(session, row)


def groups(session: Session) -> list[GroupView]:
    """Every defined group with its direct members, sorted by name."""
    rows = session.scalars(select(GranteeRow).where(GranteeRow.kind == GranteeKind.GROUP, GranteeRow.defined)).all()
    return [GroupView(as_grantee(row), _members(session, row.id)) for row in sorted(rows, key=as_grantee)]


def users(session: Session) -> list[UserView]:
    """Every known person, sorted by name."""
    rows = session.scalars(select(GranteeRow).where(GranteeRow.kind == GranteeKind.USER, GranteeRow.defined)).all()
    return [_user_view(session, row) for row in sorted(rows, key=as_grantee)]


def held_grantees(session: Session, principal: Principal) -> list[Grantee]:
    """What `principal` is, in words, sorted (for `access explain`)."""
    rows: Select[GranteeRow] = select(GranteeRow).where(GranteeRow.id.in_(select(HELD.c.id)))
    return sorted(as_grantee(row) for row in session.scalars(rows, asking(principal)))


def as_grantee(row: GranteeRow) -> Grantee:
    return Grantee(GranteeKind(row.kind), row.issuer, row.subject)


def _is(grantee: Grantee) -> ColumnElement[bool]:
    return and_(
        GranteeRow.kind == grantee.kind.value,
        GranteeRow.issuer == grantee.issuer,
        GranteeRow.subject == grantee.subject,
    )


def _row(session: Session, grantee: Grantee) -> GranteeRow:
    return session.get_one(GranteeRow, intern(session, grantee))


def _define(session: Session, grantee: Grantee) -> GranteeRow:
    row = _row(session, grantee)
    row.defined = True
    return row


def _user_view(session: Session, row: GranteeRow) -> UserView:
    in_groups = session.scalars(
        select(GranteeRow)
        .join(Membership, Membership.group_id == GranteeRow.id)
        .where(Membership.member_id == row.id, GranteeRow.kind == GranteeKind.GROUP)
    )
    return UserView(as_grantee(row), row.name, row.active, tuple(sorted(map(as_grantee, in_groups))))


def _members(session: Session, group_id: int) -> tuple[Grantee, ...]:
    rows = session.scalars(
        select(GranteeRow)
        .join(Membership, Membership.member_id == GranteeRow.id)
        .where(Membership.group_id == group_id)
    )
    return tuple(sorted(map(as_grantee, rows)))


def _cycle_through(session: Session, group_id: int) -> list[str]:
    """The names along a path of memberships from a group back to itself; empty if there is none."""
    members: dict[int, list[int]] = {}
    for parent, child in session.execute(select(Membership.group_id, Membership.member_id)):
        members.setdefault(parent, []).append(child)
    paths = [[group_id]]
    seen: set[int] = set()
    while paths:
        path = paths.pop()
        for child in members.get(path[-1], ()):
            if child == group_id:
                return [str(as_grantee(session.get_one(GranteeRow, step))) for step in [*path, child]]
            if child not in seen:
                seen.add(child)
                paths.append([*path, child])
    return []
