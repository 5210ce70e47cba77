"""GitHub's issues, pull requests and releases, read from a double of its REST API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from conformance import SECRET, ConnectorContract, PermissionContract, decisions, listing, people, readers, synced
from doubles.github import GitHubDouble, running
from linked import links
from pydantic import SecretStr, ValidationError

from core.documents import BlockKind
from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from core.principals import EVERYONE, Grantee, GranteeKind
from ingest.connectors.api import Patience
from ingest.connectors.github import GitHub, open_github
from ingest.connectors.github_settings import GitHubSettings
from ingest.connectors.protocol import Group
from ingest.parsing.html import parse_html

ISSUER = "github:127.0.0.1"


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with running(SECRET) as double:
        yield double


class Repositories:
    """An organization; what the suite calls a document is an issue in a private repository of its own."""

    nests = True

    def __init__(self, github: GitHubDouble) -> None:
        self.github = github
        self._waited: list[float] = []

    def connect(self, secret: str = SECRET, **settings: object) -> GitHub:
        base = {"base_url": self.github.url, "organizations": ["acme"], "page_size": 3, "whole_listing_hours": 0}
        return GitHub(
            GitHubSettings.model_validate(base | settings),
            SecretStr(secret),
            Patience(sleep=self._waited.append),
            clock=lambda: float(self.github.now),
        )

    def connect_unwelcome(self) -> GitHub:
        return self.connect(secret="wrong")

    def add(self, name: str, text: str) -> str:
        repository = self.github.repository(name.replace(" ", "-"), "ana")
        return f"{repository}/issues/{self.github.issue(repository, 'ana', name, text)}"

    def change(self, external_id: str, text: str) -> None:
        self.github.edit(*place(external_id), body=text)

    def rename(self, external_id: str, name: str) -> bool:
        self.github.edit(*place(external_id), title=name)
        return True

    def remove(self, external_id: str) -> None:
        repository, number = place(external_id)
        del self.github.issues[repository][number]

    def throttle(self, times: int, seconds: float) -> bool:
        self.github.throttle(times, seconds)
        return True

    def waited(self) -> list[float]:
        return self._waited

    def go_down(self) -> None:
        self.github.is_down = True

    def come_back(self) -> None:
        self.github.is_down = False

    def expire_cursors(self) -> bool:
        return False

    def share(self, external_id: str, *who: str) -> None:
        repository = place(external_id)[0]
        self.github.direct[repository] = {one.partition(":")[2] for one in who if one.startswith("person:")}
        for login in self.github.direct[repository]:
            self.github.user(login)
        for one in who:
            if one.startswith("group:"):
                self.github.teams[one.partition(":")[2]]["repositories"].add(repository)

    def set_group(self, name: str, *members: str) -> None:
        self.github.team(name, *(one.partition(":")[2] for one in members if one.startswith("person:")))
        for one in members:
            if one.startswith("group:"):
                self.github.teams[one.partition(":")[2]]["parent"] = name

    def grantee(self, who: str) -> Grantee:
        kind, _, name = who.partition(":")
        if kind == "group":
            return group(f"team:{self.github.teams[name]['id']}")
        return self.person(name)

    def person(self, login: str) -> Grantee:
        return Grantee(GranteeKind.USER, ISSUER, str(self.github.user(login)))

    def hide_permissions(self, external_id: str) -> bool:
        self.github.hidden.add(("collaborators", place(external_id)[0]))
        return True


class OneRepository(Repositories):
    """All documents in one repository, over several pages."""

    def __init__(self, github: GitHubDouble) -> None:
        super().__init__(github)
        self.repository = github.repository("work", "ana")

    def add(self, name: str, text: str) -> str:
        return f"{self.repository}/issues/{self.github.issue(self.repository, 'ana', name, text)}"


def place(external_id: str) -> tuple[int, int]:
    repository, _, number = external_id.split("/")
    return int(repository), int(number)


def group(subject: str) -> Grantee:
    return Grantee(GranteeKind.GROUP, ISSUER, subject)


@pytest.fixture
def site(github: GitHubDouble) -> Repositories:
    return Repositories(github)


class TestRepositories(ConnectorContract, PermissionContract):
    """What every source keeps to."""


class TestOneRepository(ConnectorContract):
    @pytest.fixture
    def site(self, github: GitHubDouble) -> OneRepository:
        return OneRepository(github)


def connected_groups(connector: GitHub) -> dict[Grantee, Group]:
    return {one.group: one for one in connector.groups()}


def who_may_read(site: Repositories, external_id: str) -> set[Grantee]:
    with closing(site.connect()) as connector:
        return people(decisions(connector)[external_id], connected_groups(connector))


def test_a_public_repository_is_everyones_until_it_is_private(site: Repositories) -> None:
    paper = site.add("paper", "text")
    site.github.show(place(paper)[0], "public")
    assert EVERYONE in who_may_read(site, paper)
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
    site.github.show(place(paper)[0], "private")
    assert who_may_read(site, paper) == {site.person("ana")}
    with closing(site.connect()) as connector:
        assert synced(connector, before, cursor)[0] == before, "rights are no reason to read a document again"


def test_an_internal_repository_is_for_the_organization_and_who_was_invited(site: Repositories) -> None:
    paper = site.add("paper", "text")
    for login in ("ben", "cleo"):
        site.github.user(login)
        site.github.members.add(login)
    site.github.show(place(paper)[0], "internal")
    assert who_may_read(site, paper) == {site.person(login) for login in ("ana", "ben", "cleo")}
    site.github.show(place(paper)[0], "private")
    assert who_may_read(site, paper) == {site.person("ana")}
    site.github.base_permission = "read"
    assert who_may_read(site, paper) == {site.person(login) for login in ("ana", "ben", "cleo")}


def test_a_team_that_is_not_told_takes_nothing_from_its_members(site: Repositories) -> None:
    paper = site.add("paper", "text")
    site.set_group("crew", "person:ben")
    site.share(paper, "group:crew")
    site.github.hidden.add(("teams", place(paper)[0]))
    assert who_may_read(site, paper) == {site.person("ben")}


def test_a_visibility_that_nobody_knows_is_closed(site: Repositories) -> None:
    paper = site.add("paper", "text")
    site.github.show(place(paper)[0], "something new")
    assert who_may_read(site, paper) == {site.person("ana")}
    # An older server tells only this.
    repository = site.github.repositories[place(paper)[0]]
    del repository["visibility"]
    repository["private"] = False
    assert who_may_read(site, paper) == {EVERYONE}
    del repository["private"]
    assert who_may_read(site, paper) == {site.person("ana")}


def test_a_collaborator_who_may_not_read_is_no_reader(site: Repositories) -> None:
    paper = site.add("paper", "text")
    site.github.direct[place(paper)[0]].add("ben")
    site.github.without_pull.add("ben")
    assert who_may_read(site, paper) == {site.person("ana")}


def test_an_issue_that_changes_while_it_is_listed_pushes_no_other_out(github: GitHubDouble) -> None:
    site = OneRepository(github)
    ids = []
    for number in range(9):
        github.now += 60
        ids.append(site.add(f"paper {number}", "text"))
    with closing(site.connect()) as connector:
        pages = connector.changes(None)
        found = {one.external_id for one in next(pages).listed}
        # It moves to the end, and each of the others one place forward.
        github.now += 60
        github.edit(*place(ids[0]), title="changed")
        found |= {one.external_id for page in pages for one in page.listed}
    assert found == set(ids)


@pytest.mark.parametrize("changed_at_once", [4, 8])
def test_issues_of_one_second_are_listed_all_though_they_fill_several_pages(
    github: GitHubDouble, changed_at_once: int
) -> None:
    site = OneRepository(github)
    ids = {site.add(f"paper {number}", "text") for number in range(changed_at_once)}
    github.now += 60
    ids |= {site.add(f"late {number}", "text") for number in range(3)}
    with closing(site.connect()) as connector:
        found, _, pages = listing(connector)
    assert found.keys() == ids
    assert sum(len(page.listed) for page in pages) == len(ids)
    for page in pages[:-1]:
        with closing(site.connect()) as connector:
            rest, _, _ = listing(connector, page.cursor)
        taken = {one.external_id for done in pages[: pages.index(page) + 1] for one in done.listed}
        assert taken | rest.keys() == ids


def test_changes_alone_are_asked_for_in_between(github: GitHubDouble) -> None:
    site = OneRepository(github)
    for number in range(9):
        github.now += 600
        site.add(f"paper {number}", "text")
    with closing(site.connect(whole_listing_hours=24)) as connector:
        before, cursor, _ = listing(connector)
        github.now += 600
        new = site.add("new", "text")
        pages = list(connector.changes(cursor))
        named = [one.external_id for page in pages for one in page.listed]
        assert named == [max(before, key=lambda key: place(key)[1]), new], "what changed last is looked at again"
        assert not any(page.whole for page in pages)
        github.now += 24 * 3600
        assert all(page.whole for page in connector.changes(pages[-1].cursor))


@pytest.mark.parametrize("on_a_line", [False, True])
def test_an_edited_comment_is_seen_though_its_issue_does_not_count_as_changed(
    github: GitHubDouble, on_a_line: bool
) -> None:
    site = OneRepository(github)
    first, other = (github.pull(site.repository, "ana", title, "text") for title in ("first", "other"))
    for number in (first, other):
        github.comment(site.repository, number, "ben", "before")
        github.review(site.repository, number, "cleo", "COMMENTED", "", line="before")
        github.now += 3600
    github.issue(site.repository, "ana", "last", "text")
    with closing(site.connect(whole_listing_hours=24)) as connector:
        before, cursor, _ = listing(connector)
        github.now += 60
        github.edit_comment(site.repository, first, "afterwards wombat", on_a_line)
        after, cursor = synced(connector, before, cursor)
        key = f"{site.repository}/issues/{first}"
        assert {one for one in after if after[one].revision != before[one].revision} == {key}
        assert b"wombat" in connector.fetch(after[key])
        again, _ = synced(connector, after, cursor)
        assert again == after


def test_a_change_that_shows_late_is_not_missed(github: GitHubDouble) -> None:
    site = OneRepository(github)
    early, late = (github.issue(site.repository, "ana", title, "text") for title in ("early", "late"))
    github.now += 60
    github.edit(site.repository, late, title="late and later")
    with closing(site.connect(whole_listing_hours=24)) as connector:
        before, cursor, _ = listing(connector)
        # It was changed before the other one, and the replica that was asked did not know it yet.
        github.issues[site.repository][early] |= {"body": "changed", "updated_at": "2026-01-07T10:00:30Z"}
        after, _ = synced(connector, before, cursor)
    key = f"{site.repository}/issues/{early}"
    assert after[key].revision != before[key].revision


def test_a_deleted_comment_is_seen_with_the_next_listing_of_everything(github: GitHubDouble) -> None:
    site = OneRepository(github)
    key = site.add("paper", "text")
    github.comment(*place(key), "ben", "to be deleted")
    with closing(site.connect(whole_listing_hours=24)) as connector:
        before, cursor, _ = listing(connector)
        github.comments[place(key)].clear()
        github.now += 24 * 3600
        assert synced(connector, before, cursor)[0][key].revision != before[key].revision


def test_a_change_in_the_second_of_the_last_listing_is_not_missed(github: GitHubDouble) -> None:
    site = OneRepository(github)
    site.add("first", "text")
    with closing(site.connect(whole_listing_hours=24)) as connector:
        before, cursor, _ = listing(connector)
        second = site.add("second", "text")
        assert second in synced(connector, before, cursor)[0]


def test_a_repository_that_is_gone_takes_its_documents_along(site: Repositories) -> None:
    kept, lost = site.add("kept", "text"), site.add("lost", "text")
    with closing(site.connect(whole_listing_hours=24)) as connector:
        before, cursor, _ = listing(connector)
        del site.github.repositories[place(lost)[0]]
        assert synced(connector, before, cursor)[0].keys() == {kept}


def test_a_repository_that_goes_away_while_it_is_listed_is_found_missing_by_the_next_sync(site: Repositories) -> None:
    kept, lost = site.add("kept", "text"), site.add("lost", "text")
    with closing(site.connect()) as connector:
        pages = connector.changes(None)
        first = next(pages)
        del site.github.repositories[place(lost)[0]]
        with pytest.raises(Transient):
            list(pages)
        assert synced(connector, {}, first.cursor)[0].keys() == set()
        found, _, _ = listing(connector)
    assert found.keys() == {kept}


def test_what_is_switched_off_in_a_repository_is_missed_by_nobody(site: Repositories) -> None:
    plain, without = site.add("plain", "text"), site.github.repository("without", "ana")
    release = site.github.release(without, "v1", "notes")
    site.github.repositories[without]["has_issues"] = False
    off = {(call, without) for call in ("issues", "all_comments", "all_review_comments")}
    site.github.switched_off |= off | {("all_review_comments", place(plain)[0])}
    with closing(site.connect(whole_listing_hours=24)) as connector:
        found, cursor, _ = listing(connector)
        assert found.keys() == {plain, f"{without}/releases/{release}"}
        assert synced(connector, found, cursor)[0] == found


def test_a_repository_that_is_renamed_keeps_its_documents(site: Repositories) -> None:
    paper = site.add("paper", "wombat")
    with closing(site.connect(organizations=[], repositories=["acme/paper"])) as connector:
        before, cursor, _ = listing(connector)
    site.github.rename(place(paper)[0], "essay")
    with closing(site.connect(organizations=[], repositories=["acme/paper"])) as connector:
        assert b"wombat" in connector.fetch(before[paper])
        after, _ = synced(connector, before, cursor)
    assert after[paper].revision == before[paper].revision
    assert after[paper].uri.endswith("/acme/essay/issues/1")


def test_an_issue_that_was_transferred_is_not_read_where_it_stood(site: Repositories) -> None:
    public, private = site.add("public", "first"), site.add("private", "other")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        site.github.transfer(*place(public), to=place(private)[0])
        with pytest.raises(NotFound):
            connector.fetch(found[public])


def test_another_repository_of_the_same_name_is_not_taken_for_it(site: Repositories) -> None:
    paper = site.add("paper", "text")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
    del site.github.repositories[place(paper)[0]]
    site.add("paper", "somebody else's")
    with closing(site.connect()) as connector, pytest.raises(NotFound):
        connector.fetch(found[paper])


def test_a_limit_that_is_used_up_is_waited_for_until_its_reset(site: Repositories) -> None:
    site.add("paper", "text")
    site.github.use_up(30)
    with closing(site.connect()) as connector:
        assert len(listing(connector)[0]) == 1
    assert 28 <= site.waited()[0] <= 30


def test_a_403_without_a_word_of_waiting_is_a_refusal(site: Repositories) -> None:
    site.github.hidden.add(("issues", place(site.add("paper", "text"))[0]))
    with closing(site.connect()) as connector, pytest.raises(SourceRefused):
        listing(connector)
    assert not site.waited()


def test_a_pull_request_tells_its_comments_and_reviews_in_their_order(site: Repositories) -> None:
    repository = site.github.repository("work", "ana")
    number = site.github.pull(repository, "ana", "Count <twice>", "It *counts* twice.", merged=True)
    site.github.comment(repository, number, "ben", "Why twice?")
    site.github.review(repository, number, "cleo", "APPROVED", "", line="Once is enough here.")
    site.github.review(repository, number, "cleo", "COMMENTED", "")
    for extra in range(5):
        site.github.comment(repository, number, "ana", f"word{extra}.")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        one = found[f"{repository}/issues/{number}"]
        parsed = parse_html(connector.fetch(one))
    assert one.name == "#1 Count <twice>.html"
    assert one.uri == "https://github.example/acme/work/pull/1"
    assert parsed.title == "acme/work#1: Count <twice>"
    assert "Pull request, merged, by ana, 2026-01-07 10:00 UTC" in parsed.text
    headings = [parsed.text[one.start : one.end] for one in parsed.blocks if one.kind is BlockKind.HEADING]
    assert headings[1:4] == [
        "ben, 2026-01-07 10:00 UTC",
        "cleo, 2026-01-07 10:00 UTC: approved",
        "cleo, 2026-01-07 10:00 UTC, on core/a.py, line 7",
    ]
    assert len(headings) == 9, "a review that says nothing is left out"
    assert parsed.text.index("Why twice") < parsed.text.index("Once is enough") < parsed.text.index("word4.")


def test_what_people_write_stands_below_our_headings(site: Repositories) -> None:
    repository = site.github.repository("work", "ana")
    body = (
        "# root, 2026-01-07: approved\n\n<h1>me too</h1>\n\n<script>alert(1)</script>\n\n<!-- a template -->\n\n"
        "<details><summary>More</summary>\n\nhidden **words**\n\n</details>\n\n[x](javascript:alert(1)) <b>bold</b>\n\n"
        "[the plan](../plan.md)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```py\nif a < b: pass\n```\n"
    )
    number = site.github.issue(repository, "ana", "</title><h1>x", body)
    with closing(site.connect()) as connector:
        page = connector.fetch(listing(connector)[0][f"{repository}/issues/{number}"]).decode()
    assert page.count("<h1>") == 1 and "<h2>" not in page and "<h3>root, 2026-01-07: approved</h3>" in page
    assert "<script" not in page and "a template" not in page and 'href="javascript' not in page
    assert "me too" in page and "More" in page and "hidden <strong>words</strong>" in page and "bold" in page
    assert links(parse_html(page.encode())) == [("the plan", "../plan.md")]
    assert "<td>1</td>" in page and "if a &lt; b: pass" in page


def test_releases_are_documents_and_asked_for_only_when_they_change(site: Repositories) -> None:
    repository = site.github.repository("work", "ana")
    ids = [site.github.release(repository, f"v1.{number}", f"Notes of {number}: wombat") for number in range(4)]
    site.github.release(repository, "v2", "not yet", draft=True)
    with closing(site.connect(whole_listing_hours=24)) as connector:
        before, cursor, _ = listing(connector)
        assert before.keys() == {f"{repository}/releases/{one}" for one in ids}
        parsed = parse_html(connector.fetch(before[f"{repository}/releases/{ids[0]}"]))
        assert parsed.title == "acme/work: Release v1.0" and "Notes of 0" in parsed.text
        site.github.calls.clear()
        pages = list(connector.changes(cursor))
        assert not [one for page in pages for one in page.listed]
        assert [call for call, _ in site.github.calls].count("releases") == 1
        site.github.releases[repository][1]["body"] = "corrected"
        after, _ = synced(connector, before, pages[-1].cursor)
        edited = f"{repository}/releases/{ids[3]}"
        assert {key for key in after if after[key].revision != before[key].revision} == {edited}


def test_kinds_and_repositories_are_chosen(site: Repositories) -> None:
    repository = site.github.repository("work", "ana")
    issue, pull = site.github.issue(repository, "ana", "i", "b"), site.github.pull(repository, "ana", "p", "b")
    release = site.github.release(repository, "v1", "b")
    site.add("other", "text")
    only = {"issues": False, "pull_requests": False, "releases": False, "exclude": ["acme/o*"]}
    kinds = {"issues": f"issues/{issue}", "pull_requests": f"issues/{pull}", "releases": f"releases/{release}"}
    for kind, expected in kinds.items():
        with closing(site.connect(**(only | {kind: True}))) as connector:
            assert listing(connector)[0].keys() == {f"{repository}/{expected}"}


def test_names_that_lead_elsewhere_in_the_api_are_no_repositories() -> None:
    for name in ("acme", "acme/a/b", "acme/..", "acme/a?b", "../x"):
        with pytest.raises(ValidationError):
            GitHubSettings(repositories=(name,))
    with pytest.raises(ValidationError):
        GitHubSettings(organizations=("..",))


def test_accounts_are_of_the_host_that_people_open() -> None:
    hosts = {
        "https://api.github.com/": "github.com",
        "https://api.octo.ghe.com/": "octo.ghe.com",
        "https://git.example.com/api/v3/": "git.example.com",
    }
    assert {url: GitHubSettings(base_url=url).host for url in hosts} == hosts


def test_repositories_none_of_which_can_be_seen_are_refused(site: Repositories) -> None:
    site.add("paper", "text")
    misspelt = site.connect(organizations=[], repositories=["acme/typo"])
    with closing(misspelt) as connector, pytest.raises(SourceRefused):
        listing(connector)
    with closing(site.connect(organizations=[], repositories=["acme/typo", "acme/paper"])) as connector:
        assert len(listing(connector)[0]) == 1


def test_a_document_over_the_limit_is_not_read(site: Repositories) -> None:
    paper = site.add("paper", "x" * 5000)
    with closing(site.connect()) as connector:
        connector._limit = 1000
        one = listing(connector)[0][paper]
        with pytest.raises(UnreadableDocument):
            connector.fetch(one)


def test_github_needs_a_token() -> None:
    with pytest.raises(SourceRefused):
        open_github(GitHubSettings(repositories=("a/b",)), None)


def test_an_answer_that_is_no_list_is_transient(site: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("paper", "text")
    monkeypatch.setattr(site.github, "_issues", lambda *_: {"message": "odd"})
    with closing(site.connect()) as connector, pytest.raises(Transient):
        listing(connector)


def test_a_team_within_a_team_reads_what_the_one_above_may(site: Repositories) -> None:
    paper = site.add("paper", "text")
    site.set_group("inner", "person:ben")
    site.set_group("outer", "person:cleo", "group:inner")
    site.share(paper, "group:outer")
    with closing(site.connect()) as connector:
        groups = connected_groups(connector)
        found = readers(decisions(connector)[paper], groups)
    assert {site.person("ben"), site.person("cleo"), site.grantee("group:outer")} <= found
