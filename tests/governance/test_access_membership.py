"""What somebody is: themselves, their groups at any depth, and everyone."""

from __future__ import annotations

import pytest
from shelf import Shelf, names

from catalog.database import Catalog
from core.errors import NotFound, WrongUsage
from core.principals import Principal, parse_grantee, parse_principal
from governance.access import membership


@pytest.fixture
def shelf(catalog: Catalog) -> Shelf:
    shelf = Shelf(catalog)
    shelf.put("open.md", allow="everyone")
    return shelf


def held(shelf: Shelf, principal: Principal) -> set[str]:
    with shelf.catalog.read() as session:
        return set(map(str, membership.held_grantees(session, principal)))


def test_groups_in_groups_are_held_at_any_depth(shelf: Shelf) -> None:
    shelf.group("group:payroll", "user:ana")
    shelf.group("group:finance", "group:payroll user:ben")
    shelf.group("group:staff", "group:finance")
    shelf.group("group:legal", "user:cleo")

    assert held(shelf, parse_principal("user:ana")) == {
        "user:ana", "group:payroll", "group:finance", "group:staff", "everyone",
    }  # fmt: skip
    assert held(shelf, parse_principal("user:ben")) == {"user:ben", "group:finance", "group:staff", "everyone"}


def test_somebody_unknown_is_everyone_and_nothing_else(shelf: Shelf) -> None:
    shelf.group("group:staff", "user:ana")

    assert held(shelf, parse_principal("user:zed")) == {"everyone"}


@pytest.mark.parametrize("other", ["user:Ana", "user:https://id.example|ana", "user:an"])
def test_a_person_is_their_issuer_and_their_exact_subject(shelf: Shelf, other: str) -> None:
    shelf.group("group:staff", "user:ana")

    assert "group:staff" in held(shelf, parse_principal("user:ana"))
    assert held(shelf, parse_principal(other)) == {"everyone"}


def test_somebody_inactive_is_nothing_not_even_everyone(shelf: Shelf) -> None:
    shelf.group("group:staff", "user:ana user:ben")
    shelf.deactivate("user:ana")

    assert held(shelf, parse_principal("user:ana")) == set()
    assert held(shelf, parse_principal("user:ben")) == {"user:ben", "group:staff", "everyone"}


def test_a_deleted_group_has_no_members_and_belongs_to_nothing(shelf: Shelf) -> None:
    shelf.group("group:payroll", "user:ana")
    shelf.group("group:staff", "group:payroll")
    with shelf.catalog.write() as session:
        membership.delete_group(session, parse_grantee("group:payroll"))
    assert held(shelf, parse_principal("user:ana")) == {"user:ana", "everyone"}

    shelf.group("group:payroll", "user:ana")
    assert held(shelf, parse_principal("user:ana")) == {"user:ana", "group:payroll", "everyone"}

    with pytest.raises(NotFound), shelf.catalog.write() as session:
        membership.delete_group(session, parse_grantee("group:nobody"))


@pytest.mark.parametrize(
    ("group", "members", "path"),
    [
        ("group:a", "group:a", "group:a > group:a"),
        ("group:c", "group:a", "group:c > group:a > group:b > group:c"),
        ("group:b", "group:c user:ben group:a", "group:b > group:a > group:b"),
    ],
)
def test_a_cycle_is_refused_and_named_and_nothing_changes(shelf: Shelf, group: str, members: str, path: str) -> None:
    shelf.group("group:c", "user:ana")
    shelf.group("group:b", "group:c")
    shelf.group("group:a", "group:b")
    with shelf.catalog.read() as session:
        before = membership.groups(session)

    with pytest.raises(WrongUsage, match=path):
        shelf.group(group, members)

    with shelf.catalog.read() as session:
        assert membership.groups(session) == before


def test_setting_a_groups_members_replaces_them(shelf: Shelf) -> None:
    shelf.group("group:staff", "user:ana user:ben")
    shelf.group("group:staff", "user:ben user:cleo")

    with shelf.catalog.read() as session:
        (view,) = membership.groups(session)
    assert list(map(str, view.members)) == ["user:ben", "user:cleo"]


def test_only_a_group_has_members_and_only_a_person_is_active(shelf: Shelf) -> None:
    with pytest.raises(WrongUsage, match="user:ana is not a group"):
        shelf.group("user:ana", "user:ben")
    with pytest.raises(WrongUsage, match="group:staff is not a person"):
        shelf.deactivate("group:staff")


def test_names_that_nobody_defined_are_told_apart(shelf: Shelf) -> None:
    shelf.group("group:staff", "user:ana group:legal")

    with shelf.catalog.read() as session:
        unknown = membership.unknown(session, names("user:ana user:ben group:staff group:legal everyone"))
    assert list(map(str, unknown)) == ["group:legal", "user:ben"]
