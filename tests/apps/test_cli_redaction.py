"""`footnote redaction`: administered and on record, and what each person is then shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apps.cli.main import invoke

CARD = "4111 1111 1111 1111"


class Terminal:
    """Runs command lines on a home of this test's own."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.capfd = capfd

    def run(self, *arguments: str) -> tuple[int, str]:
        self.capfd.readouterr()
        code = invoke(list(arguments))
        out, err = self.capfd.readouterr()
        return code, out or err

    def json(self, *arguments: str) -> Any:
        code, out = self.run(*arguments, "--json")
        assert code == 0, out
        return json.loads(out)

    def text(self, person: str) -> str:
        return str(self.json("documents", "show", "payments.md", "--text", "--as", person)["text"])


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    monkeypatch.setenv("FOOTNOTE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hashing")
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "payments.md").write_text(f"# Payments\n\nThe card is {CARD}.\n")
    made = Terminal(capfd)
    made.json("init")
    made.json("ingest", str(tmp_path / "org"), "--allow", "everyone")
    made.json("groups", "set", "payments", "user:ana")
    return made


def test_a_policy_is_set_listed_and_unset_and_each_change_is_on_record(terminal: Terminal) -> None:
    assert CARD not in terminal.text("user:ana")

    terminal.json("redaction", "set", "payments", "open")

    assert CARD in terminal.text("user:ana")
    assert CARD not in terminal.text("user:ben")
    listed = terminal.json("redaction", "list")
    assert listed == {"default": "standard", "groups": [{"group": "group:payments", "policy": "open"}]}

    terminal.json("redaction", "unset", "group:payments")

    assert CARD not in terminal.text("user:ana")
    assert terminal.json("redaction", "list")["groups"] == []
    assert terminal.run("redaction", "unset", "payments")[0] == 1
    on_record = [entry["content"]["action"] for entry in terminal.json("audit", "list", "--kind", "admin")]
    assert {"redaction.set", "redaction.unset", "redaction.list"} <= set(on_record)


def test_a_group_made_anew_does_not_have_the_policy_of_the_one_that_was_deleted(terminal: Terminal) -> None:
    terminal.json("redaction", "set", "payments", "open")
    terminal.json("groups", "delete", "payments")

    terminal.json("groups", "set", "payments", "user:ana")

    assert CARD not in terminal.text("user:ana")


def test_what_is_no_policy_and_who_is_no_group_is_wrong_usage(terminal: Terminal) -> None:
    assert terminal.run("redaction", "set", "payments", "loose")[0] == 2
    assert terminal.run("redaction", "set", "user:ana", "open")[0] == 2
    assert terminal.run("redaction", "set", "everyone", "open")[0] == 2
    assert terminal.json("redaction", "list")["groups"] == []
