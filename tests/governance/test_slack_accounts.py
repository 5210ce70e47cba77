"""Links between Slack accounts and people, and the codes that make them, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from core.errors import AuditUnavailable, Conflict, WrongUsage
from core.principals import Principal, parse_principal
from governance.access.membership import held_grantees
from governance.slack_accounts import SlackUser
from wiring.home import Home

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")


def together(work: Callable[[int], object], times: int = 8) -> list[object]:
    """What becomes of the same work begun on several threads at once; errors count as results."""
    results: list[object] = []
    barrier = threading.Barrier(times)

    def run(number: int) -> None:
        barrier.wait(20)
        try:
            results.append(work(number))
        except (WrongUsage, Conflict) as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_of_many_who_send_the_same_code_at_once_one_is_linked(home: Home) -> None:
    accounts = home.slack_accounts
    code = accounts.code(ANA, "test")

    results = together(lambda number: accounts.link(SlackUser("T1", f"U{number}"), code))

    assert sum(isinstance(result, Principal) for result in results) == 1
    assert len(accounts.links_of(ANA)) == 1


def test_of_two_people_who_claim_one_account_at_once_one_gets_it(home: Home) -> None:
    accounts = home.slack_accounts
    codes = [accounts.code(ANA, "test"), accounts.code(BEN, "test")]

    results = together(lambda number: accounts.link(SlackUser("T1", "U1"), codes[number]), times=2)

    assert sum(isinstance(result, Principal) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 1
    (link,) = accounts.links()
    assert link.principal in results


def test_the_same_user_id_in_two_workspaces_is_two_accounts(home: Home) -> None:
    accounts = home.slack_accounts
    accounts.link(SlackUser("T1", "U1"), accounts.code(ANA, "test"))
    accounts.link(SlackUser("T2", "U1"), accounts.code(BEN, "test"))

    assert accounts.principal(SlackUser("T1", "U1")) == ANA
    assert accounts.principal(SlackUser("T2", "U1")) == BEN
    assert accounts.principals("T1", ["U1", "U2"]) == {"U1": ANA}


def test_a_person_may_have_several_accounts_and_loses_all_at_once(home: Home) -> None:
    accounts = home.slack_accounts
    for user in ("U1", "U2"):
        accounts.link(SlackUser("T1", user), accounts.code(ANA, "test"))
    accounts.link(SlackUser("T1", "U3"), accounts.code(BEN, "test"))
    left = accounts.code(ANA, "test")

    assert accounts.unlink_person(ANA, "test") == 2

    assert [link.principal for link in accounts.links()] == [BEN]
    with pytest.raises(WrongUsage):
        accounts.link(SlackUser("T1", "U4"), left)


@pytest.mark.parametrize("account", [SlackUser("", "U1"), SlackUser("T1", "u1"), SlackUser("T1", "U" * 40)], ids=str)
def test_what_is_no_account_of_slacks_is_not_linked(home: Home, account: SlackUser) -> None:
    with pytest.raises(WrongUsage):
        home.slack_accounts.link(account, home.slack_accounts.code(ANA, "test"))


@pytest.mark.parametrize("code", ["", "0000-0000-0000-0000", "'; DROP TABLE slack_codes", "\ud800", "\x00"], ids=ascii)
def test_what_is_no_code_links_nobody(home: Home, code: str) -> None:
    home.slack_accounts.code(ANA, "test")
    with pytest.raises(WrongUsage):
        home.slack_accounts.link(SlackUser("T1", "U1"), code)


def test_nothing_changes_without_a_record(home: Home) -> None:
    accounts = home.slack_accounts
    accounts.link(SlackUser("T1", "U1"), accounts.code(ANA, "test"))
    code = accounts.code(BEN, "test")
    home.audit.close()

    for change in (
        lambda: accounts.code(ANA, "test"),
        lambda: accounts.link(SlackUser("T1", "U2"), code),
        lambda: accounts.unlink(SlackUser("T1", "U1")),
        lambda: accounts.unlink_person(ANA, "test"),
    ):
        with pytest.raises(AuditUnavailable):
            change()
    assert [link.principal for link in accounts.links()] == [ANA]


def test_a_linked_account_is_its_owners_in_every_source_until_the_link_ends(home: Home) -> None:
    accounts, account = home.slack_accounts, SlackUser("T1", "U1")

    def held(principal: Principal) -> bool:
        with home.catalog.read() as session:
            return account.grantee in held_grantees(session, principal)

    assert not held(ANA)
    accounts.link(account, accounts.code(ANA, "test"))
    assert held(ANA) and not held(BEN)
    accounts.unlink(account)
    assert not held(ANA)
    accounts.link(account, accounts.code(BEN, "test"))
    assert held(BEN) and not held(ANA)
    accounts.unlink_person(BEN, "test")
    assert not held(BEN)
