"""Groups and accounts of other systems: their members as the system tells them, and whose account is whose.

An account of another system is a grantee like a person of ours, under the system as its issuer. Whoever it belongs to
holds it as a member holds a group, so that a right of the account is theirs by the one rule that decides everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, aliased

from catalog.connections import MirroredGroupRow
from catalog.database import bump_epoch
from catalog.models import GranteeRow, Membership
from core.errors import NotFound, WrongUsage
from core.principals import EVERYONE, LOCAL_ISSUER, Grantee, GranteeKind
from governance.access.membership import as_grantee, intern

HELD_BACK_ISSUER = "footnote"


def held_back(source_id: int) -> Grantee:
    """The group that every mirrored document of a source denies: nobody, or everyone while its rights are unknown."""
    return Grantee(GranteeKind.GROUP, HELD_BACK_ISSUER, f"rights-unknown-{source_id}")


def hold_back(session: Session, source_id: int) -> bool:
    """Let nobody read a source's documents, at once and in one row; False if that was so already."""
    return _replace(session, intern(session, held_back(source_id)), {intern(session, EVERYONE)})


def is_held_back(session: Session, source_id: int) -> bool:
    """Whether nobody reads a source's documents for now."""
    members = select(Membership.member_id).join(GranteeRow, GranteeRow.id == Membership.group_id)
    group = held_back(source_id)
    ours = (GranteeRow.issuer == group.issuer, GranteeRow.subject == group.subject)
    return session.scalar(members.where(*ours)) is not None


def release(session: Session, source_id: int) -> bool:
    """Let the source's own rights hold again; False if they did already."""
    return _replace(session, intern(session, held_back(source_id)), set())


def mirror_groups(session: Session, source_id: int, groups: Mapping[Grantee, Sequence[Grantee]]) -> int:
    """Let these be the groups that a source tells of, with their direct members; returns how many have changed.

    A group that it told of before and that no other source tells of has no members from now on. A group within itself
    is no error here: it is not ours to correct. Raises `WrongUsage` for a group of our own, which no other system may
    fill.
    """
    for group in groups:
        if group.kind is not GranteeKind.GROUP or group.issuer in (LOCAL_ISSUER, HELD_BACK_ISSUER):
            raise WrongUsage(f"A source cannot say who belongs to {group}.")
    before = set(session.scalars(select(MirroredGroupRow.group_id).where(MirroredGroupRow.source_id == source_id)))
    now = {intern(session, group): {intern(session, one) for one in members} for group, members in groups.items()}
    session.add_all(MirroredGroupRow(source_id=source_id, group_id=group_id) for group_id in now.keys() - before)
    changed = sum(_replace(session, group_id, members) for group_id, members in now.items())
    for group_id in before - now.keys():
        ours = (MirroredGroupRow.source_id == source_id, MirroredGroupRow.group_id == group_id)
        session.execute(delete(MirroredGroupRow).where(*ours))
        others = select(MirroredGroupRow.source_id).where(MirroredGroupRow.group_id == group_id)
        if session.scalar(others) is None:
            changed += _replace(session, group_id, set())
    return changed


@dataclass(frozen=True, order=True)
class AccountLink:
    """An account of another system, and the person it belongs to."""

    account: Grantee
    person: Grantee


def link_account(session: Session, person: Grantee, account: Grantee) -> None:
    """Let a person read what their account of another system may read there.

    Raises `WrongUsage` for what is no person or no account of another system, and for an account that is somebody
    else's already.
    """
    if person.kind is not GranteeKind.USER or person.issuer == account.issuer:
        raise WrongUsage(f"{person} is no person of ours; write user:ID.")
    if account.kind is not GranteeKind.USER or account.issuer in (LOCAL_ISSUER, HELD_BACK_ISSUER):
        raise WrongUsage(f"{account} is no account of another system; write user:SYSTEM|ID.")
    for link in account_links(session):
        if link.account == account and link.person != person:
            raise WrongUsage(f"{account} belongs to {link.person}; unlink it there first.")
    own_account(session, person, account)


def own_account(session: Session, person: Grantee, account: Grantee) -> None:
    """Let a person hold an account that they have proved to be theirs, whoever an administrator took for its owner."""
    # Its row is locked until commit, so that two of these never make the same grantee twice.
    bump_epoch(session)
    owner = intern(session, person)
    session.get_one(GranteeRow, owner).defined = True
    _replace(session, intern(session, account), {owner})


def disown_account(session: Session, person: Grantee, account: Grantee) -> None:
    """End what `own_account` began; an account that is somebody else's by now stays theirs."""
    if AccountLink(account, person) in account_links(session):
        _replace(session, intern(session, account), set())


def unlink_account(session: Session, account: Grantee) -> None:
    """Let an account of another system be nobody's. Raises `NotFound`."""
    if account.kind is not GranteeKind.USER or not _replace(session, intern(session, account), set()):
        raise NotFound("linked account", str(account))


def account_links(session: Session) -> list[AccountLink]:
    """Every account of another system that is somebody's, sorted."""
    account, person = aliased(GranteeRow), aliased(GranteeRow)
    query = (
        select(account, person)
        .join(Membership, Membership.group_id == account.id)
        .join(person, person.id == Membership.member_id)
        .where(account.kind == GranteeKind.USER.value)
    )
    return sorted(AccountLink(as_grantee(one), as_grantee(other)) for one, other in session.execute(query))


def _replace(session: Session, group_id: int, members: set[int]) -> bool:
    """Make these the members of a grantee; False, and no new epoch, if they are already."""
    before = set(session.scalars(select(Membership.member_id).where(Membership.group_id == group_id)))
    if before == members:
        return False
    bump_epoch(session)
    session.execute(
        delete(Membership).where(Membership.group_id == group_id, Membership.member_id.in_(before - members))
    )
    session.add_all(Membership(group_id=group_id, member_id=member) for member in members - before)
    session.flush()
    return True
