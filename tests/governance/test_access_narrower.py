"""Rules between two: what may hold while nobody knows yet under which of them a document's text was written."""

from __future__ import annotations

import random

import pytest
from shelf import Shelf, names

from catalog.database import Catalog
from core.principals import Principal, parse_principal
from governance.access.membership import asking
from governance.access.rules import AccessLists
from governance.access.sets import READABLE_SETS, intern_lists, narrower

ANYBODY = ["user:ana", "user:ben", "user:cleo", "user:dan", "group:staff", "group:legal", "group:board", "everyone"]
PEOPLE = [parse_principal(f"user:{name}") for name in ("ana", "ben", "cleo", "dan", "stranger")]


@pytest.fixture
def shelf(catalog: Catalog) -> Shelf:
    """Ana and Ben are staff, Ben is legal and so is staff's Cleo, the board is in legal."""
    shelf = Shelf(catalog)
    shelf.group("group:board", "user:dan")
    shelf.group("group:legal", "user:ben user:cleo group:board")
    shelf.group("group:staff", "user:ana user:ben user:cleo")
    return shelf


def lists(allow: str, deny: str = "") -> AccessLists:
    return AccessLists(names(allow), names(deny))


def between(shelf: Shelf, before: AccessLists, after: AccessLists) -> AccessLists:
    with shelf.catalog.write() as session:
        return narrower(session, before, after)


def readers(shelf: Shelf, some: AccessLists) -> set[Principal]:
    """Whom the statement that decides every access lets in."""
    with shelf.catalog.write() as session:
        set_id = intern_lists(session, some)
        return {one for one in PEOPLE if set_id in session.scalars(READABLE_SETS, asking(one)).all()}


def test_nobody_is_let_in_whom_one_of_the_two_keeps_out(shelf: Shelf) -> None:
    chance = random.Random(7)
    for _ in range(150):
        before, after = (
            lists(
                " ".join(chance.sample(ANYBODY, chance.randint(0, 3))),
                " ".join(chance.sample(ANYBODY[:-1], chance.randint(0, 1))),
            )
            for _ in range(2)
        )
        allowed = readers(shelf, between(shelf, before, after))
        assert allowed <= readers(shelf, before) & readers(shelf, after), (before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("everyone", "group:staff"),
        ("group:staff", "user:ana"),
        ("group:legal", "group:board"),
        ("group:staff user:dan", "user:dan"),
        ("group:staff user:ana", "group:staff"),
        ("user:ana", ""),
        ("everyone", "everyone"),
    ],
)
def test_rules_that_only_take_are_taken_as_they_are(shelf: Shelf, before: str, after: str) -> None:
    assert between(shelf, lists(before), lists(after)) == lists(after)
    assert between(shelf, lists(before), lists(after, deny="user:cleo")) == lists(after, deny="user:cleo")


@pytest.mark.parametrize(
    ("before", "after"),
    [("user:ana", "everyone"), ("user:ana", "group:staff"), ("group:board", "group:legal"), ("", "everyone")],
)
def test_of_rules_that_only_give_those_before_stay(shelf: Shelf, before: str, after: str) -> None:
    assert between(shelf, lists(before), lists(after)) == lists(before)
    assert between(shelf, lists(after, deny="user:ben"), lists(after)) == lists(after, deny="user:ben")


def test_of_two_groups_that_only_overlap_nobody_is_let_in(shelf: Shelf) -> None:
    assert between(shelf, lists("group:staff"), lists("group:legal")) == lists("")
    assert between(shelf, lists("group:staff user:dan"), lists("group:legal")) == lists("user:dan")
