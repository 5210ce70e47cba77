"""Systems as sources, on the command line: set up by address or kind, brought in, linked to people, and let go of."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Footnote, command_line
from scripted_system import ScriptedSystem

from core.errors import Transient
from wiring.connectors import KINDS


@pytest.fixture
def footnote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Footnote:
    ran = command_line(tmp_path, monkeypatch, capfd)
    assert ran("init").code == 0
    return ran


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> ScriptedSystem:
    system = ScriptedSystem()
    monkeypatch.setitem(KINDS, "scripted", system.kind)
    return system


def readers(footnote: Footnote, name: str) -> list[str]:
    return [str(hit["external_id"]) for hit in footnote("search", "numbat", "--as", name, "--json").json()["hits"]]


def test_a_system_is_added_synced_linked_and_removed(footnote: Footnote, system: ScriptedSystem) -> None:
    system.put("paper", "# Paper\n\nThe numbat sleeps.", "person:ana")
    added = footnote("sources", "add", "scripted", "--source", "papers", "--set", "site=two", "--every", "1h", "--json")
    assert (added.json()["kind"], added.json()["every_seconds"]) == ("scripted", 3600)

    report = footnote("sources", "sync", "papers", "--here", "--json").json()
    assert report["documents"]["added"] == 1
    assert readers(footnote, "user:ana") == []
    [account] = footnote("sources", "accounts", "papers", "--json").json()
    assert (account["name"], account["person"]) == ("Ana", None)

    assert footnote("users", "link", "user:ana", account["account"]).code == 0
    assert readers(footnote, "user:ana") == ["paper"]
    assert footnote("users", "links", "--json").json() == [{"account": account["account"], "person": "user:ana"}]
    assert account["account"] in footnote("users", "links").out
    explained = footnote("access", "explain", "user:ana", "paper", "--json").json()
    assert explained["allowed"] and account["account"] in explained["through"]
    assert footnote("users", "unlink", account["account"]).code == 0
    assert readers(footnote, "user:ana") == []

    shown = footnote("sources", "show", "papers", "--json").json()
    assert (shown["settings"], shown["problem"], shown["notices"]) == ({"site": "two"}, None, [])
    assert shown["content_lag_s"] is not None and shown["permissions_lag_s"] is not None
    assert footnote("sources", "pause", "papers", "--json").json()["paused"] is True
    assert footnote("sources", "resume", "papers", "--json").json()["paused"] is False
    assert footnote("sources", "remove", "papers").code == 0
    assert footnote("documents", "list", "--json").json() == []


def test_a_sync_that_fails_says_why_and_where_to_look(footnote: Footnote, system: ScriptedSystem) -> None:
    system.put("paper", "# Paper\n\nThe numbat sleeps.", "user:ana")
    footnote("sources", "add", "scripted", "--source", "papers")
    footnote("sources", "sync", "papers", "--here")
    assert readers(footnote, "user:ana") == ["paper"]
    system.fails_at["permissions"] = Transient("The scripted system is down.")

    ran = footnote("sources", "sync", "papers", "--here")

    assert ran.code == 1 and "is down" in ran.err
    assert readers(footnote, "user:ana") == []
    why = footnote("documents", "why", "paper", "--json").json()
    assert "is down" in why["why"] and "footnote sources sync papers" in why["next_steps"][0]
    assert footnote("sources", "show", "papers", "--json").json()["problem"] == "The scripted system is down."


def test_an_address_is_brought_in_at_once_and_again(footnote: Footnote, tmp_path: Path) -> None:
    box = tmp_path / "team.mbox"
    message = "From ana@example.org Sat Nov 21 10:00:00 2026\nFrom: ana@example.org\nSubject: Numbats\n"
    box.write_text(f"{message}Message-ID: <1@example.org>\n\nThe numbat sleeps in a log.\n\n")
    first = footnote("ingest", f"mbox://{box}", "--source", "team", "--allow", "user:ana", "--json").json()
    assert first["documents"]["added"] == 1
    assert len(readers(footnote, "user:ana")) == 1
    assert readers(footnote, "user:ben") == []
    again = footnote("ingest", f"mbox://{box}", "--source", "team", "--json").json()
    assert (again["documents"]["added"], again["documents"]["failed"]) == (0, 0)
    assert len(readers(footnote, "user:ana")) == 1, "--allow is remembered"


def test_bringing_an_address_in_again_keeps_what_its_source_was_set_up_with(footnote: Footnote, tmp_path: Path) -> None:
    box = tmp_path / "team.mbox"
    box.write_text("From ana Sat Nov 21 10:00:00 2026\nFrom: ana@example.org\nSubject: x\n\nThe numbat sleeps.\n\n")
    address = f"mbox://{box}"
    footnote("sources", "add", address, "--source", "team", "--set", "page_messages=7", "--every", "2h")
    footnote("ingest", address, "--source", "team")
    shown = footnote("sources", "show", "team", "--json").json()
    assert (shown["settings"]["page_messages"], shown["every_seconds"]) == (7, 7200)


def test_every_kind_says_what_it_is_set_up_with(footnote: Footnote) -> None:
    kinds = footnote("sources", "kinds", "--json").json()
    assert {"confluence", "git", "github", "jira", "notion", "s3", "sharepoint", "slack", "sql", "web"} < kinds.keys()
    for name, kind in kinds.items():
        assert all(setting["meaning"] for setting in kind["settings"].values()), name
        assert name in footnote("sources", "kinds", name).out


def test_what_makes_no_sense_is_said_before_anything_is_kept(footnote: Footnote, system: ScriptedSystem) -> None:
    for arguments, says in (
        (["add", "scripted", "--set", "sight=two"], "sight of a source of the kind scripted: there is no such setting"),
        (["add", "scripted", "--set", "site=1"], "what looks like a number goes in quotes, such as --set site='\"1\"'"),
        (["add", "github", "--set", "organizations=acme"], 'write a list, such as --set organizations=\'["one"'),
        (["add", "confluence"], "it is needed; give it with --set base_url=VALUE"),
        (["add", "confluence", "--set", "base_url=http://x"], "confluence: http would send the token in the clear"),
        (["add", "sharepoint", "--set", "tenant=x"], "it is not written as this system writes it"),
        (["add", "conflunce"], "`footnote sources kinds` lists them"),
        (["add", "nothing://x"], "no system that is known"),
        (["add", "scripted", "--secret", "env:HOME"], "FOOTNOTE_SECRET_"),
        (["add", "scripted", "--secret", "file:../keys/master"], "file:NAME"),
        (["kinds", "nothing"], "There is no kind of source"),
    ):
        ran = footnote("sources", *arguments)
        assert (ran.code, says in ran.err) == (2, True), ran.err
    assert footnote("sources", "list", "--json").json() == []
