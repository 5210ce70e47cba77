"""Rights that widen in a system while a document changes there: nobody new reads here what it said before."""

from __future__ import annotations

from pathlib import Path

import pytest
from mirrored_papers import ANA, BEN, EVE, bring_in, reads, sync, work
from scripted_system import ScriptedSystem

from core.errors import LeaseLost, NotFound, Transient, UnreadableDocument
from core.principals import Principal, parse_grantee
from ingest.ledger import Ledger
from ingest.mirroring import ingesting
from ingest.report import IngestReport
from ingest.sources import SystemRequest, stand_system
from wiring.home import Home
from wiring.mirrors import mirrored
from workers.run import run_claimed, run_next
from workers.sweeping import sync_job

BOTH = "person:ana person:ben"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def text(home: Home, who: Principal, external_id: str = "paper") -> str:
    """What somebody reads of a document; nothing where they may not."""
    views = [view for view in home.gate.documents(who) if view.external_id == external_id]
    return home.gate.text(who, views[0].document_id)[1] if views else ""


def sync_alone(home: Home, source: int) -> None:
    """A sync whose documents are still on their way in."""
    home.jobs.enqueue([sync_job(source)])
    assert run_next(home, ["ingest"])


def test_what_was_taken_out_before_sharing_is_seen_by_nobody_new(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\nThe merger is called Aardvark.")
    system.put("kept", "# Kept\n\nTrains.")
    sync(home, source)
    system.put("paper", "# Paper\n\nThe merger has been announced.", BOTH)
    system.papers["kept"].readers = BOTH

    sync_alone(home, source)
    assert "Aardvark" in text(home, ANA)
    assert reads(home, BEN) == {"kept"}, "what is as it was is open once the changes are listed"
    work(home)
    assert "announced" in text(home, ANA)
    assert "announced" in text(home, BEN)


def test_in_one_process_too(home: Home, system: ScriptedSystem, source: int, monkeypatch: pytest.MonkeyPatch) -> None:
    system.put("paper", "# Paper\n\nThe merger is called Aardvark.")
    bring_in(home, source)
    system.put("paper", "# Paper\n\nThe merger has been announced.", BOTH)
    seen: list[str] = []
    stage = Ledger.stage

    def watched(*arguments, **named):  # type: ignore[no-untyped-def]
        staged = stage(*arguments, **named)
        seen.append(text(home, BEN))
        return staged

    monkeypatch.setattr(Ledger, "stage", watched)
    bring_in(home, source)
    assert seen == [""]
    assert "announced" in text(home, BEN)


def test_a_right_that_is_given_and_one_that_is_taken_go_each_their_way(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\nThe merger is called Aardvark.")
    sync(home, source)
    system.put("paper", "# Paper\n\nThe merger has been announced.", "person:ben")
    sync_alone(home, source)
    assert (reads(home, ANA), reads(home, BEN)) == (set(), set())
    work(home)
    assert (reads(home, ANA), reads(home, BEN)) == (set(), {"paper"})


@pytest.mark.parametrize("whole", [False, True])
def test_what_has_not_changed_is_open_to_everybody_new_with_the_same_sync(
    home: Home, system: ScriptedSystem, source: int, whole: bool
) -> None:
    system.always_whole = whole
    for number in range(7):
        system.put(f"paper{number}", f"# Paper {number}\n\ntext {number}")
    sync(home, source)
    for paper in system.papers.values():
        paper.readers = BOTH
    sync_alone(home, source)
    assert reads(home, BEN) == set(system.papers)
    assert len(system.fetched) == 7


def test_a_listing_that_goes_on_from_an_earlier_sync_opens_what_that_one_has_named(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    for number in range(7):
        system.put(f"paper{number}", f"# Paper {number}\n\ntext {number}")
    bring_in(home, source)
    home.connections.list_anew(source, lambda _: None)
    system.stops_after = 2
    with pytest.raises(KeyboardInterrupt):
        bring_in(home, source)
    system.stops_after = None
    for paper in system.papers.values():
        paper.readers = BOTH
    bring_in(home, source)
    assert reads(home, BEN) == set(system.papers)


def test_what_a_page_lists_as_it_was_is_open_before_the_listing_has_come_to_its_end(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    for number in range(7):
        system.put(f"paper{number}", f"# Paper {number}\n\ntext {number}")
    bring_in(home, source)
    home.connections.list_anew(source, lambda _: None)
    for paper in system.papers.values():
        paper.readers = BOTH
    system.stops_after = 1
    with pytest.raises(KeyboardInterrupt):
        bring_in(home, source)
    assert reads(home, BEN) == {"paper0", "paper1", "paper2"}


def test_an_outage_of_the_content_opens_nothing_and_closes_what_is_closed(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\ntext")
    system.put("other", "# Other\n\ntext", BOTH)
    sync(home, source)
    system.papers["paper"].readers = BOTH
    system.papers["other"].readers = "person:ben"
    system.fails_at["changes"] = Transient("It is down.")
    with pytest.raises(Transient):
        bring_in(home, source)
    assert (reads(home, ANA), reads(home, BEN)) == ({"paper"}, {"other"})
    system.fails_at.clear()
    bring_in(home, source)
    assert (reads(home, ANA), reads(home, BEN)) == ({"paper"}, {"paper", "other"})


@pytest.mark.parametrize("error", [Transient("It is busy."), UnreadableDocument("unreadable", "it is locked")])
def test_what_cannot_be_fetched_stays_with_whom_it_was_until_it_can(
    home: Home, system: ScriptedSystem, source: int, error: Exception
) -> None:
    system.put("paper", "# Paper\n\nThe merger is called Aardvark.")
    sync(home, source)
    system.put("paper", "# Paper\n\nThe merger has been announced.", BOTH)
    system.fails_at["fetch"] = error
    for _ in range(2):
        sync(home, source)
        assert ("Aardvark" in text(home, ANA), text(home, BEN)) == (True, "")
    system.fails_at.clear()
    system.put("paper", "# Paper\n\nThe merger has been announced.", BOTH)
    sync(home, source)
    assert "announced" in text(home, BEN)


def test_what_has_changed_and_gone_before_it_was_fetched_is_opened_to_nobody_new(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    system.put("paper", "# Paper\n\nThe merger is called Aardvark.")
    bring_in(home, source)
    system.put("paper", "# Paper\n\nThe merger has been announced.", BOTH)
    system.fails_at["fetch"] = NotFound("paper", "paper")
    bring_in(home, source)
    assert ("Aardvark" in text(home, ANA), text(home, BEN)) == (True, "")


@pytest.mark.parametrize("whole", [False, True])
def test_what_the_source_would_not_list_is_opened_to_nobody_new(
    home: Home, system: ScriptedSystem, source: int, whole: bool
) -> None:
    system.put("paper", "# Paper\n\ntext")
    system.put("locked", "# Locked\n\ntext")
    bring_in(home, source)
    system.always_whole = whole
    home.connections.list_anew(source, lambda _: None)
    locked = system.papers.pop("locked")
    system.refused = [("locked", "it is checked out")]
    bring_in(home, source)

    # Its rights are told all the same.
    system.silent_about_content, system.papers["locked"] = {"locked"}, locked
    for paper in system.papers.values():
        paper.readers = BOTH
    bring_in(home, source)
    assert (reads(home, ANA), reads(home, BEN)) == ({"paper", "locked"}, {"paper"})


def test_what_a_listing_has_shrunk_by_is_opened_to_nobody_new(home: Home, system: ScriptedSystem, source: int) -> None:
    system.always_whole = True
    for number in range(14):
        system.put(f"paper{number:02}", f"# Paper {number}\n\ntext {number}")
    bring_in(home, source)
    system.silent_about_content = set(sorted(system.papers)[1:])
    for paper in system.papers.values():
        paper.readers = BOTH
    done, _ = bring_in(home, source)
    assert done.warnings and len(reads(home, ANA)) == 14
    assert reads(home, BEN) == {"paper00"}


def test_what_moves_is_read_by_whom_its_new_place_lets_in(home: Home, system: ScriptedSystem, source: int) -> None:
    system.hashed = True
    system.put("old", "# Paper\n\ntext of the paper")
    sync(home, source)
    paper = system.papers["old"]
    system.remove("old")
    paper.readers = "person:ben"
    system.papers["new"] = paper
    system.log.append(("put", "new"))
    sync_alone(home, source)
    assert (reads(home, ANA), reads(home, BEN)) == (set(), {"new"})


def test_a_sync_that_another_has_overtaken_gives_no_rights_that_are_taken_by_now(
    home: Home, system: ScriptedSystem, source: int
) -> None:
    for number in range(4):
        system.put(f"paper{number}", f"# Paper {number}\n\ntext {number}")
    bring_in(home, source)
    system.always_whole, system.page = True, 2
    for paper in system.papers.values():
        paper.readers = BOTH
    connection = home.connections.find(source)
    assert connection is not None
    with mirrored(home, connection, Ledger(home.catalog, connection.name, connection.uri)) as mirror:
        listed = mirror.connector.changes

        def overtaken(cursor: str | None):  # type: ignore[no-untyped-def]
            for paper in system.papers.values():
                paper.readers = "person:ana"
            bring_in(home, source)
            for paper in system.papers.values():
                paper.readers = BOTH
            yield from listed(cursor)

        mirror.connector.changes = overtaken  # type: ignore[method-assign]
        with pytest.raises(LeaseLost):
            mirror.sync(ingesting(mirror, IngestReport("papers"), lambda *_: None))
    assert reads(home, BEN) == set()


@on_sqlite
def test_an_operators_new_rules_hold_for_what_is_on_its_way_in(
    home: Home, system: ScriptedSystem, tmp_path: Path
) -> None:
    system.mirrors_permissions = False
    rules = tmp_path / "rules.yaml"
    rules.write_text('default: {allow: ["user:ana", "user:eve"]}\n')
    source = stand_system(home.catalog, SystemRequest("papers", "scripted", {}, None, (), rules, None))
    system.put("paper", "# Paper\n\ntext")
    sync_alone(home, source)
    slow = home.jobs.claim("slow", ["ingest"])
    assert slow is not None
    rules.write_text('default: {allow: ["user:ana"]}\n')
    sync_alone(home, source)
    run_claimed(home, slow)
    assert reads(home, EVE) == set()
    work(home)
    assert (reads(home, ANA), reads(home, EVE)) == ({"paper"}, set())
    assert system.fetched == ["paper"]


@on_sqlite
def test_an_operators_wider_rules_wait_for_new_content(home: Home, system: ScriptedSystem) -> None:
    system.mirrors_permissions = False
    system.put("paper", "# Paper\n\nThe merger is called Aardvark.")
    system.put("kept", "# Kept\n\nTrains.")
    for_ana = [parse_grantee("user:ana")]
    source = stand_system(home.catalog, SystemRequest("papers", "scripted", {}, None, for_ana, None, None))
    sync(home, source)
    system.put("paper", "# Paper\n\nThe merger has been announced.")
    for_all = [parse_grantee("everyone")]
    assert stand_system(home.catalog, SystemRequest("papers", "scripted", {}, None, for_all, None, None)) == source
    sync_alone(home, source)
    assert (text(home, EVE), reads(home, EVE)) == ("", {"kept"})
    work(home)
    assert "announced" in text(home, EVE)
