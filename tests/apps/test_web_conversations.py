"""Asking on in a conversation over HTTP, and saying whether an answer helped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_home import LEAVE, MERGER, WebHome, bearer, web_home

from apps.cli.main import invoke
from core.principals import parse_principal

QUESTION = "What is the agreed purchase price of the merger?"
FOLLOW_UP = "And who may know it?"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebHome]:
    with web_home(tmp_path / "home") as opened:
        opened.add("leave.md", LEAVE, "everyone")
        yield opened


class Person:
    """A person with a key, as their program talks to the server."""

    def __init__(self, web: WebHome, name: str) -> None:
        self.web = web
        self.headers = bearer(web.key(name))

    def begin(self) -> str:
        response = self.web.client.post("/v1/conversations", json={}, headers=self.headers)
        assert response.status_code == 201
        return str(response.json()["conversation_id"])

    def ask(self, question: str, conversation_id: str | None = None) -> Any:
        body = {"question": question, "conversation_id": conversation_id}
        return self.web.client.post("/v1/ask", json=body, headers=self.headers).json()

    def streamed(self, question: str, conversation_id: str) -> list[tuple[str, Any]]:
        body = {"question": question, "conversation_id": conversation_id}
        headers = {**self.headers, "Accept": "text/event-stream"}
        text = self.web.client.post("/v1/ask", json=body, headers=headers).text
        blocks = [block.split("\n") for block in text.split("\n\n") if block.startswith("event:")]
        return [(event.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for event, data in blocks]

    def open(self, conversation_id: str) -> Any:
        return self.web.client.get(f"/v1/conversations/{conversation_id}", headers=self.headers).json()


def test_a_follow_up_is_understood_from_the_question_before_it(web: WebHome) -> None:
    web.add("merger.md", MERGER, "user:ana")
    ana = Person(web, "user:ana")
    conversation_id = ana.begin()

    first = ana.ask(QUESTION, conversation_id)
    second = ana.ask(FOLLOW_UP, conversation_id)

    assert (first["conversation_id"], first["rewritten_question"]) == (conversation_id, None)
    assert second["question"] == FOLLOW_UP
    assert second["rewritten_question"] == f"{FOLLOW_UP} agreed purchase price merger"
    assert second["citations"][0]["external_id"] == "merger.md"
    assert [turn["question"] for turn in ana.open(conversation_id)["turns"]] == [QUESTION, FOLLOW_UP]


def test_the_record_holds_the_question_and_what_was_searched_for_it(web: WebHome) -> None:
    ana = Person(web, "user:ana")
    conversation_id = ana.begin()
    ana.ask("How many days of annual leave do employees have?", conversation_id)

    answer = ana.ask("What about part-time employees?", conversation_id)

    intent = web.home.audit_reader.show(answer["audit_id"])[0].content
    assert intent and intent["question"] == "What about part-time employees?"
    assert intent["query"] == answer["rewritten_question"] != answer["question"]


def test_a_question_outside_a_conversation_stands_for_itself(web: WebHome) -> None:
    ana = Person(web, "user:ana")
    ana.ask(QUESTION, ana.begin())

    answer = ana.ask(FOLLOW_UP)

    assert (answer["conversation_id"], answer["rewritten_question"]) == (None, None)


def test_what_is_revoked_between_turns_counts_no_more_and_is_shown_no_more(web: WebHome) -> None:
    document_id = web.add("merger.md", MERGER, "user:ana")
    ana = Person(web, "user:ana")
    kept, lost = ana.begin(), ana.begin()
    for conversation_id in (kept, lost):
        assert "18 million" in ana.ask(QUESTION, conversation_id)["answer"]
    assert ana.ask(FOLLOW_UP, kept)["rewritten_question"]
    assert "18 million" in json.dumps(ana.open(lost))

    web.administration.revoke(parse_principal("user:ana").grantee, document_id)

    after = ana.ask(FOLLOW_UP, lost)
    assert after["rewritten_question"] is None
    opened = ana.open(lost)
    assert [turn["available"] for turn in opened["turns"]] == [False, True]
    assert opened["turns"][0]["answer"] is None
    assert "18 million" not in json.dumps([after, opened, ana.open(kept)])


def test_a_streamed_answer_becomes_a_turn_before_it_is_done(web: WebHome) -> None:
    ana = Person(web, "user:ana")
    conversation_id = ana.begin()

    events = ana.streamed("How many days of annual leave do employees have?", conversation_id)

    names = [name for name, _ in events]
    assert (names[0], names[-1]) == ("passages", "done") and "sentence" in names
    done = events[-1][1]
    assert done["conversation_id"] == conversation_id
    (turn,) = ana.open(conversation_id)["turns"]
    assert turn["answer"] == {**done, "rewritten_question": None}


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_asking_on_in_somebody_elses_conversation_is_like_asking_on_in_none(web: WebHome, accept: str) -> None:
    ana, ben = Person(web, "user:ana"), Person(web, "user:ben")
    conversation_id = ana.begin()
    headers = {**ben.headers, "Accept": accept}

    def refused(name: str) -> tuple[int, str]:
        body = {"question": QUESTION, "conversation_id": name}
        response = web.client.post("/v1/ask", json=body, headers=headers)
        return response.status_code, response.text.replace(name, "X")

    assert refused(conversation_id) == refused("0" * 32)
    assert refused(conversation_id)[0] == 404
    assert ana.open(conversation_id)["turns"] == []


def test_a_conversation_is_listed_once_something_was_asked_in_it_and_until_it_is_deleted(web: WebHome) -> None:
    ana = Person(web, "user:ana")

    def titles() -> list[str]:
        response = web.client.get("/v1/conversations", headers=ana.headers).json()
        return [one["title"] for one in response["conversations"]]

    conversation_id = ana.begin()
    assert titles() == []
    ana.ask("How much leave is there?", conversation_id)
    assert titles() == ["How much leave is there?"]
    deleted = web.client.delete(f"/v1/conversations/{conversation_id}", headers=ana.headers)
    assert (deleted.status_code, titles()) == (204, [])
    assert ana.open(conversation_id)["status"] == 404


def test_on_behalf_of_somebody_their_conversation_goes_on(web: WebHome) -> None:
    ana = Person(web, "user:ana")
    conversation_id = ana.begin()
    key = web.key("user:portal", ["ask", "act-as"])
    body = {"question": "How much leave is there?", "conversation_id": conversation_id}

    own = web.client.post("/v1/ask", json=body, headers=bearer(key))
    delegated = web.client.post("/v1/ask", json=body, headers={**bearer(key), "Footnote-On-Behalf-Of": "user:ana"})

    assert (own.status_code, delegated.status_code) == (404, 200)
    assert len(ana.open(conversation_id)["turns"]) == 1


def test_no_word_of_a_conversation_lies_in_the_home_unencrypted(tmp_path: Path) -> None:
    canary = "zanzibarquokka"
    with web_home(tmp_path / "home") as web:
        ana = Person(web, "user:ana")
        conversation_id = ana.begin()
        ana.ask(f"How much leave has {canary}?", conversation_id)
        assert canary in json.dumps(ana.open(conversation_id))

    files = [file for file in (tmp_path / "home").rglob("*") if file.is_file()]

    assert any(file.name == "catalog.db" for file in files)
    assert [file.name for file in files if canary.encode() in file.read_bytes()] == []


# What people say of answers


def figures(web: WebHome) -> Any:
    return web.client.get("/v1/feedback", headers=bearer(web.administrator)).json()


def give(person: Person, audit_id: str, verdict: str, comment: str = "") -> int:
    body = {"audit_id": audit_id, "verdict": verdict, "comment": comment}
    return person.web.client.post("/v1/feedback", json=body, headers=person.headers).status_code


def test_the_last_word_of_the_person_who_asked_counts(web: WebHome) -> None:
    ana, ben = Person(web, "user:ana"), Person(web, "user:ben")
    audit_id = ana.ask("How much leave is there?")["audit_id"]

    assert give(ana, audit_id, "helpful") == 204
    assert (figures(web)["helpful"], figures(web)["not_helpful"]) == (1, 0)
    assert give(ana, audit_id, "not_helpful", "Too short.") == 204
    assert give(ben, audit_id, "helpful") == give(ben, "0" * 36, "helpful") == 404
    assert give(ana, audit_id, "wonderful") == 422

    seen = figures(web)
    assert (seen["helpful"], seen["not_helpful"]) == (0, 1)
    assert [(one["audit_id"], one["verdict"], one["commented"]) for one in seen["newest"]] == [
        (audit_id, "not_helpful", True)
    ]


def test_a_comment_is_told_to_nobody_but_who_reads_the_record(web: WebHome) -> None:
    ana = Person(web, "user:ana")
    audit_id = ana.ask("How much leave is there?")["audit_id"]

    give(ana, audit_id, "not_helpful", "The handbook says otherwise.")

    assert "handbook says" not in json.dumps(figures(web))
    said = web.home.audit_reader.show(audit_id)[-1]
    assert said.record.kind == "feedback"
    assert said.content and said.content["comment"] == "The handbook says otherwise."


def test_only_an_answer_can_be_judged_and_only_on_record(web: WebHome) -> None:
    ana = Person(web, "user:ana")
    search = web.client.post("/v1/search", json={"query": "leave"}, headers=ana.headers).json()["audit_id"]
    answer = ana.ask("How much leave is there?")["audit_id"]
    assert give(ana, search, "helpful") == 404

    web.home.audit.close()

    assert give(ana, answer, "helpful") == 503
    assert figures(web)["newest"] == []


# On the terminal


def test_the_terminal_asks_on_in_a_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOTNOTE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hashing")
    with web_home(tmp_path / "home") as web:
        web.add("leave.md", LEAVE, "everyone")

    def ask(question: str, conversation_id: str, asker: str = "user:ana") -> Any:
        capfd.readouterr()
        code = invoke(["ask", question, "--as", asker, "--conversation", conversation_id, "--json"])
        out = capfd.readouterr().out
        return json.loads(out) if code == 0 else code

    first = ask("How many days of annual leave do employees have?", "new")
    second = ask("And in Cork?", first["conversation_id"])

    assert second["conversation_id"] == first["conversation_id"]
    assert "annual leave" in second["rewritten_question"]
    assert ask("And in Cork?", first["conversation_id"], "user:ben") == 1
