"""Searching, asking and reading over HTTP: what is shown, to whom, and what is on record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_home import LEAVE, MERGER, WebHome, bearer, web_home

from core.principals import parse_principal
from governance.identity import PERSON_SCOPES

QUESTION = "What is the agreed purchase price?"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebHome]:
    with web_home(tmp_path / "home") as opened:
        opened.add("leave.md", LEAVE, "everyone")
        yield opened


def test_every_quote_is_the_text_at_its_offsets_as_the_asker_sees_it(web: WebHome) -> None:
    web.add("merger.md", MERGER, "user:ana")
    ana = bearer(web.key("user:ana"))

    answer = web.client.post("/v1/ask", json={"question": QUESTION}, headers=ana).json()

    assert not answer["abstained"] and "18 million euros" in answer["answer"]
    for citation in answer["citations"]:
        text = web.client.get(f"/v1/documents/{citation['document_id']}/text", headers=ana).text
        assert text[citation["start"] : citation["end"]] == citation["quote"]


def test_who_may_not_read_a_document_gets_nothing_of_it(web: WebHome) -> None:
    web.add("merger.md", MERGER, "user:ana")

    for name, finds in (("user:ana", True), ("user:ben", False)):
        headers = bearer(web.key(name))
        ask = web.client.post("/v1/ask", json={"question": QUESTION}, headers=headers).text
        search = web.client.post("/v1/search", json={"query": QUESTION}, headers=headers).text
        listed = web.client.get("/v1/documents", headers=headers).text
        assert ("18 million" in ask, "18 million" in search, "merger.md" in listed) == (finds, finds, finds)


@pytest.mark.parametrize("part", ["", "/text", "/content"])
def test_a_document_one_may_not_read_looks_like_one_that_is_not_there(web: WebHome, part: str) -> None:
    denied = web.add("merger.md", MERGER, "user:ana")
    absent = "0" * 32
    ben = bearer(web.key("user:ben", [*PERSON_SCOPES, "content"]))

    refusals = [web.client.get(f"/v1/documents/{name}{part}", headers=ben) for name in (denied, absent)]

    assert [response.status_code for response in refusals] == [404, 404]
    assert refusals[0].text.replace(denied, absent) == refusals[1].text
    differing = {name for name in refusals[0].headers if refusals[0].headers[name] != refusals[1].headers[name]}
    assert differing <= {"x-request-id"}


def test_a_revocation_holds_for_the_next_request(web: WebHome) -> None:
    document_id = web.add("merger.md", MERGER, "user:ana")
    ana = bearer(web.key("user:ana"))
    assert web.client.get(f"/v1/documents/{document_id}/text", headers=ana).status_code == 200

    web.administration.revoke(parse_principal("user:ana").grantee, document_id)

    assert web.client.get(f"/v1/documents/{document_id}/text", headers=ana).status_code == 404
    assert "18 million" not in web.client.post("/v1/ask", json={"question": QUESTION}, headers=ana).text


def test_on_behalf_of_somebody_their_rights_decide_and_both_are_on_record(web: WebHome) -> None:
    web.add("merger.md", MERGER, "user:ana")
    key = web.key("user:portal", [*PERSON_SCOPES, "act-as"])
    headers = {**bearer(key), "Footnote-On-Behalf-Of": "user:ana"}

    answer = web.client.post("/v1/ask", json={"question": QUESTION}, headers=headers).json()
    own = web.client.post("/v1/ask", json={"question": QUESTION}, headers=bearer(key)).json()

    assert answer["principal"] == "user:ana" and "18 million euros" in answer["answer"]
    assert own["principal"] == "user:portal" and "18 million" not in own["answer"]
    intent = web.home.audit_reader.show(answer["audit_id"])[0]
    assert intent.subject == parse_principal("user:ana")
    assert intent.content and intent.content["actor"] == f"key:{key.split('_')[1]}"


@pytest.mark.parametrize("name", ["ana", "group:staff", "everyone", "user:", "user:a b", "user:ana\u200b"])
def test_a_malformed_name_to_act_for_is_refused(web: WebHome, name: str) -> None:
    headers: Any = {**bearer(web.key("user:portal", ["ask", "act-as"])), "Footnote-On-Behalf-Of": name.encode()}

    response = web.client.post("/v1/ask", json={"question": QUESTION}, headers=headers)

    assert response.status_code == 422


def test_a_person_with_an_accent_can_be_acted_for(web: WebHome) -> None:
    headers: Any = {**bearer(web.key("user:portal", ["ask", "act-as"])), "Footnote-On-Behalf-Of": "user:josé".encode()}

    assert web.client.get("/v1/me", headers=headers).json()["principal"] == "user:josé"


def test_acting_for_somebody_a_key_administers_nothing(web: WebHome) -> None:
    key = web.key("user:portal", ["admin", "act-as"])
    assert web.client.get("/v1/keys", headers=bearer(key)).status_code == 200

    refused = web.client.get("/v1/keys", headers={**bearer(key), "Footnote-On-Behalf-Of": "user:ana"})

    assert refused.status_code == 403


@pytest.mark.parametrize("path", ["/v1/ask", "/v1/search"])
def test_without_a_record_nothing_is_answered(web: WebHome, path: str) -> None:
    body = {"question": QUESTION} if path.endswith("ask") else {"query": QUESTION}
    ana = bearer(web.key("user:ana"))
    web.home.audit.close()

    response = web.client.post(path, json=body, headers=ana)

    assert response.status_code == 503
    assert response.json()["code"] == "audit_unavailable"
    assert "Retry-After" in response.headers


def test_filters_narrow_an_answer_to_a_source(web: WebHome) -> None:
    ana = bearer(web.key("user:ana"))

    def hits(source: str) -> int:
        body = {"query": "annual leave", "filters": {"sources": [source]}}
        return len(web.client.post("/v1/search", json=body, headers=ana).json()["hits"])

    assert (hits("handbook") > 0, hits("elsewhere")) == (True, 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"question": "\\u0000How much leave?"}', 200),
        (b'{"question": "\xff"}', 400),
        (b'{"question": ', 422),
        (b'{"question": "  "}', 422),
        (b"[" * 100_000, 400),
        (b'{"question": "' + b"x" * 100_000 + b'"}', 413),
        (b'{"question": "' + b"x" * 1_000_000 + b'"}', 413),
        (b'{"question": "leave", "filters": {"sources": ["a\\u0000"]}}', 422),
        (b"", 422),
    ],
)
def test_a_strange_body_is_answered_or_named(web: WebHome, body: bytes, status: int) -> None:
    headers = {**bearer(web.key("user:ana")), "Content-Type": "application/json"}

    response = web.client.post("/v1/ask", content=body, headers=headers)

    assert response.status_code == status
    if status != 200:
        assert response.headers["Content-Type"] == "application/problem+json"


def test_a_problem_never_repeats_what_was_sent(web: WebHome) -> None:
    ana = bearer(web.key("user:ana"))
    bodies = [
        {"question": {"secret": "hunter2"}},
        {"question": "leave", "hunter2 is my password": 1},
        {"question": "leave", "filters": {"sources": "hunter2"}},
    ]

    for body in bodies:
        response = web.client.post("/v1/ask", json=body, headers=ana)
        assert response.status_code == 422
        assert "hunter2" not in response.text
