"""Credentials: a key or a cookie speaks for one person, within its scopes, until it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from catalog.database import Catalog
from catalog.models import ApiKey, WebSession
from core.errors import Forbidden, NotFound, Unauthenticated, WrongUsage
from core.principals import Principal, parse_principal
from governance import identity
from governance.identity import KeyView

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")
HOUR, PAST = timedelta(hours=1), timedelta(seconds=-1)


def make(
    catalog: Catalog, principal: Principal = ANA, scopes: tuple[str, ...] = ("ask",), lifetime: timedelta | None = HOUR
) -> tuple[KeyView, str]:
    with catalog.write() as session:
        return identity.create_key(session, "a key", principal, scopes, lifetime)


def revoke(catalog: Catalog, key_id: str) -> None:
    with catalog.write() as session:
        identity.revoke_key(session, key_id)


def test_a_key_speaks_for_its_person_within_its_scopes(catalog: Catalog) -> None:
    view, token = make(catalog, scopes=("ask", "search"))

    found = identity.authenticate(catalog, token)

    assert (found.principal, found.actor, found.csrf) == (ANA, f"key:{view.key_id}", None)
    found.require("search")
    with pytest.raises(Forbidden, match="admin"):
        found.require("admin")


def test_a_key_of_another_issuer_speaks_for_somebody_else(catalog: Catalog) -> None:
    stranger = parse_principal("user:https://id.example|ana")
    _, token = make(catalog, stranger)

    assert identity.authenticate(catalog, token).principal == stranger != ANA


def test_what_is_no_valid_key_is_refused_in_the_same_words(catalog: Catalog) -> None:
    view, token = make(catalog)
    _, other = make(catalog)
    expired = make(catalog, lifetime=PAST)[1]
    revoked, revoked_token = make(catalog)
    revoke(catalog, revoked.key_id)
    secret, other_secret = token.removeprefix(f"fnk_{view.key_id}_"), other.split("_", 2)[2]
    assert identity.authenticate(catalog, token)

    refused = [
        "", "_", "fnk", "fnk__", f"fnk_{view.key_id}_", f"fnk_{view.key_id}", secret, token + "x", token[:-1],
        f"xxx_{view.key_id}_{secret}", f"fnk_{view.key_id}_{other_secret}", f"fnk_{'0' * 12}_{secret}",
        token.replace(view.key_id, view.key_id.upper() + "x"), "fnk_\ud800_\ud800",
        "fnk_\x00_x", expired, revoked_token,
    ]  # fmt: skip
    words = set()
    for attempt in refused:
        with pytest.raises(Unauthenticated) as refusal:
            identity.authenticate(catalog, attempt)
        words.add(str(refusal.value))
    assert len(words) == 1


def test_a_key_without_an_end_holds_until_it_is_revoked(catalog: Catalog) -> None:
    view, token = make(catalog, lifetime=None)
    assert identity.authenticate(catalog, token).principal == ANA

    revoke(catalog, view.key_id)
    with pytest.raises(Unauthenticated):
        identity.authenticate(catalog, token)
    with catalog.read() as session:
        assert identity.list_keys(session)[0].revoked is not None


def test_only_a_key_that_may_acts_as_somebody_else(catalog: Catalog) -> None:
    assistant = Principal("local", "assistant")
    _, may = make(catalog, assistant, ("ask", "act-as"))
    _, may_not = make(catalog, assistant, ("ask", "admin", "write", "search", "read", "content"))

    acting = identity.authenticate(catalog, may).on_behalf_of(BEN)
    assert (acting.principal, acting.actor, acting.scopes) == (
        BEN, identity.authenticate(catalog, may).actor, frozenset({"ask", "act-as"}),
    )  # fmt: skip
    with pytest.raises(Forbidden, match="act-as"):
        identity.authenticate(catalog, may_not).on_behalf_of(BEN)


def test_no_secret_is_kept(catalog: Catalog) -> None:
    _, token = make(catalog)
    cookie, _ = identity.open_session(catalog, identity.authenticate(catalog, token), HOUR)

    with catalog.read() as session:
        key, browser = session.scalars(select(ApiKey)).one(), session.scalars(select(WebSession)).one()
        kept = str(vars(key)) + str(vars(browser))
    assert token.split("_", 2)[2] not in kept
    assert cookie not in kept


@pytest.mark.parametrize("scopes", [(), ("everything",), ("ask", "Ask")])
def test_a_key_with_no_known_scope_is_not_made(catalog: Catalog, scopes: tuple[str, ...]) -> None:
    with pytest.raises(WrongUsage, match="the scopes are search, ask"):
        make(catalog, scopes=scopes)

    with catalog.read() as session:
        assert identity.list_keys(session) == []


def test_revoking_a_key_that_is_not_there_says_so(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match="nokey"):
        revoke(catalog, "nokey")


def test_a_cookie_speaks_for_its_keys_person_and_its_changes_carry_a_token(catalog: Catalog) -> None:
    _, token = make(catalog)
    signed_in = identity.authenticate(catalog, token)

    cookie, csrf = identity.open_session(catalog, signed_in, HOUR)
    found = identity.resume_session(catalog, cookie)

    assert (found.principal, found.actor, found.scopes) == (ANA, signed_in.actor, signed_in.scopes)
    assert found.csrf == csrf != cookie
    with pytest.raises(Unauthenticated):
        identity.resume_session(catalog, cookie + "x")


def test_a_cookie_ends_with_its_time_its_key_or_a_sign_out(catalog: Catalog) -> None:
    def signed_in(key_lifetime: timedelta = HOUR, lifetime: timedelta = HOUR) -> tuple[str, str]:
        view, _ = make(catalog, lifetime=key_lifetime)
        speaks = identity.Identity(ANA, f"key:{view.key_id}", frozenset({"ask"}))
        return identity.open_session(catalog, speaks, lifetime)[0], view.key_id

    stays, _ = signed_in()
    ended = [signed_in(key_lifetime=PAST)[0]]
    cookie, key_id = signed_in()
    revoke(catalog, key_id)
    with catalog.read() as session:
        assert session.scalars(select(WebSession).where(WebSession.key_id == key_id)).all() == []
    ended.append(cookie)
    cookie, _ = signed_in()
    identity.close_session(catalog, cookie)
    # Last, because whoever signs in sweeps away what has ended.
    ended += [cookie, signed_in(lifetime=PAST)[0]]

    assert identity.resume_session(catalog, stays).principal == ANA
    for cookie in ended:
        with pytest.raises(Unauthenticated, match="this sign-in has ended"):
            identity.resume_session(catalog, cookie)
