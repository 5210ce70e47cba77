"""What every connector keeps to, whatever system it reads: one suite that each of them passes against a real server
of its kind or a faithful double of it.

A test file of a connector derives `ConnectorContract` (and `PermissionContract` where permissions are mirrored) and
gives the fixture `site`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Protocol

import pytest

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from core.principals import Grantee, GranteeKind
from governance.access.rules import Decision
from ingest.connectors.protocol import Connector, CursorExpired, Group, Listed, Page

SECRET = "s3cr3t-t0ken-never-shown"
"""The credential that every site asks for; it may stand nowhere that a person or a log can see."""


class Site(Protocol):
    """A system with documents in it, as its own people use it, and its connector. Pages are small (3 or so)."""

    def connect(self) -> Connector:
        """A new connector with the right credential (`SECRET` where one is used)."""
        ...

    def connect_unwelcome(self) -> Connector | None:
        """A connector whose credential is refused; None where the system needs none."""
        ...

    def add(self, name: str, text: str) -> str:
        """A person adds a document; its external id."""
        ...

    def change(self, external_id: str, text: str) -> str | None:
        """A person writes a document anew; the id of what stands in its place, None for the same one."""
        ...

    def rename(self, external_id: str, name: str) -> bool:
        """A person gives a document another name or place; False where the id is the place."""
        ...

    def remove(self, external_id: str) -> None: ...

    def throttle(self, times: int, seconds: float) -> bool:
        """Answer the next requests with the system's own sign of being busy; False where it has none."""
        ...

    def waited(self) -> Sequence[float]:
        """How long the connector has waited, each time."""
        ...

    def go_down(self) -> None: ...

    def come_back(self) -> None: ...

    def expire_cursors(self) -> bool:
        """Forget what changed before now; False where cursors never expire."""
        ...


class SharingSite(Site, Protocol):
    """A system that says who may read what."""

    def share(self, external_id: str, *who: str) -> None:
        """Let exactly these read a document: `person:NAME` or `group:NAME`, made where they are not there."""
        ...

    def set_group(self, name: str, *members: str) -> None:
        """`members` as in `share`; a group within a group where `nests` says so."""
        ...

    def grantee(self, who: str) -> Grantee:
        """How the connector is to name somebody: by the system's stable id."""
        ...

    @property
    def nests(self) -> bool: ...

    def hide_permissions(self, external_id: str) -> bool:
        """From now on the system does not tell who may read this document; False where it cannot fail for one."""
        ...


def listing(connector: Connector, cursor: str | None = None) -> tuple[dict[str, Listed], str, list[Page]]:
    """Every document of a listing by external id, the cursor after it, and its pages."""
    pages = list(connector.changes(cursor))
    found: dict[str, Listed] = {}
    for page in pages:
        for gone in page.gone:
            found.pop(gone, None)
        found |= {one.external_id: one for one in page.listed}
    return found, pages[-1].cursor if pages else cursor or "", pages


def synced(connector: Connector, before: dict[str, Listed], cursor: str) -> tuple[dict[str, Listed], str]:
    """What one knows after taking the changes since a cursor, as whoever keeps in step takes them."""
    now = dict(before)
    whole: set[str] = set()
    for page in connector.changes(cursor):
        now |= {one.external_id: one for one in page.listed}
        for gone in page.gone:
            now.pop(gone, None)
        whole |= {one.external_id for one in page.listed} | {name for name, _ in page.refused}
        if page.whole and page.last:
            now = {key: one for key, one in now.items() if key in whole}
        cursor = page.cursor
    return now, cursor


class ConnectorContract:
    """Derived by the tests of each connector."""

    def test_a_listing_names_every_document_once_and_fetches_what_was_written(self, site: Site) -> None:
        written = {
            site.add(f"paper {number}", f"The word of number {number} is wombat{number}.") for number in range(8)
        }
        with closing(site.connect()) as connector:
            found, _, pages = listing(connector)
            texts = {key: connector.fetch(one).decode("utf-8", "replace") for key, one in found.items()}

        assert written <= found.keys()
        assert len(pages) > 1, "the site is to be read in pages"
        assert pages[-1].last and all(page.whole for page in pages)
        assert sum(len(page.listed) for page in pages) == len(found)
        assert all(any(f"wombat{number}" in text for text in texts.values()) for number in range(8))
        assert all(one.revision and one.name and one.uri for one in found.values())

    def test_documents_may_be_fetched_between_two_pages_of_their_listing(self, site: Site) -> None:
        written = {site.add(f"paper {number}", f"The word is wombat{number}.") for number in range(8)}
        texts: dict[str, str] = {}
        with closing(site.connect()) as connector:
            for page in connector.changes(None):
                for one in page.listed:
                    texts[one.external_id] = connector.fetch(one).decode("utf-8", "replace")
        assert written <= texts.keys()
        assert all(any(f"wombat{number}" in text for text in texts.values()) for number in range(8))

    def test_reading_may_stop_after_any_page_and_go_on_in_another_process(self, site: Site) -> None:
        for number in range(8):
            site.add(f"paper {number}", f"text {number}")
        with closing(site.connect()) as connector:
            whole, _, pages = listing(connector)
        for stop in range(1, len(pages)):
            before = {one.external_id for page in pages[:stop] for one in page.listed}
            with closing(site.connect()) as connector:
                rest, _, more = listing(connector, pages[stop - 1].cursor)
            assert before | rest.keys() >= whole.keys()
            assert more[-1].last

    def test_what_was_added_changed_and_removed_since_is_seen_and_the_rest_keeps_its_revision(self, site: Site) -> None:
        kept, edited, removed = (site.add(name, f"{name} begins") for name in ("kept", "edited", "removed"))
        with closing(site.connect()) as connector:
            before, cursor, _ = listing(connector)
        now = site.change(edited, "edited goes on with numbat") or edited
        site.remove(removed)
        added = site.add("added", "added begins")
        with closing(site.connect()) as connector:
            after, cursor = synced(connector, before, cursor)
            again, _ = synced(connector, after, cursor)
            text = connector.fetch(after[now]).decode("utf-8", "replace")

        assert after.keys() & {kept, edited, removed, added, now} == {kept, now, added}
        assert after[kept].revision == before[kept].revision
        assert after[now].revision != before[edited].revision
        assert "numbat" in text
        assert {key: one.revision for key, one in again.items()} == {key: one.revision for key, one in after.items()}

    def test_a_document_that_is_renamed_stays_the_same_document(self, site: Site) -> None:
        renamed = site.add("before", "it stays itself")
        with closing(site.connect()) as connector:
            before, cursor, _ = listing(connector)
        if not site.rename(renamed, "afterwards"):
            pytest.skip("here the place is the document")
        with closing(site.connect()) as connector:
            after, _ = synced(connector, before, cursor)
        assert after.keys() == before.keys()
        assert (after[renamed].name, after[renamed].uri) != (before[renamed].name, before[renamed].uri)

    def test_what_is_gone_before_it_is_fetched_is_not_found(self, site: Site) -> None:
        gone = site.add("gone", "soon gone")
        with closing(site.connect()) as connector:
            found, _, _ = listing(connector)
            site.remove(gone)
            with pytest.raises((NotFound, UnreadableDocument)):
                connector.fetch(found[gone])

    def test_a_busy_source_is_waited_for_as_long_as_it_asks(self, site: Site) -> None:
        site.add("paper", "text")
        if not site.throttle(2, 7.0):
            pytest.skip("it has no sign of being busy")
        with closing(site.connect()) as connector:
            found, _, _ = listing(connector)
        assert len(found) == 1
        assert [round(seconds) for seconds in site.waited()][:2] == [7, 7]

    def test_a_source_that_is_down_is_transient_and_its_cursor_still_holds(self, site: Site) -> None:
        site.add("first", "first text")
        with closing(site.connect()) as connector:
            before, cursor, _ = listing(connector)
        site.go_down()
        with pytest.raises(Transient), closing(site.connect()) as connector:
            listing(connector, cursor)
        site.come_back()
        second = site.add("second", "second text")
        with closing(site.connect()) as connector:
            after, _ = synced(connector, before, cursor)
        assert after.keys() == {*before, second}

    def test_an_expired_cursor_says_so_and_a_new_listing_has_everything(self, site: Site) -> None:
        first = site.add("first", "first text")
        with closing(site.connect()) as connector:
            _, cursor, _ = listing(connector)
        if not site.expire_cursors():
            pytest.skip("its cursors never expire")
        second = site.add("second", "second text")
        with closing(site.connect()) as connector:
            with pytest.raises(CursorExpired):
                listing(connector, cursor)
            found, _, _ = listing(connector)
        assert {first, second} <= found.keys()

    def test_a_cursor_that_is_none_of_ours_is_expired_rather_than_trusted(self, site: Site) -> None:
        site.add("paper", "text")
        with closing(site.connect()) as connector, pytest.raises(CursorExpired):
            listing(connector, "no cursor of this source")

    def test_a_refused_credential_is_the_operators_and_stands_in_no_message(self, site: Site) -> None:
        site.add("paper", "text")
        unwelcome = site.connect_unwelcome()
        if unwelcome is None:
            pytest.skip("it asks for no credential")
        with closing(unwelcome), pytest.raises(SourceRefused) as refused:
            listing(unwelcome)
        assert SECRET not in str(refused.value)

    def test_nothing_that_is_kept_or_shown_holds_the_credential(
        self, site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        site.add("paper", "text")
        with closing(site.connect()) as connector:
            found, cursor, pages = listing(connector)
            for one in found.values():
                connector.fetch(one)
            assert SECRET not in repr([connector, pages, cursor])
        site.go_down()
        with pytest.raises(Transient) as down, closing(site.connect()) as connector:
            listing(connector)
        assert SECRET not in str(down.value) + repr(down.value)
        assert SECRET not in caplog.text


class PermissionContract:
    """Derived as well where the source says who may read what."""

    def test_exactly_who_may_read_a_document_there_is_named_by_a_stable_id(self, site: SharingSite) -> None:
        private, shared = site.add("private", "for one"), site.add("shared", "for a team")
        site.set_group("team", "person:ana", "person:ben")
        site.share(private, "person:ana")
        site.share(shared, "group:team")
        with closing(site.connect()) as connector:
            rights = decisions(connector)
            groups = {group.group: group for group in connector.groups()}
        ana, ben, team = site.grantee("person:ana"), site.grantee("person:ben"), site.grantee("group:team")

        assert readers(rights[private], groups) >= {ana}
        assert ben not in readers(rights[private], groups)
        assert readers(rights[shared], groups) >= {ana, ben}
        assert set(groups[team].members) == {ana, ben}

    def test_a_permission_that_is_taken_is_seen_though_the_document_has_not_changed(self, site: SharingSite) -> None:
        paper = site.add("paper", "text")
        site.share(paper, "person:ana", "person:ben")
        with closing(site.connect()) as connector:
            before, cursor, _ = listing(connector)
        site.share(paper, "person:ben")
        with closing(site.connect()) as connector:
            after, _ = synced(connector, before, cursor)
            rights = decisions(connector)
            groups = {group.group: group for group in connector.groups()}
        assert site.grantee("person:ana") not in readers(rights[paper], groups)
        assert site.grantee("person:ben") in readers(rights[paper], groups)
        assert after[paper].revision == before[paper].revision, "rights are no reason to read a document again"

    def test_members_of_a_group_in_a_group_may_read(self, site: SharingSite) -> None:
        if not site.nests:
            pytest.skip("its groups hold people only")
        paper = site.add("paper", "text")
        site.set_group("inner", "person:ana")
        site.set_group("outer", "group:inner")
        site.share(paper, "group:outer")
        with closing(site.connect()) as connector:
            groups = {group.group: group for group in connector.groups()}
            assert site.grantee("person:ana") in readers(decisions(connector)[paper], groups)

    def test_a_document_whose_rights_cannot_be_found_out_is_nobodys(self, site: SharingSite) -> None:
        hidden, plain = site.add("hidden", "text"), site.add("plain", "text")
        site.share(hidden, "person:ana")
        site.share(plain, "person:ana")
        if not site.hide_permissions(hidden):
            pytest.skip("its rights come with its documents")
        with closing(site.connect()) as connector:
            rights = decisions(connector)
            groups = {group.group: group for group in connector.groups()}
            found, _, _ = listing(connector)
        assert not people(rights[hidden], groups)
        assert site.grantee("person:ana") in people(rights[plain], groups)
        listed = found[hidden].access if hidden in found else rights[hidden]
        assert listed is not None and not people(listed, groups)

    def test_accounts_are_named_with_what_helps_to_recognize_them(self, site: SharingSite) -> None:
        paper = site.add("paper", "text")
        site.share(paper, "person:ana")
        with closing(site.connect()) as connector:
            accounts = {account.user: account for account in connector.accounts()}
        assert accounts[site.grantee("person:ana")].name


def decisions(connector: Connector) -> dict[str, Decision]:
    """Who may read each document now: what its listing said, unless the permissions name it."""
    listed = {one.external_id: one.access for one in listing(connector)[0].values() if one.access is not None}
    return listed | {name: decision for page in connector.permissions() for name, decision in page}


def people(decision: Decision, groups: Mapping[Grantee, Group]) -> set[Grantee]:
    """Everybody but groups that a decision lets in; a group that nobody tells of, or with a problem, is nobody."""
    known = {name: group for name, group in groups.items() if group.problem is None}
    return {one for one in readers(decision, known) if one.kind is not GranteeKind.GROUP}


def readers(decision: Decision, groups: Mapping[Grantee, Group]) -> set[Grantee]:
    """Everybody that a decision lets in, groups opened."""

    def opened(grantees: frozenset[Grantee] | tuple[Grantee, ...], seen: set[Grantee]) -> set[Grantee]:
        found: set[Grantee] = set()
        for one in grantees:
            found.add(one)
            group = groups.get(one)
            if group is not None and one not in seen:
                found |= opened(group.members, seen | {one})
        return found

    return opened(decision.lists.allow, set()) - opened(decision.lists.deny, set())
