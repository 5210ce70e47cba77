"""Confluence, Jira and Notion brought in by workers: found by who may read there, and by nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from doubles.confluence_cloud import ConfluenceCloud
from doubles.jira_cloud import JiraCloud
from doubles.notion_api import NotionApi, text

from core.principals import Principal, parse_grantee, parse_principal
from governance.access.mirrored import link_account
from ingest.sources import SystemRequest, stand_system
from wiring.home import Home
from workers.run import run_next
from workers.sweeping import sync_job

TOKEN, USER = "a-token-of-nobody", "bot@example.com"
ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def stand(home: Home, kind: str, settings: Mapping[str, Any], *allow: str) -> int:
    grantees = tuple(parse_grantee(one) for one in allow)
    return stand_system(
        home.catalog, SystemRequest("wiki", kind, settings, "env:FOOTNOTE_SECRET_WIKI", grantees, None, None)
    )


def own(home: Home, issuer: str) -> None:
    """The accounts of Ana and Ben belong to the people of these names."""
    with home.catalog.write() as session:
        for name in ("ana", "ben"):
            link_account(session, parse_grantee(f"user:{name}"), parse_grantee(f"user:{issuer}|{name}"))


def sync(home: Home, source: int) -> None:
    home.jobs.enqueue([sync_job(source)])
    while run_next(home, ["ingest"]):
        pass


def finds(home: Home, who: Principal, words: str) -> set[str]:
    return {hit.passage.external_id for hit in home.searcher.search(words, who, 10).hits}


@pytest.fixture(autouse=True)
def credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_SECRET_WIKI", TOKEN)


def test_a_page_of_confluence_is_found_by_whoever_passes_its_restrictions(home: Home) -> None:
    with ConfluenceCloud(USER, TOKEN).running() as double:
        for name in ("ana", "ben"):
            double.person(name, name.title())
        double.group("g-all", "all", "ana", "ben")
        space = double.space("ENG", "Engineering")
        double.let_in(space, "group", "g-all")
        top = double.put("pages", "Animals", space, "<p>The wombat digs at dawn.</p>")
        secret = double.put("pages", "Plans", space, "<p>The numbat moves in June.</p>", ("page", top.id))
        file = double.attach(secret.id, "numbat.txt", b"The numbat likes termites for breakfast.")
        secret.users = ["ana"]
        own(home, f"confluence:{double.url.removeprefix('http://')}")
        source = stand(home, "confluence", {"base_url": double.url, "user": USER})
        sync(home, source)

        assert {hit for who in (ANA, BEN) for hit in finds(home, who, "when does the wombat dig")} >= {
            f"pages/{top.id}"
        }
        assert finds(home, ANA, "numbat") >= {f"pages/{secret.id}", f"attachments/{file.id}"}
        assert finds(home, BEN, "numbat") == {f"pages/{top.id}"}

        top.users = ["ben"]
        sync(home, source)
        assert finds(home, ANA, "numbat") == set()

        top.status = "trashed"
        secret.users, secret.parent = [], None
        sync(home, source)
        assert finds(home, BEN, "wombat") == {f"pages/{secret.id}", f"attachments/{file.id}"}


def test_an_issue_of_jira_is_found_by_whoever_may_browse_it(home: Home) -> None:
    with JiraCloud(USER, TOKEN).running() as double:
        for name in ("ana", "ben"):
            double.person(name, name.title())
        double.groups["g-all"] = ["ana", "ben"]
        project = double.project("ENG")
        double.grant(project, "group", "g-all")
        plain = double.put(project, "The wombat engine stalls", "It stalls at dawn.")
        secret = double.put(project, "The numbat leaks", "It leaks at noon.")
        secret.fields["security"] = {"id": double.level(project, ("user", "ana")), "name": "Private"}
        own(home, f"jira:{double.url.removeprefix('http://')}")
        source = stand(home, "jira", {"base_url": double.url, "user": USER})
        sync(home, source)

        assert finds(home, ANA, "what leaks at noon") == {f"issues/{plain.id}", f"issues/{secret.id}"}
        assert finds(home, BEN, "what leaks at noon") == {f"issues/{plain.id}"}

        double.groups["g-all"] = ["ben"]
        sync(home, source)
        assert finds(home, ANA, "what leaks at noon") == set()


def test_a_page_of_notion_is_found_by_whom_the_operator_lets_in(home: Home) -> None:
    with NotionApi(TOKEN).running() as double, double.storage.running():
        page = double.page("Animals")
        double.block(page, "paragraph", rich_text=text("The wombat digs at dawn."))
        file = double.file_block(page, "file", "numbat.txt", b"The numbat likes termites for breakfast.")
        double.later(minutes=10)
        source = stand(home, "notion", {"base_url": double.url}, "user:ana")
        sync(home, source)

        ids = {f"pages/{page.id.replace('-', '')}", f"files/{file.id.replace('-', '')}"}
        assert finds(home, ANA, "when does the wombat dig") == ids
        assert finds(home, BEN, "when does the wombat dig") == set()

        page.shared = False
        sync(home, source)
        assert finds(home, ANA, "when does the wombat dig") == set()
