"""A system mirrored: what is there is here, with its readers and nobody else, whatever fails in between."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from mirrored_papers import ANA, BEN, EVE, bring_in, own, reads, sync, work
from scripted_system import ISSUER, REFUSED, ScriptedSystem, grantee
from sqlalchemy import delete, select

from catalog.connections import ConnectionRow
from catalog.jobs import ArrivalRow, JobRow
from catalog.models import Vector
from core.errors import LeaseLost, Transient, WrongUsage
from core.principals import Principal, parse_grantee
from governance.access import mirrored as accounts
from ingest.connections import Freshness
from ingest.ledger import Ledger
from ingest.mirroring import Change, Commit, ingesting
from ingest.report import IngestReport
from ingest.sources import SystemRequest, end_standing, find_source, set_paused, stand_system
from wiring.home import Home
from wiring.mirrors import mirrored
from workers.run import run_next
from workers.sweeping import sync_job

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def finds(home: Home, who: Principal, words: str) -> set[str]:
    return {hit.passage.external_id for hit in home.searcher.search(words, who, 10).hits}


def freshness(home: Home, source_id: int) -> Freshness:
    found = home.connections.freshness(source_id)
    assert found is not None
    return found


def causes(home: Home) -> list[str]:
    with home.catalog.read() as session:
        return list(session.scalars(select(JobRow.cause).where(JobRow.state == "dead")))


def test_what_a_system_has_is_found_by_who_may_read_it_there_and_by_nobody_else(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.groups["group:team"] = "person:ben"
    for number in range(7):
        system.put(f"paper{number}", f"# Paper {number}\n\nThe numbat sleeps in log {number}.", "person:ana")
    system.put("shared", "# Shared\n\nThe numbat wakes at noon.", "person:ana group:team")

    sync(home, source)

    assert reads(home, ANA) == {f"paper{number}" for number in range(7)} | {"shared"}
    assert reads(home, BEN) == finds(home, BEN, "when does the numbat wake") == {"shared"}
    assert reads(home, EVE) == set()
    assert freshness(home, source).problem is None
    view = find_source(home.catalog, "papers")
    assert view.content_at and view.permissions_at


def test_an_account_is_a_persons_by_a_link_and_ends_with_it(home: Home, system: ScriptedSystem, source: int) -> None:
    system.put("paper", "# Paper\n\ntext", "person:eve")
    sync(home, source)
    assert reads(home, EVE) == set(), "a name that is alike makes nobody the owner of an account"

    own(home, "eve")
    assert reads(home, EVE) == {"paper"}
    with home.catalog.write() as session, pytest.raises(WrongUsage, match="belongs to user:eve"):
        accounts.link_account(session, parse_grantee("user:ben"), grantee("person:eve"))
    assert reads(home, BEN) == set()

    with home.catalog.write() as session:
        accounts.unlink_account(session, grantee("person:eve"))
    assert reads(home, EVE) == set()


def test_rights_that_are_taken_there_are_taken_here_and_nothing_is_read_again(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.groups["group:team"] = "group:inner"
    system.groups["group:inner"] = "person:ben"
    system.put("paper", "# Paper\n\ntext", "person:ana")
    system.put("shared", "# Shared\n\ntext", "group:team")
    sync(home, source)
    assert (reads(home, ANA), reads(home, BEN)) == ({"paper"}, {"shared"})
    fetched = list(system.fetched)

    system.papers["paper"].readers = "person:ben"
    system.groups["group:inner"] = ""
    sync(home, source)

    assert (reads(home, ANA), reads(home, BEN)) == (set(), {"paper"})
    assert system.fetched == fetched


def test_what_is_public_there_is_everybodys_here_until_it_is_not(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.groups["group:all"] = "everyone"
    system.put("paper", "# Paper\n\ntext", "group:all")
    sync(home, source)
    assert reads(home, EVE) == {"paper"}
    system.groups["group:all"] = "person:ana"
    sync(home, source)
    assert (reads(home, EVE), reads(home, ANA)) == (set(), {"paper"})


def test_a_denial_there_wins_here_over_every_group(home: Home, system: ScriptedSystem, source: int) -> None:
    system.groups["group:team"] = "person:ana person:ben"
    system.put("paper", "# Paper\n\ntext", "group:team", denied="person:ben")
    sync(home, source)
    assert (reads(home, ANA), reads(home, BEN)) == ({"paper"}, set())


def test_a_group_that_is_denied_and_unknown_closes_the_document(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\ntext", "person:ana", denied="group:ghost")
    sync(home, source)
    assert reads(home, ANA) == set()
    [notice] = freshness(home, source).notices
    assert (notice.about, notice.subject) == ("permissions", "paper")
    assert "ghost" in notice.reason

    system.groups["group:ghost"] = None  # there, and not opened: it may hold anybody
    sync(home, source)
    assert reads(home, ANA) == set()
    system.groups["group:ghost"] = "person:eve"
    sync(home, source)
    assert reads(home, ANA) == {"paper"}
    assert freshness(home, source).notices == ()


def test_a_group_that_is_allowed_and_unknown_lets_nobody_in(home: Home, system: ScriptedSystem, source: int) -> None:
    system.groups["group:team"] = "person:ana"
    system.put("paper", "# Paper\n\ntext", "group:team")
    sync(home, source)
    assert reads(home, ANA) == {"paper"}

    system.groups["group:team"] = None  # the directory does not open it
    sync(home, source)
    assert reads(home, ANA) == set()
    assert [(one.about, one.reason) for one in freshness(home, source).notices] == [
        ("group", "the directory did not answer")
    ]

    del system.groups["group:team"]  # nobody speaks of it any more
    sync(home, source)
    assert reads(home, ANA) == set()


def test_a_document_whose_readers_are_not_told_is_nobodys_until_they_are(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\ntext", "person:ana")
    sync(home, source)
    system.papers["paper"].readers = None
    sync(home, source)
    assert reads(home, ANA) == set()
    assert [one.subject for one in freshness(home, source).notices] == ["paper"]
    system.papers["paper"].readers = "person:ana"
    sync(home, source)
    assert reads(home, ANA) == {"paper"}


@pytest.mark.parametrize("where", ["groups", "permissions"])
@pytest.mark.parametrize("error", [Transient("It is down."), REFUSED, KeyError("a bug")])
def test_while_the_rights_of_a_source_are_unknown_nobody_reads_it(
    home: Home, system: ScriptedSystem, source: int, where: str, error: Exception
) -> None:
    system.put("paper", "# Paper\n\ntext", "person:ana")
    sync(home, source)
    assert reads(home, ANA) == {"paper"}

    system.fails_at[where] = error
    with pytest.raises(type(error)):
        bring_in(home, source)
    assert reads(home, ANA) == set()
    assert freshness(home, source).problem

    system.fails_at.clear()
    bring_in(home, source)
    assert reads(home, ANA) == {"paper"}
    assert freshness(home, source).problem is None


def test_rights_that_nobody_has_looked_at_for_too_long_let_nobody_in(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\ntext", "person:ana")
    sync(home, source)
    assert home.connections.hold_outdated_back(timedelta(hours=1)) == []
    assert reads(home, ANA) == {"paper"}
    assert home.connections.hold_outdated_back(timedelta(0)) == [source]
    assert reads(home, ANA) == set()
    sync(home, source)
    assert reads(home, ANA) == {"paper"}


def test_a_paused_source_waits_with_all_that_is_on_its_way_in(home: Home, system: ScriptedSystem, source: int) -> None:
    system.put("paper", "# Paper\n\ntext")
    home.jobs.enqueue([sync_job(source)])
    assert run_next(home, ["ingest"])
    set_paused(home.catalog, home.jobs, source, True)
    work(home)
    assert reads(home, ANA) == set()
    view = find_source(home.catalog, "papers")
    assert (view.paused, view.waiting) == (True, 1)
    set_paused(home.catalog, home.jobs, source, False)
    work(home)
    assert reads(home, ANA) == {"paper"}


def test_what_a_source_with_permissions_says_nothing_of_is_nobodys_whatever_the_operator_allows(
    home: Home, system: ScriptedSystem
) -> None:
    system.silent = True
    system.put("paper", "# Paper\n\ntext")
    allow = [parse_grantee("user:ana")]
    source = stand_system(home.catalog, SystemRequest("papers", "scripted", {}, None, allow, None, None))
    sync(home, source)
    assert reads(home, ANA) == set()


def test_an_outage_of_the_content_alone_leaves_what_is_known(home: Home, system: ScriptedSystem, source: int) -> None:
    system.put("paper", "# Paper\n\ntext", "person:ana")
    sync(home, source)
    system.fails_at["changes"] = Transient("It is down.")
    before = find_source(home.catalog, "papers")
    with pytest.raises(Transient):
        bring_in(home, source)
    assert reads(home, ANA) == {"paper"}
    assert freshness(home, source).problem == "It is down."
    after = find_source(home.catalog, "papers")
    assert after.content_at == before.content_at, "what was not read is not current"
    assert (after.permissions_at or before.permissions_at) != before.permissions_at


def test_a_credential_that_is_missing_is_told_to_the_operator_and_holds_the_documents_back(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\ntext", "person:ana")
    sync(home, source)
    with home.catalog.write() as session:
        session.get_one(ConnectionRow, source).secret = "env:FOOTNOTE_SECRET_NONE"
    sync(home, source)
    assert reads(home, ANA) == set()
    assert "FOOTNOTE_SECRET_NONE" in (freshness(home, source).problem or "")


def test_a_source_cannot_fill_groups_of_ours(home: Home, source: int) -> None:
    with home.catalog.write() as session, pytest.raises(WrongUsage, match="cannot say"):
        accounts.mirror_groups(session, source, {parse_grantee("group:staff"): (grantee("person:eve"),)})


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
def test_a_listing_that_is_interrupted_goes_on_where_it_stopped_and_then_knows_what_is_gone(
    home: Home, system: ScriptedSystem, source: int, stop: int
) -> None:
    for number in range(10):
        system.put(f"paper{number}", f"# Paper {number}\n\ntext {number}")
    system.put("removed", "# Removed\n\ntext")
    bring_in(home, source)
    assert "removed" in reads(home, ANA)

    home.connections.list_anew(source, lambda _: None)
    system.remove("removed")
    system.stops_after, system.pages = stop, 0
    with pytest.raises(KeyboardInterrupt):
        bring_in(home, source)
    assert "removed" in reads(home, ANA), "a listing that has not ended says nothing of what is gone"
    system.stops_after = None
    bring_in(home, source)

    assert reads(home, ANA) == {f"paper{number}" for number in range(10)}
    assert system.pages == 4, "no page is asked for twice"
    assert sorted(system.fetched) == sorted({*system.fetched}), "no document is read twice"


def test_a_sync_that_another_has_overtaken_takes_no_page_and_deletes_nothing(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    for number in range(7):
        system.put(f"paper{number}", f"# Paper {number}\n\ntext {number}")
    connection = home.connections.find(source)
    assert connection is not None
    system.page = 2
    with mirrored(home, connection, Ledger(home.catalog, connection.name, connection.uri)) as mirror:
        take = ingesting(mirror, IngestReport("papers"), lambda *_: None)
        pages = 0

        def overtaken(changes: Sequence[Change], commit: Commit) -> None:
            nonlocal pages
            pages += 1
            if pages == 2:
                bring_in(home, source)
            take(changes, commit)

        with pytest.raises(LeaseLost):
            mirror.sync(overtaken)
    assert reads(home, ANA) == {f"paper{number}" for number in range(7)}
    bring_in(home, source)
    assert reads(home, ANA) == {f"paper{number}" for number in range(7)}


def test_a_system_that_only_lists_everything_is_followed_too(home: Home, system: ScriptedSystem, source: int) -> None:
    system.always_whole = True
    for name in ("kept", "removed"):
        system.put(name, f"# {name}\n\nThe {name} one.")
    sync(home, source)
    system.remove("removed")
    system.put("added", "# added\n\nNew.")
    sync(home, source)
    assert reads(home, ANA) == {"kept", "added"}
    assert system.fetched.count("kept") == 1


def test_what_was_added_changed_and_removed_is_followed(home: Home, system: ScriptedSystem, source: int) -> None:
    for name in ("kept", "edited", "removed"):
        system.put(name, f"# {name}\n\nThe {name} one.")
    sync(home, source)
    system.put("edited", "# edited\n\nNow about wombats.")
    system.put("added", "# added\n\nNew.")
    system.remove("removed")
    sync(home, source)
    assert reads(home, ANA) == {"kept", "edited", "added"}
    assert "edited" in finds(home, ANA, "wombats")
    assert sorted(system.fetched) == ["added", "edited", "edited", "kept", "removed"]


def test_a_renamed_document_is_known_by_its_new_place_and_not_read_again(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\ntext")
    sync(home, source)
    [before] = home.gate.documents(ANA)
    system.papers["paper"].place = "archive/paper"
    system.log.append(("put", "paper"))
    sync(home, source)
    [after] = home.gate.documents(ANA)
    assert (after.document_id, after.version) == (before.document_id, before.version)
    assert after.uri == "https://scripted.example/archive/paper"
    assert system.fetched == ["paper"]


def test_a_document_that_moves_to_another_id_is_the_same_one_and_nothing_is_read_or_embedded(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.hashed = True
    system.put("old", "# Paper\n\ntext of the paper")
    sync(home, source)
    [before] = home.gate.documents(ANA)
    paper = system.papers["old"]
    system.remove("old")
    system.papers["new"] = paper
    system.log.append(("put", "new"))
    with home.catalog.write() as session:  # embedding again would bring the vector back
        session.execute(delete(Vector))
    sync(home, source)
    [after] = home.gate.documents(ANA)
    assert (after.external_id, after.document_id) == ("new", before.document_id)
    assert system.fetched == ["old"]
    with home.catalog.read() as session:
        assert session.scalars(select(Vector.hash)).all() == []


def test_a_cursor_that_has_expired_leads_to_a_listing_of_everything(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\ntext")
    system.put("removed", "# Removed\n\ntext")
    sync(home, source)
    system.remove("removed")
    system.put("added", "# Added\n\ntext")
    system.expired = True
    sync(home, source)
    assert reads(home, ANA) == {"paper", "added"}


def test_a_listing_that_has_shrunk_beyond_belief_deletes_nothing_until_it_is_told_to(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    for number in range(14):
        system.put(f"paper{number:02}", f"# Paper {number}\n\ntext {number}")
    bring_in(home, source)
    for name in sorted(system.papers)[1:]:
        system.remove(name)
    home.connections.list_anew(source, lambda _: None)
    done, _ = bring_in(home, source)
    assert len(reads(home, ANA)) == 14
    assert "13 of its 14" in done.warnings[0] and "--prune=force" in done.warnings[0]
    assert freshness(home, source).problem == done.warnings[0]

    home.connections.list_anew(source, lambda _: None)
    bring_in(home, source, force=True)
    assert reads(home, ANA) == {"paper00"}


def test_what_the_source_has_and_would_not_list_is_reported_and_kept(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\ntext")
    system.put("locked", "# Locked\n\ntext")
    bring_in(home, source)
    del system.papers["locked"]
    system.refused = [("locked", "it is checked out")]
    home.connections.list_anew(source, lambda _: None)
    bring_in(home, source)
    assert reads(home, ANA) == {"paper", "locked"}
    assert [(one.about, one.subject) for one in freshness(home, source).notices] == [("content", "locked")]


def test_what_was_refused_is_reported_for_as_long_as_it_is(home: Home, system: ScriptedSystem, source: int) -> None:
    for number in range(7):
        system.put(f"paper{number}", f"# Paper {number}\n\ntext {number}")
    system.refused_at_first, system.refused = [("locked", "it is checked out")], [("torn", "it has no end")]
    bring_in(home, source)
    assert [one.subject for one in freshness(home, source).notices] == ["locked", "torn"], "of every page"

    bring_in(home, source)
    assert [one.subject for one in freshness(home, source).notices] == ["locked", "torn"], "changes say nothing of it"

    system.refused_at_first = system.refused = []
    home.connections.list_anew(source, lambda _: None)
    bring_in(home, source)
    assert freshness(home, source).notices == ()


def test_what_goes_before_it_is_read_is_no_failure(home: Home, system: ScriptedSystem, source: int) -> None:
    system.put("paper", "# Paper\n\ntext")
    system.put("gone", "# Gone\n\ntext")
    home.jobs.enqueue([sync_job(source)])
    assert run_next(home, ["ingest"])
    system.remove("gone")
    work(home)
    assert reads(home, ANA) == {"paper"}
    assert causes(home) == []
    with home.catalog.read() as session:
        assert session.scalars(select(ArrivalRow.id)).all() == []


def test_rights_that_change_while_a_document_waits_are_those_it_comes_in_with(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\ntext", "person:ana")
    home.jobs.enqueue([sync_job(source)])
    assert run_next(home, ["ingest"])  # the sync alone; the document waits
    job = home.jobs.claim("slow", ["ingest"])
    assert job is not None
    system.papers["paper"].readers = "person:ben"
    sync(home, source)
    assert (reads(home, ANA), reads(home, BEN)) == (set(), {"paper"})


@on_sqlite
def test_a_source_without_permissions_is_under_the_operators_rules(
    home: Home, system: ScriptedSystem, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text('rules:\n  - {path: "legal/**", allow: ["user:ana"]}\n  - {path: "*.md", allow: ["user:ben"]}\n')
    system.mirrors_permissions = False
    system.put("legal/nda", "# NDA\n\ntext")
    system.put("readme.md", "# Read me\n\ntext")
    system.put("legal/../other", "# Other\n\ntext")
    source = stand_system(home.catalog, SystemRequest("papers", "scripted", {}, None, (), rules, None))
    sync(home, source)
    assert reads(home, ANA) == {"legal/nda"}
    assert reads(home, BEN) == {"readme.md"}

    rules.write_text('default: {allow: ["user:eve"]}\n')
    sync(home, source)
    assert reads(home, ANA) == reads(home, BEN) == set()
    assert reads(home, EVE) == {"legal/nda", "readme.md"}


@on_sqlite
def test_a_source_that_is_removed_leaves_no_members_in_its_groups(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.groups["group:team"] = "person:ana"
    system.put("paper", "# Paper\n\ntext", "group:team")
    sync(home, source)
    with home.catalog.write() as session:
        end_standing(session, source)
    assert reads(home, ANA) == set()
    assert home.connections.find(source) is None


def test_accounts_are_named_under_their_system() -> None:
    assert grantee("person:ana").issuer == ISSUER
