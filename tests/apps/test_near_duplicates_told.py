"""Near-duplicates on the command line and over HTTP: who may read both is told, nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prose import page, prose
from web_home import WebHome, bearer, web_home

from apps.cli.main import invoke

PLAN = page("Plan", prose(1)).encode()
QUESTION = " ".join(prose(1)[1].split()[:6])


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebHome]:
    with web_home(tmp_path / "home") as made:
        yield made


def test_the_record_and_the_text_of_a_document_name_what_says_nearly_the_same(web: WebHome) -> None:
    plan = web.add("plan.md", PLAN, "everyone")
    copy = web.add("copy.md", PLAN + b"\nOne sentence more.\n", "user:ana")
    web.add("else.md", page("Else", prose(2)).encode(), "everyone")
    ana, ben = bearer(web.key("user:ana")), bearer(web.key("user:ben"))

    for path in (f"/v1/documents/{plan}", f"/v1/documents/{plan}/text"):
        told = web.client.get(path, headers={**ana, "Accept": "application/json"}).json()
        [near] = told["near_duplicates"]
        assert (near["document_id"], near["title"], near["uri"]) == (copy, "Plan", "upload:handbook/copy.md")
        assert 0.8 <= near["similarity"] <= 1
        hidden = web.client.get(path, headers={**ben, "Accept": "application/json"})
        assert hidden.json()["near_duplicates"] == []
        assert copy not in hidden.text


def test_a_search_over_http_ranks_what_two_documents_say_once(web: WebHome) -> None:
    ids = {web.add(name, PLAN, allow) for name, allow in (("plan.md", "everyone"), ("copy.md", "user:ana"))}
    ana, ben = bearer(web.key("user:ana")), bearer(web.key("user:ben"))

    asked = {"query": QUESTION, "k": 1}
    [hit] = web.client.post("/v1/search", json=asked, headers=ana).json()["hits"]
    [other] = hit["also_in"]
    assert {hit["document_id"], other["document_id"]} == ids
    assert other.keys() == {"document_id", "title", "uri", "chunk_id"}
    [alone] = web.client.post("/v1/search", json=asked, headers=ben).json()["hits"]
    assert alone["also_in"] == []


def test_the_command_line_tells_them_in_words_and_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOTNOTE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hashing")
    folder = tmp_path / "org"
    folder.mkdir()
    (folder / "plan.md").write_bytes(PLAN)
    (folder / "copy.md").write_bytes(PLAN)
    (folder / "access.yaml").write_text(
        'default: {allow: ["everyone"]}\nrules: [{path: copy.md, allow: ["user:ana"]}]\n'
    )
    assert invoke(["init"]) == 0
    assert invoke(["ingest", str(folder), "--source", "org"]) == 0

    def said(*arguments: str) -> str:
        capfd.readouterr()
        assert invoke(list(arguments)) == 0
        return capfd.readouterr().out

    as_ana, as_ben = ("--as", "user:ana"), ("--as", "user:ben")
    shown = json.loads(said("documents", "show", "plan.md", *as_ana, "--json"))
    assert [one["title"] for one in shown["near_duplicates"]] == ["Plan"]
    for more in ((), ("--text",)):
        assert json.loads(said("documents", "show", "plan.md", *more, *as_ben, "--json"))["near_duplicates"] == []
        assert "near duplicate" not in said("documents", "show", "plan.md", *more, *as_ben)
        assert "near duplicate: Plan (file://" in said("documents", "show", "plan.md", *more, *as_ana)
    assert "copy.md, 100% alike)" in said("documents", "show", "plan.md")
    assert "nearly the same as 1 document" in said("documents", "why", "plan.md")
    assert len(json.loads(said("documents", "why", "plan.md", "--json"))["near_duplicates"]) == 1
    hits = said("search", QUESTION, "-k", "1", *as_ana)
    assert "also in: copy.md" in hits or "also in: plan.md" in hits
    assert "also in" not in said("search", QUESTION, "-k", "1", *as_ben)
