"""The command line keeps its published contract: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command_line import Footnote, command_line

FILES = {
    "handbook/leave.md": "# Leave\n\nEverybody has thirty days of annual leave. Leave is asked for in the portal.\n",
    "legal/nda.md": "# NDA\n\n## Term\n\nThe agreement runs for three years. 🦉 Owls are not a party to it.\n",
    "finance/budget.csv": "team,budget\nplatform,90000\nfirmware,120000\n",
}
RULES = 'default: {allow: ["group:staff"]}\nrules:\n  - {path: "legal/**", allow: ["user:ana"], deny: ["user:ben"]}\n'


@pytest.fixture
def footnote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Footnote:
    """Runs one command line on a home of this test's own."""
    monkeypatch.setenv("FOOTNOTE_WRITER_WAIT_S", "0.3")
    return command_line(tmp_path, monkeypatch, capfd)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "org"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "access.yaml").write_text(RULES)
    return root


@pytest.fixture
def filled(footnote: Footnote, folder: Path) -> Footnote:
    """A home with the folder brought in, ana and ben being staff."""
    fill(footnote, folder)
    return footnote


def fill(footnote: Footnote, folder: Path) -> None:
    assert footnote("init").code == 0
    assert footnote("groups", "set", "staff", "user:ana", "user:ben").code == 0
    assert footnote("ingest", str(folder), "--source", "org").code == 0


def test_init_prints_an_administrators_key_once_and_refuses_to_do_it_again(footnote: Footnote) -> None:
    made = footnote("init", "--json").json()
    assert made["admin_key"].startswith("fnk_")

    again = footnote("init")
    assert (again.code, again.out) == (1, "")
    assert "is a home already" in again.err


def test_every_command_on_a_folder_that_is_no_home_says_to_run_init(footnote: Footnote) -> None:
    for command in (["documents", "list"], ["search", "x", "--as", "user:ana"], ["audit", "verify"], ["upgrade"]):
        ran = footnote(*command)
        assert ran.code == 1
        assert "footnote init" in ran.err


def test_ingest_prints_its_counts_as_json_and_says_when_nothing_changed(footnote: Footnote, folder: Path) -> None:
    footnote("init")
    first = footnote("ingest", str(folder), "--json")
    report = first.json()
    assert report["source"] == str(folder)
    assert {name: n for name, n in report["documents"].items() if n} == {"added": 3}
    assert report["failures"] == []
    assert report["chunks"] >= 3
    assert "group:staff is not known yet" in first.err
    assert {name: n for name, n in footnote("ingest", str(folder), "--json").json()["documents"].items() if n} == {
        "unchanged": 3
    }
    assert "nothing has changed" in footnote("ingest", str(folder)).out


def test_documents_that_fail_are_named_with_their_cause_and_the_exit_code_is_three(
    footnote: Footnote, folder: Path
) -> None:
    footnote("init")
    (folder / "program").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(64))
    (folder / "report.txt").write_bytes(b"%PDF-1.7\n")
    ran = footnote("ingest", str(folder), "--json")
    assert ran.code == 3
    report = ran.json()
    assert report["documents"]["added"] == 3
    assert {failure["external_id"]: failure["verdict"] for failure in report["failures"]} == {
        "program": "unsupported",
        "report.txt": "malformed",
    }
    shown = footnote("ingest", str(folder))
    assert shown.code == 3
    assert "1 unsupported" in shown.err and "program" in shown.err


def test_a_search_has_the_published_fields_and_its_text_is_the_stored_text(filled: Footnote) -> None:
    result = filled("search", "owls party", "--as", "user:ana", "-k", "2", "--json").json()
    assert (result["query"], result["principal"], len(result["hits"])) == ("owls party", "user:ana", 2)
    assert set(result["timings_ms"]) >= {"embed", "access", "dense", "lexical", "gate", "total"}
    hit = result["hits"][0]
    assert set(hit) >= {
        *("rank", "score", "chunk_id", "document_id", "version", "source", "external_id"),
        *("uri", "title", "heading", "page", "start", "end", "text"),
    }
    assert (hit["rank"], hit["external_id"], hit["source"]) == (1, "legal/nda.md", "org")
    shown = filled("documents", "show", hit["document_id"], "--text", "--as", "user:ana", "--json").json()
    assert shown["text"][hit["start"] : hit["end"]] == hit["text"]


def test_every_quote_of_an_answer_is_the_stored_text_between_its_offsets(
    footnote: Footnote, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "minilm")
    filled = footnote
    fill(filled, folder)
    answer = filled("ask", "How long does the agreement run?", "--as", "user:ana", "--json").json()
    assert not answer["abstained"]
    assert "[1]" in answer["answer"]
    assert answer["citations"]
    for citation in answer["citations"]:
        shown = filled("documents", "show", citation["document_id"], "--text", "--as", "user:ana", "--json").json()
        assert shown["text"][citation["start"] : citation["end"]] == citation["quote"]
    markers = {citation["marker"] for citation in answer["citations"]}
    assert {marker for claim in answer["claims"] for marker in claim["markers"]} == markers
    assert answer["mode"] == "extractive"
    records = filled("audit", "show", answer["audit_id"], "--json").json()["records"]
    assert [record["kind"] for record in records] == ["intent", "evidence", "receipt"]
    assert records[0]["content"]["question"] == "How long does the agreement run?"


def test_somebody_who_may_not_read_the_answer_is_told_there_is_none(filled: Footnote) -> None:
    ran = filled("ask", "How long does the agreement run?", "--as", "user:ben", "--json")
    answer = ran.json()
    assert "three years" not in ran.out
    assert "legal/nda.md" not in ran.out
    assert answer["abstained"] or all(c["external_id"] != "legal/nda.md" for c in answer["citations"])


def test_text_is_shown_to_whom_it_is_meant_for_and_denied_like_the_absent(filled: Footnote) -> None:
    listed = {one["external_id"]: one["document_id"] for one in filled("documents", "list", "--json").json()}
    denied = filled("documents", "show", listed["legal/nda.md"], "--text", "--as", "user:ben")
    absent = filled("documents", "show", "0" * 32, "--text", "--as", "user:ben")
    assert (denied.code, denied.out) == (absent.code, absent.out) == (1, "")
    assert denied.err.replace(listed["legal/nda.md"], "ID") == absent.err.replace("0" * 32, "ID")
    operator = filled("documents", "show", listed["legal/nda.md"], "--text")
    assert operator.code == 1, "an administrator reads nothing extra"


def test_a_revocation_and_a_group_change_hold_for_the_next_command(filled: Footnote) -> None:
    def sees(person: str, name: str) -> bool:
        hits = filled("search", "leave agreement budget", "--as", f"user:{person}", "--json").json()["hits"]
        return name in [hit["external_id"] for hit in hits]

    assert sees("ana", "legal/nda.md")
    assert "may not read" in filled("access", "revoke", "user:ana", "legal/nda.md").out
    assert not sees("ana", "legal/nda.md")
    filled("access", "grant", "user:ana", "legal/nda.md")
    assert sees("ana", "legal/nda.md")
    assert sees("ben", "handbook/leave.md")
    filled("groups", "set", "staff", "user:ana")
    assert not sees("ben", "handbook/leave.md")


def test_explain_names_the_rule_that_decided(filled: Footnote) -> None:
    denied = filled("access", "explain", "user:ben", "legal/nda.md", "--json").json()
    assert denied["allowed"] is False
    assert "rule 1 (legal/**)" in denied["rule"]
    assert "deny user:ben" in denied["rule"]
    allowed = filled("access", "explain", "user:ben", "handbook/leave.md", "--json").json()
    assert allowed["allowed"] is True
    assert "default" in allowed["rule"]
    assert allowed["through"] == ["group:staff"]


def test_a_cycle_of_groups_is_refused_and_named(filled: Footnote) -> None:
    filled("groups", "set", "a", "group:b")
    filled("groups", "set", "b", "group:c")
    ran = filled("groups", "set", "c", "group:a")
    assert ran.code == 2
    assert "group:c > group:a > group:b > group:c" in ran.err
    groups = {one["group"]: one["members"] for one in filled("groups", "list", "--json").json()}
    assert "group:c" not in groups


def test_an_invalid_access_file_fails_before_anything_changes(filled: Footnote, folder: Path) -> None:
    (folder / "access.yaml").write_text('default: {allow: ["group:staff"]}\nrules: [{path: "x", alow: ["user:ana"]}]\n')
    (folder / "new.md").write_text("new words")
    ran = filled("ingest", str(folder), "--source", "org")
    assert ran.code == 2
    assert "rule 1: unknown key 'alow'" in ran.err
    assert "access.yaml" in ran.err
    assert len(filled("documents", "list", "--json").json()) == 3


def test_a_changed_rule_is_applied_though_no_document_changed(filled: Footnote, folder: Path) -> None:
    (folder / "access.yaml").write_text(RULES.replace('deny: ["user:ben"]', "deny: []").replace("user:ana", "user:ben"))
    report = filled("ingest", str(folder), "--source", "org", "--json").json()
    assert {name: n for name, n in report["documents"].items() if n} == {"unchanged": 3, "access_changed": 1}
    hits = filled("search", "agreement", "--as", "user:ben", "--json").json()["hits"]
    assert "legal/nda.md" in [hit["external_id"] for hit in hits]


def test_a_dry_run_shows_who_could_read_what_and_changes_nothing(footnote: Footnote, folder: Path) -> None:
    footnote("init")
    report = footnote("ingest", str(folder), "--dry-run", "--json").json()
    plan = {one["external_id"]: one for one in report["plan"]}
    assert plan["legal/nda.md"]["change"] == "added"
    assert (plan["legal/nda.md"]["allow"], plan["legal/nda.md"]["deny"]) == (["user:ana"], ["user:ben"])
    assert footnote("documents", "list", "--json").json() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "x", "--as", "group:staff"], "only a person can"),
        (["search", "x", "--as", "ana"], "names nobody"),
        (["ask", "   ", "--as", "user:ana"], "empty"),
        (["ask", "\x00", "--as", "user:ana", "-k"], ""),
        (["search", "x", "--as", "user:ana", "-k", "0"], "between 1 and"),
        (["ingest", "nowhere"], "There is no folder nowhere here"),
        (["ingest", "gopher://example.org/"], "no system that is known"),
        (["ingest", "https://ana:pw@example.org/"], "holds no password"),
        (["sources", "add", "nothing", "--set", "x=1"], "no kind of system of that name"),
        (["sources", "add", "https://example.org/a.git", "--secret", "env:HOME"], "FOOTNOTE_SECRET_"),
        (["sources", "add", "git", "--set", "url"], "NAME=VALUE"),
        (["ingest", "org", "--prune=all"], "--prune=all"),
        (["ingest", "org", "org/legal", "--source", "x"], "several sources"),
        (["access", "show", "user:ana", "user:ben", "legal/nda.md"], "at most one principal"),
        (["documents", "list", "--home"], "--home needs a folder"),
        (["keys", "create", "k", "--expires", "0d"], "no length of time"),
        (["sources", "add", "org", "--every", "0m"], "no length of time"),
        (["eval", "org", "--run", "nowhere/run.txt"], "no folder"),
        (["eval", "org", "--answers", "org"], "is a folder"),
        (["keys", "create", "k", "--scope", "everything"], "the scopes are"),
        (["keys", "create", "k", "--expires", "soon"], "no length of time"),
        (["audit", "list", "--kind", "gossip"], "no kind of record"),
        (["bench", "luck"], "no bench"),
        (["unknown"], ""),
    ],
)
def test_wrong_usage_exits_with_two_and_says_what_would_be_right(
    filled: Footnote, arguments: list[str], says: str
) -> None:
    ran = filled(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in " ".join(ran.err.split())


def test_a_source_that_is_kept_in_step_may_lose_what_its_folder_loses(filled: Footnote, folder: Path) -> None:
    assert filled("sources", "add", str(folder), "--source", "org", "--prune", "--json").json()["prune"] is True


def test_a_question_may_look_like_an_option(filled: Footnote) -> None:
    assert filled("ask", "--as", "user:ana", "--json", "--", "--prune").json()["question"] == "--prune"


def test_a_changed_name_lets_nobody_in_again(filled: Footnote) -> None:
    filled("users", "set", "ben", "--inactive")
    assert filled("users", "set", "ben", "--name", "Ben", "--json").json()["active"] is False
    assert filled("search", "leave", "--as", "user:ben", "--json").json()["hits"] == []
    assert filled("users", "set", "ben", "--active", "--json").json()["name"] == "Ben"
    assert filled("search", "leave", "--as", "user:ben", "--json").json()["hits"]


@pytest.mark.parametrize("groups", ['{new: ["user:eve"], bad: [nonsense]}', '{a: ["group:b"], b: ["group:a"]}'])
def test_a_roster_is_brought_in_whole_or_not_at_all(filled: Footnote, tmp_path: Path, groups: str) -> None:
    (tmp_path / "people.yaml").write_text(f"groups: {groups}\npeople: {{dan: {{name: Dan}}}}\n")
    before = filled("users", "list", "--json").json()
    assert filled("groups", "load", str(tmp_path / "people.yaml")).code == 2
    assert filled("users", "list", "--json").json() == before


def test_a_question_of_a_hundred_thousand_characters_is_refused_with_the_limit(filled: Footnote) -> None:
    ran = filled("ask", "why " * 25_000, "--as", "user:ana")
    assert ran.code == 1
    assert "the limit is 8,000" in ran.err


def test_text_that_is_no_utf8_and_nul_are_taken_as_replacement_characters(filled: Footnote) -> None:
    assert filled("search", "leave \udcff\x00 annual", "--as", "user:ana", "--json").json()["hits"]


def test_names_that_are_no_utf8_are_written_with_escapes_and_keep_their_rules(
    footnote: Footnote, tmp_path: Path
) -> None:
    folder = tmp_path / "odd\udcff"
    (folder / "in\udcfe").mkdir(parents=True)
    (folder / "access.yaml").write_text("default: {allow: [everyone]}\n")
    (folder / "in\udcfe" / "access.yaml").write_text('default: {allow: ["user:ana"]}\n')
    (folder / "in\udcfe" / "a\udcfd.md").write_text("The lights go out at nine.\n")
    footnote("init")
    assert footnote("ingest", str(folder), "--json").json()["source"] == f"{tmp_path}/odd\\xff"
    [hit] = footnote("search", "lights", "--as", "user:ana", "--json").json()["hits"]
    assert hit["external_id"] == "in\\xfe/a\\xfd.md"
    explained = footnote("access", "explain", "user:ana", hit["external_id"], "--json").json()
    assert "in\\xfe/access.yaml: default" in explained["rule"]
    assert footnote("search", "lights", "--as", "user:ben", "--json").json()["hits"] == []
    (folder / "in\udcfe" / "access.yaml").write_text("default: {}\n")
    assert footnote("ingest", str(folder), "--json").json()["documents"]["access_changed"] == 1
    assert footnote("search", "lights", "--as", "user:ana", "--json").json()["hits"] == []
    for command in (["documents", "show"], ["documents", "why"], ["audit", "show"], ["sources", "show"]):
        ran = footnote(*command, "\udcff")
        assert (ran.code, ran.out) == (1, "")
        assert "that you may read" in ran.err


def test_a_key_is_shown_once_listed_without_its_secret_and_can_be_revoked(filled: Footnote) -> None:
    made = filled("keys", "create", "laptop", "--as", "user:ana", "--expires", "30d", "--json").json()
    listed = filled("keys", "list", "--json")
    assert made["key"] not in listed.out
    assert made["key_id"] in [key["key_id"] for key in listed.json()]
    assert filled("keys", "revoke", made["key_id"], "--json").json()["revoked"]


def test_config_prints_every_setting_with_its_value_origin_and_meaning(filled: Footnote, tmp_path: Path) -> None:
    (tmp_path / "footnote.toml").write_text("port = 9000\n")
    settings = {one["name"]: one for one in filled("config", "--json").json()}
    assert settings["embedding_model"]["origin"] == "FOOTNOTE_EMBEDDING_MODEL"
    assert (settings["port"]["value"], settings["port"]["origin"]) == ("9000", "footnote.toml")
    assert settings["k" if "k" in settings else "host"]["meaning"]
    (tmp_path / "footnote.toml").write_text('port = "high"\n')
    wrong = filled("config")
    assert wrong.code == 2
    assert "port" in wrong.err


def test_doctor_finds_a_damaged_index_and_an_altered_record(filled: Footnote, tmp_path: Path) -> None:
    well = filled("doctor", "--json")
    assert well.code == 0
    assert {"home", "catalog", "index", "audit chain", "encoder", "reranker", "parser", "disk"} == {
        one["subject"] for one in json.loads(well.out)
    }
    damaged = next(path for path in (tmp_path / "home/index/segments").rglob("*") if path.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x00\x01")
    ran = filled("doctor", "--json")
    assert ran.code == 1
    assert [one["subject"] for one in json.loads(ran.out) if not one["ok"]] == ["index"]


def test_doctor_says_what_is_gone_with_the_database_and_goes_on(
    filled: Footnote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    findings = json.loads(filled("doctor", "--json").out)

    gone = {one["subject"]: one["detail"] for one in findings if not one["ok"]}
    assert list(gone) == ["catalog", "index", "audit chain"]
    assert all("cannot be reached" in detail for detail in gone.values())


def test_a_home_with_vectors_of_another_model_is_refused_until_it_is_upgraded(
    filled: Footnote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "minilm")
    ran = filled("search", "annual leave", "--as", "user:ana")
    assert ran.code == 1
    assert "footnote index rebuild" in ran.err
    assert filled("index", "rebuild", "--json").json() == {"chunks": 3, "embedded": 3}
    hits = filled("search", "annual leave", "--as", "user:ana", "--json").json()["hits"]
    assert hits[0]["external_id"] == "handbook/leave.md"


def test_a_home_of_a_newer_version_is_refused(filled: Footnote, tmp_path: Path) -> None:
    (tmp_path / "home/home.json").write_text('{"format": 99, "version": "9.0"}')
    ran = filled("documents", "list")
    assert ran.code == 1
    assert "newer Footnote" in ran.err


def test_the_audit_log_tells_of_a_record_that_was_changed(filled: Footnote, tmp_path: Path) -> None:
    assert filled("audit", "verify").code == 0
    with sqlite3.connect(tmp_path / "home/audit.db") as connection:
        connection.execute("UPDATE audit_records SET time = '2020-01-01T00:00:00.000000Z' WHERE sequence = 3")
    connection.close()
    ran = filled("audit", "verify")
    assert ran.code == 1
    assert "3" in ran.out


def test_an_audit_log_of_which_nothing_is_left_is_missed(filled: Footnote, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "home/audit.db")) as connection, connection:
        connection.execute("DELETE FROM audit_records")
    shutil.rmtree(tmp_path / "home/audit")
    ran = filled("audit", "verify", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["first_bad"]["sequence"] == 1


def test_a_damaged_catalog_is_told_in_words_and_found_by_the_doctor(filled: Footnote, tmp_path: Path) -> None:
    for path in (tmp_path / "home").glob("catalog.db-*"):
        path.unlink()
    (tmp_path / "home/catalog.db").write_bytes(b"no database" * 1000)
    for command in (["documents", "list"], ["upgrade"], ["search", "leave", "--as", "user:ana"]):
        ran = filled(*command)
        assert (ran.code, ran.out) == (1, "")
        assert "damaged" in ran.err and "backup" in ran.err
    found = filled("doctor", "--json")
    assert found.code == 1
    assert "catalog" in [one["subject"] for one in json.loads(found.out) if not one["ok"]]


def test_no_answer_and_no_text_leaves_when_the_record_cannot_be_written(filled: Footnote, tmp_path: Path) -> None:
    (tmp_path / "home/audit.db").rename(tmp_path / "away.db")
    (tmp_path / "home/audit.db").mkdir()
    for arguments in (
        ["ask", "How long does the agreement run?", "--as", "user:ana", "--json"],
        ["search", "agreement", "--as", "user:ana", "--json"],
        ["documents", "show", "legal/nda.md", "--text", "--as", "user:ana"],
        ["access", "grant", "user:ben", "legal/nda.md"],
    ):
        ran = filled(*arguments)
        assert (ran.code, ran.out) == (1, ""), arguments
        assert "record" in ran.err
    (tmp_path / "home/audit.db").rmdir()
    (tmp_path / "away.db").rename(tmp_path / "home/audit.db")
    hits = filled("search", "agreement", "--as", "user:ben", "--json").json()["hits"]
    assert "legal/nda.md" not in [hit["external_id"] for hit in hits]


def test_upgrade_brings_a_home_to_the_model_in_use(filled: Footnote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "minilm")
    assert filled("upgrade", "--json").json() == {"embedded": 3}
    assert filled("upgrade", "--json").json() == {"embedded": 0}
    assert filled("index", "status", "--json").json()["chunks"] == 3


def test_failures_stand_under_their_cause_with_the_next_step(footnote: Footnote, tmp_path: Path) -> None:
    footnote("init")
    folder = tmp_path / "org"
    folder.mkdir()
    for name in ("a.pdf", "b.pdf"):
        (folder / name).write_bytes(b"%PDF-1.7\nnothing of the kind")
    (folder / "c.md").write_text("")
    (folder / "good.md").write_text("# Good\n\nThe canteen opens at noon.\n")
    ran = footnote("ingest", "org", "--source", "org", "--allow", "user:ana")
    assert ran.code == 3
    assert ran.err.count("Fetch or save it anew") == 1
    assert all(name in ran.err for name in ("a.pdf", "b.pdf", "c.md"))

    groups = footnote("documents", "failures", "--json").json()
    assert [(group["verdict"], group["count"], group["documents"]) for group in groups] == [
        ("malformed", 2, ["a.pdf", "b.pdf"]),
        ("empty", 1, ["c.md"]),
    ]
    assert all(group["next_step"] for group in groups)
    assert footnote("documents", "failures", "--source", "nothing").code == 1


def test_why_says_what_a_document_is_what_it_waits_for_and_who_may_read_it(footnote: Footnote, tmp_path: Path) -> None:
    footnote("init")
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "bad.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")
    (tmp_path / "org" / "good.md").write_text("# Good\n\nThe canteen opens at noon.\n")
    footnote("ingest", "org", "--allow", "user:ana")

    good, bad = (footnote("documents", "why", name, "--json").json() for name in ("good.md", "bad.pdf"))

    assert "who may read it, finds it" in good["why"] and "user:ana" in good["why"]
    assert (good["allow"], good["next_steps"], good["job"]) == (["user:ana"], [], None)
    assert "could not be read (malformed)" in bad["why"]
    assert bad["next_steps"] == ["Fetch or save it anew from the program that made it."]
    footnote("access", "revoke", "user:ana", "good.md")
    assert "user:ana" in footnote("documents", "why", "good.md", "--json").json()["deny"]
