"""Names of those who ask and of those whom an access list can name."""

from __future__ import annotations

import pytest

from core.errors import WrongUsage
from core.principals import EVERYONE, Grantee, GranteeKind, Principal, parse_grantee, parse_principal


@pytest.mark.parametrize("name", ["user:ana", "group:staff", "everyone", "user:https://id.example|00u1", "user:Zoë"])
def test_a_name_written_out_is_read_back_as_the_same(name: str) -> None:
    assert str(parse_grantee(name)) == name
    assert parse_grantee(str(parse_grantee(name))) == parse_grantee(name)


def test_a_bar_in_a_local_subject_never_reads_as_another_issuer() -> None:
    odd = Grantee(GranteeKind.USER, "local", "a|b")
    assert parse_grantee(str(odd)) == odd


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ana",
        "user:",
        "user:a b",
        "user:\ud800",
        "user:a\u200b",
        "user:a\n",
        "team:x",
        "user:|x",
        "user:x|",
        "Everyone",
    ],
)
def test_what_names_nobody_is_refused_with_the_ways_to_write_it(name: str) -> None:
    with pytest.raises(WrongUsage, match="user:ID, group:ID or everyone"):
        parse_grantee(name)


def test_only_a_person_can_ask() -> None:
    assert parse_principal("user:ana") == Principal("local", "ana")
    for name in ("group:staff", str(EVERYONE)):
        with pytest.raises(WrongUsage, match="only a person"):
            parse_principal(name)
