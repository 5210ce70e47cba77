"""What a whole audience may be shown is what each of its members may be shown: compared with a plainer derivation."""

from __future__ import annotations

import random

import pytest

from apps.administration import Administration
from core.answers import Answer, Citation, NearDocument
from core.principals import EVERYONE, Principal, parse_grantee, parse_principal
from governance.access.rules import AccessLists
from governance.audience import Audience, AudienceCheck
from governance.identity import ADMINISTRATOR
from wiring.home import Home

PEOPLE = [parse_principal(f"user:{name}") for name in ("ana", "ben", "cleo", "dan")]
BEN = PEOPLE[1]
NAMES = ["everyone", "group:staff", "group:legal", *map(str, PEOPLE)]
GROUPS = {"staff": PEOPLE[:3], "legal": PEOPLE[1:2]}
TEXT = b"# Note\n\nThe price is 18 million euros.\n"


def answer_about(home: Home, documents: dict[str, str], cited: list[str], named: list[str]) -> Answer:
    """An answer that quotes some documents, all of which hold `TEXT`, and names others."""
    administration = Administration(home, ADMINISTRATOR, "test")
    open_to_all = AccessLists(frozenset({EVERYONE}))
    probe = administration.upload("probe", "probe.md", TEXT, open_to_all)[1] or ""
    quote = home.gate.text(PEOPLE[0], probe)[1][2:6]
    citations = tuple(
        Citation(marker, documents[name], 1, "s", name, "", name, (), None, 2, 6, quote)
        for marker, name in enumerate(cited, 1)
    )
    near = tuple(NearDocument(documents[name], "s", name, "", name) for name in named)
    return Answer("q", PEOPLE[0], "a", False, None, citations, (), "extractive", "m", near)


def readable(lists: AccessLists, principal: Principal) -> bool:
    """The rule of access lists, written down once more: deny wins, nobody named means nobody."""
    held = {EVERYONE, principal.grantee}
    held |= {parse_grantee(f"group:{name}") for name, members in GROUPS.items() if principal in members}
    return bool(lists.allow & held) and not lists.deny & held


@pytest.mark.parametrize("seed", range(3))
def test_an_audience_may_be_shown_what_each_member_may_read_and_strangers_only_what_nobody_is_denied(
    home: Home, seed: int
) -> None:
    chance = random.Random(seed)
    administration = Administration(home, ADMINISTRATOR, "test")
    administration.load_roster(
        {}, {parse_grantee(f"group:{name}"): [one.grantee for one in members] for name, members in GROUPS.items()}
    )
    lists = {f"{number}.md": _lists(chance) for number in range(6)}
    documents = {name: administration.upload("s", name, TEXT, one)[1] or "" for name, one in lists.items()}
    check = AudienceCheck(home.catalog, home.gate)
    seen = set()
    for _ in range(60):
        cited = chance.sample(sorted(documents), chance.randint(1, 2))
        named = chance.sample(sorted(documents), chance.randint(0, 1))
        members, strangers = chance.sample(PEOPLE, chance.randint(0, 3)), chance.random() < 0.3
        everything = [lists[name] for name in {*cited, *named}]
        wanted = bool(members or strangers) and all(readable(one, who) for one in everything for who in members)
        if strangers:
            wanted = wanted and all(EVERYONE in one.allow and not one.deny for one in everything)

        answer = answer_about(home, documents, cited, named)
        assert check.may_be_shown(answer, Audience(members, strangers)) == wanted
        seen.add(wanted)
    assert seen == {True, False}


def test_a_document_that_is_only_named_counts_for_strangers_too(home: Home) -> None:
    administration = Administration(home, ADMINISTRATOR, "test")
    everyone, but_ben = AccessLists(frozenset({EVERYONE})), AccessLists(frozenset({EVERYONE}), frozenset({BEN.grantee}))
    documents = {
        name: administration.upload("s", name, TEXT, lists)[1] or ""
        for name, lists in (("open.md", everyone), ("but-ben.md", but_ben))
    }
    check, strangers = AudienceCheck(home.catalog, home.gate), Audience((), strangers=True)

    assert check.may_be_shown(answer_about(home, documents, ["open.md"], ["open.md"]), strangers)
    assert not check.may_be_shown(answer_about(home, documents, ["open.md"], ["but-ben.md"]), strangers)


def test_a_quote_that_a_member_would_see_otherwise_is_not_shown_to_them(home: Home) -> None:
    administration = Administration(home, ADMINISTRATOR, "test")
    everyone = AccessLists(frozenset({EVERYONE}))
    documents = {"a.md": administration.upload("s", "a.md", TEXT, everyone)[1] or ""}
    check = AudienceCheck(home.catalog, home.gate)
    answer = answer_about(home, documents, ["a.md"], [])
    changed = Answer(**{**vars(answer), "citations": (Citation(**{**vars(answer.citations[0]), "quote": "████"}),)})

    assert check.may_be_shown(answer, Audience(PEOPLE, strangers=True))
    assert not check.may_be_shown(changed, Audience(PEOPLE, strangers=True))


def _lists(chance: random.Random) -> AccessLists:
    """Some allow everyone, some deny somebody."""
    allow = {*chance.sample(NAMES, chance.randint(0, 3)), *(["everyone"] if chance.random() < 0.6 else [])}
    deny = chance.sample(NAMES, 1) if chance.random() < 0.3 else []
    return AccessLists(frozenset(map(parse_grantee, allow)), frozenset(map(parse_grantee, deny)))
