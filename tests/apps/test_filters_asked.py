"""Filters wherever a question is asked: web API, OpenAI's dialect, command line and page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from page_site import CHROMIUM, DESKTOP, PHONE, Site, ask, chromium, fresh_page, served, sign_in
from playwright.sync_api import expect
from web_home import LEAVE, MERGER, WebHome, bearer, web_home

from apps.cli.main import invoke
from core.principals import parse_grantee
from governance.access.rules import AccessLists
from governance.audit import Kind

HTML = b"<html><body><h1>Leave</h1><p>Full-time employees have 30 days of annual leave.</p></body></html>"
GERMAN = "Vollzeitkräfte haben 30 Tage Urlaub im Jahr. Der Antrag auf Urlaub wird bei der Leitung gestellt.".encode()
TODAY = datetime.now(UTC).date()
TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHome]:
    """Documents of two sources and three kinds that everybody may read, and one of a third that only Ana may."""
    with web_home(tmp_path_factory.mktemp("filters") / "home") as home:
        home.add("policies/leave.md", LEAVE, "everyone")
        home.add("abroad.html", HTML, "everyone")
        everyone = AccessLists(frozenset({parse_grantee("everyone")}))
        home.administration.upload("wiki", "urlaub.txt", GERMAN, everyone)
        ana = AccessLists(frozenset({parse_grantee("user:ana")}))
        home.administration.upload("board", "merger.md", MERGER, ana)
        home.administration.label_document("policies/leave.md", ["Policy"], [])
        home.administration.label_document("merger.md", ["merger"], [])
        yield home


def found(web: WebHome, filters: dict[str, Any], who: str = "user:ben") -> list[str]:
    """The documents that a search for leave finds."""
    body = {"query": "annual leave", "filters": filters}
    response = web.client.post("/v1/search", json=body, headers=bearer(web.key(who)))
    assert response.status_code == 200, response.text
    return sorted(hit["external_id"] for hit in response.json()["hits"])


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"sources": ["wiki"]}, ["urlaub.txt"]),
        ({"paths": ["policies"]}, ["policies/leave.md"]),
        ({"paths": ["*.html", "*.txt"]}, ["abroad.html", "urlaub.txt"]),
        ({"types": ["html"]}, ["abroad.html"]),
        ({"media_types": ["text/markdown"]}, ["policies/leave.md"]),
        ({"languages": ["de"]}, ["urlaub.txt"]),
        ({"labels": ["policy"]}, ["policies/leave.md"]),
        ({"since": str(TODAY - timedelta(days=1)), "sources": ["wiki"]}, ["urlaub.txt"]),
        ({"since": str(TOMORROW + timedelta(days=1))}, []),
        ({"until": str(TODAY - timedelta(days=1))}, []),
        ({"sources": ["board"]}, []),
    ],
)
def test_a_search_finds_what_its_filters_leave(web: WebHome, filters: dict[str, Any], wanted: list[str]) -> None:
    assert found(web, filters) == wanted


def test_a_filter_that_makes_no_sense_is_named_and_nothing_is_searched(web: WebHome) -> None:
    key = bearer(web.key("user:ben"))
    for filters, said in (
        ({"since": "last week"}, "2026-05-31"),
        ({"types": ["spreadsheet"]}, "there are pdf"),
        ({"since": "2026-05-02", "until": "2026-05-01"}, "before the first"),
        ({"paths": ["/"]}, "names no path"),
    ):
        for path, body in (("/v1/search", {"query": "leave"}), ("/v1/ask", {"question": "leave"})):
            response = web.client.post(path, json={**body, "filters": filters}, headers=key)
            assert response.status_code == 422
            assert said in response.json()["detail"]


def test_a_value_that_only_hidden_documents_have_is_answered_as_an_absent_one(web: WebHome) -> None:
    """Bytes alike, but for ids and times; and whoever may read the document finds it."""

    def told(path: str, body: dict[str, Any], filters: dict[str, Any]) -> dict[str, Any]:
        answer = web.client.post(path, json={**body, "filters": filters}, headers=bearer(web.key("user:ben"))).json()
        return {name: value for name, value in answer.items() if name not in ("audit_id", "timings_ms")}

    for name, hidden in (("sources", "board"), ("labels", "merger"), ("paths", "merger.md")):
        for path, body in (("/v1/search", {"query": "price"}), ("/v1/ask", {"question": "What is the price?"})):
            assert told(path, body, {name: [hidden]}) == told(path, body, {name: ["nothing has this"]})
        assert found(web, {name: [hidden]}, "user:ana") == ["merger.md"]


def test_facets_count_what_the_caller_may_read_and_nothing_else(web: WebHome) -> None:
    ana, ben = (web.client.get("/v1/facets", headers=bearer(web.key(who))).json() for who in ("user:ana", "user:ben"))

    assert ben["sources"] == [{"value": "handbook", "documents": 2}, {"value": "wiki", "documents": 1}]
    assert {"value": "text/html", "documents": 1, "name": "html"} in ben["types"]
    assert {"value": "de", "documents": 1} in ben["languages"]
    assert ben["labels"] == [{"value": "policy", "documents": 1}]
    assert {"value": "board", "documents": 1} in ana["sources"]
    assert "board" not in json.dumps(ben)
    assert "merger" not in json.dumps(ben)


def test_an_answer_in_any_dialect_comes_from_what_the_filters_leave(web: WebHome) -> None:
    key = bearer(web.key("user:ben"))
    question = "How much annual leave do full-time employees have?"
    narrowed = {"types": ["html"]}
    whole = web.client.post("/v1/ask", json={"question": question, "filters": narrowed}, headers=key).json()
    streamed = web.client.post(
        "/v1/ask", json={"question": question, "filters": narrowed}, headers={**key, "Accept": "text/event-stream"}
    ).text
    chat = {"model": "footnote", "messages": [{"role": "user", "content": question}], "filters": narrowed}
    completed = web.client.post("/v1/chat/completions", json=chat, headers=key).json()
    pieces = web.client.post("/v1/chat/completions", json={**chat, "stream": True}, headers=key).text

    assert {one["external_id"] for one in whole["citations"]} == {"abroad.html"}
    assert "abroad.html" in streamed
    assert "policies/leave.md" not in streamed
    assert {one["external_id"] for one in completed["choices"][0]["message"]["annotations"]} == {"abroad.html"}
    assert "abroad.html" in pieces
    assert "policies/leave.md" not in pieces
    refused = web.client.post("/v1/chat/completions", json={**chat, "filters": {"since": "soon"}}, headers=key)
    assert (refused.status_code, "2026-05-31" in refused.json()["error"]["message"]) == (400, True)


def test_the_filters_of_a_question_are_on_record(web: WebHome) -> None:
    found(web, {"since": "2026-01-01", "labels": ["policy"]})

    newest = web.home.audit_reader.newest(kind=Kind.INTENT, limit=1)[0]
    assert newest.content is not None
    assert newest.content["filters"]["changed_from"] == "2026-01-01T00:00:00+00:00"
    assert newest.content["filters"]["labels"] == ["policy"]


def test_the_command_line_narrows_and_labels(
    web: WebHome, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOTNOTE_HOME", str(web.home.layout.folder))
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hashing")

    def ran(*arguments: str) -> Any:
        capfd.readouterr()
        code = invoke([*arguments, "--json"])
        out, err = capfd.readouterr()
        return json.loads(out) if code == 0 else (code, err)

    def hits(*options: str) -> list[str]:
        return sorted(hit["external_id"] for hit in ran("search", "annual leave", "--as", "user:ben", *options)["hits"])

    assert hits("--source", "wiki") == ["urlaub.txt"]
    assert hits("--path", "policies", "--type", "md") == ["policies/leave.md"]
    assert hits("--language", "de", "--since", "2026-01-01") == ["urlaub.txt"]
    assert hits("--until", "2020-01-01") == []
    assert hits("--label", "POLICY") == ["policies/leave.md"]
    asked = ran("ask", "How much annual leave do full-time employees have?", "--as", "user:ben", "--type", "html")
    assert {one["external_id"] for one in asked["citations"]} == {"abroad.html"}
    code, said = ran("search", "leave", "--as", "user:ben", "--since", "yesterday")
    assert (code, "2026-05-31" in said) == (2, True)

    assert ran("documents", "label", "abroad.html", "--add", "Travel")["labels"] == ["travel"]
    assert ran("sources", "label", "wiki", "--add", "draft")["labels"] == ["draft"]
    assert hits("--label", "travel", "--label", "draft") == ["abroad.html", "urlaub.txt"]
    assert ran("documents", "label", "urlaub.txt")["labels"] == ["draft"]
    assert ran("sources", "label", "wiki", "--remove", "draft")["labels"] == []
    assert ran("documents", "label", "abroad.html", "--remove", "travel")["labels"] == []
    assert hits("--label", "travel", "--label", "draft") == []


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")
def test_a_reader_narrows_a_question_on_the_page_to_what_they_may_read(web: WebHome, tmp_path: Path) -> None:
    with served(web) as url, chromium() as browser:
        for size in (DESKTOP, PHONE):
            with fresh_page(browser, size) as page:
                sign_in(page, Site(url, web), web.key("user:ben"))
                expect(page.locator("#only-source option")).to_have_text(["All sources", "handbook", "wiki"])
                page.locator("#only-type").select_option(label="Web pages")
                page.locator("#only-time").select_option("day")
                page.locator("#only-since").fill("2026-01-15")
                ask(page, "How much annual leave do full-time employees have?")
                expect(page.locator(".asked small")).to_have_text("only in Web pages · since 2026-01-15")
                expect(page.locator(".footnotes .where")).to_contain_text(["abroad.html"])
                expect(page.locator(".footnotes li")).to_have_count(1)
                assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
                page.locator("#sign-out").click()
                expect(page.locator("#narrow")).to_be_hidden()
                expect(page.locator("#only-source option")).to_have_count(0)
                sign_in(page, Site(url, web), web.key("user:ana"))
                expect(page.locator("#only-source option")).to_have_count(4)
                expect(page.locator("#only-type")).to_have_value("")
