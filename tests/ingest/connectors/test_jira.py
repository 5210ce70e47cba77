"""Jira Cloud, against a double that was written from its API's documentation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from conformance import SECRET, ConnectorContract, PermissionContract, decisions, listing, people, synced
from doubles.hosted import Reply
from doubles.jira_cloud import Issue, JiraCloud
from hosted_site import HostedContract, HostedSite
from linked import links
from pydantic import SecretStr

from core.errors import SourceRefused, Transient, UnreadableDocument
from core.principals import EVERYONE, Grantee, GranteeKind
from ingest.connectors.api import Patience
from ingest.connectors.atlassian_document import document_html
from ingest.connectors.jira import Jira, JiraSettings, open_jira
from ingest.connectors.protocol import CursorExpired, denied
from ingest.parsing.html import parse_html

USER = "bot@example.com"


def node(kind: str, *content: Any, **attributes: Any) -> dict[str, Any]:
    return {"type": kind, **({"attrs": attributes} if attributes else {}), "content": list(content)}


def said(text: str, *marks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": text, **({"marks": list(marks)} if marks else {})}


def written(text: str) -> dict[str, Any]:
    return {"version": 1, **node("doc", node("paragraph", said(text)))}


class Desk(HostedSite):
    """A site with one project, which everybody with Jira may browse, as its people use it.

    An issue is shared by a security level, which narrows whom the project lets in.
    """

    nests = False

    def __init__(self, double: JiraCloud) -> None:
        super().__init__(double)
        self.double = double
        double.groups["g-all"] = []
        double.applications["jira-software"] = ["g-all"]
        self.project = double.project("ENG")
        double.grant(self.project, "group", "g-all")

    def connect(self, secret: str = SECRET, **settings: object) -> Jira:
        base = {"base_url": self.double.url, "user": USER, "page_documents": 3}
        patience = Patience(sleep=self.waits.append)
        return Jira(JiraSettings.model_validate(base | settings), SecretStr(secret), patience, 1000)

    def connect_unwelcome(self) -> Jira:
        return self.connect(secret="wrong")

    def put(self, summary: str = "issue", **fields: Any) -> Issue:
        issue = self.double.put(self.project, summary, written("text"))
        issue.fields |= fields
        return issue

    def add(self, name: str, text: str) -> str:
        return f"issues/{self.double.put(self.project, name, written(text)).id}"

    def change(self, external_id: str, text: str) -> None:
        self.issue(external_id).fields |= {"description": written(text), "updated": self.double.now()}

    def rename(self, external_id: str, name: str) -> bool:
        self.issue(external_id).fields |= {"summary": name, "updated": self.double.now()}
        return True

    def remove(self, external_id: str) -> None:
        del self.double.issues[external_id.partition("/")[2]]

    def share(self, external_id: str, *who: str) -> None:
        kinds = {"person": "user", "group": "group"}
        holders = [(kinds[one.partition(":")[0]], self.named(one)) for one in who]
        self.issue(external_id).fields["security"] = {
            "id": self.double.level(self.project, *holders),
            "name": "Private",
        }

    def set_group(self, name: str, *members: str) -> None:
        self.double.groups[f"g-{name}"] = [self.named(one) for one in members]
        self.double.grant(self.project, "group", f"g-{name}")

    def grantee(self, who: str) -> Grantee:
        kind = GranteeKind.USER if who.startswith("person:") else GranteeKind.GROUP
        return Grantee(kind, f"jira:{self.double.url.removeprefix('http://')}", self.named(who))

    def hide_permissions(self, external_id: str) -> bool:
        self.double.secretive.add(f"level/{self.issue(external_id).fields['security']['id']}")
        return True

    def named(self, who: str) -> str:
        kind, _, name = who.partition(":")
        if kind == "group":
            return f"g-{name}"
        account = f"712020:{name}"
        if account not in self.double.people:
            self.double.person(account, name.title())
            self.double.groups["g-all"].append(account)
        return account

    def outsider(self, name: str) -> str:
        """Somebody who has an account and no access to Jira."""
        self.double.person(f"712020:{name}", name.title())
        return f"712020:{name}"

    def issue(self, external_id: str) -> Issue:
        return self.double.issues[external_id.partition("/")[2]]

    def let_in(self, issue: Issue, **settings: object) -> set[str]:
        """The names of those who may read an issue; its listing and its permissions say the same."""
        with closing(self.connect(**settings)) as connector:
            groups = {group.group: group for group in connector.groups()}
            listed = listing(connector)[0][f"issues/{issue.id}"].access
            rights = decisions(connector)[f"issues/{issue.id}"]
        assert listed == rights
        return {"*" if one == EVERYONE else one.subject.partition(":")[2] for one in people(rights, groups)}

    def only(self, *grants: tuple[str, str]) -> None:
        """Let these alone browse the project."""
        self.double.grants[self.project].clear()
        for kind, value in grants:
            self.double.grant(self.project, kind, value)


@pytest.fixture
def site() -> Iterator[Desk]:
    with JiraCloud(USER, SECRET).running() as double:
        yield Desk(double)


class TestJira(ConnectorContract, PermissionContract, HostedContract):
    pass


# What is brought in


def test_an_issue_is_read_with_its_facts_and_its_comments_in_order(site: Desk) -> None:
    ana, ben = site.named("person:ana"), site.named("person:ben")
    issue = site.put(
        "Engine <stalls>", assignee=site.double.people[ana], parent={"key": "ENG-1", "fields": {"summary": "Epic"}}
    )
    for number in range(5):
        site.double.comment(issue, ben, written(f"remark{number} made"))
    with closing(site.connect()) as connector:
        found = listing(connector)[0][f"issues/{issue.id}"]
        parsed = parse_html(connector.fetch(found))
    assert parsed.title == f"{issue.key} Engine <stalls>"
    assert found.uri == f"{site.double.url}/browse/{issue.key}"
    for words in ("Open", "Engine", "ENG-1 Epic", "Project ENG", "Ana", "text", "Ben, 2026-03-04"):
        assert words in parsed.text
    places = [parsed.text.index(f"remark{number}") for number in range(5)]
    assert places == sorted(places)


def test_comments_that_not_everybody_reads_are_left_out(site: Desk) -> None:
    ana = site.named("person:ana")
    issue = site.put()
    site.double.comment(issue, ana, written("for all"))
    site.double.comment(issue, ana, written("numbat"), visibility={"type": "role", "value": "Administrators"})
    site.double.comment(issue, ana, written("numbat"), visibility={"type": "group", "identifier": "g-x"})
    site.double.comment(issue, ana, written("numbat"), jsdPublic=False)
    with closing(site.connect()) as connector:
        text = connector.fetch(listing(connector)[0][f"issues/{issue.id}"]).decode()
    assert "for all" in text and "numbat" not in text


def test_files_are_documents_of_their_own_with_the_issues_readers(site: Desk) -> None:
    issue = site.put()
    file, big = site.double.attach(issue, "log/1.txt", b"what happened"), site.double.attach(issue, "big", b"x" * 1001)
    site.share(f"issues/{issue.id}", "person:ana")
    with closing(site.connect()) as connector:
        found, cursor, _ = listing(connector)
        rights = decisions(connector)
        assert connector.fetch(found[f"attachments/{file}"]) == b"what happened"
        with pytest.raises(UnreadableDocument):
            connector.fetch(found[f"attachments/{big}"])
        issue.attachments.pop()
        after, _ = synced(connector, found, cursor)
    assert found[f"attachments/{file}"].name == "log 1.txt"
    assert found[f"attachments/{file}"].access == found[f"issues/{issue.id}"].access == rights[f"attachments/{file}"]
    assert f"attachments/{big}" not in after and f"attachments/{file}" in after
    with closing(site.connect(attachments=False)) as connector:
        assert set(listing(connector)[0]) == {f"issues/{issue.id}"}


def test_archived_projects_and_issues_and_other_projects_are_left_out(site: Desk) -> None:
    issue, archived = site.put("ours"), site.put("archived")
    archived.archived = True
    other = site.double.put(site.double.project("HR"), "other")
    site.double.put(site.double.project("OLD", archived=True), "old")

    def found(**settings: object) -> set[str]:
        with closing(site.connect(**settings)) as connector:
            return {name.partition("/")[2] for name in listing(connector)[0]}

    assert found() == {issue.id, other.id}
    assert found(projects=["ENG"]) == found(exclude_projects=["HR"]) == {issue.id}
    with pytest.raises(SourceRefused, match="projects"):
        found(projects=["NONE"])


def test_an_issue_that_moves_to_another_project_stays_the_same_document(site: Desk) -> None:
    issue = site.put()
    site.named("person:ana")
    hr = site.double.project("HR")
    site.outsider("hr")
    site.double.grant(hr, "user", "712020:hr")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        issue.project, issue.key = hr, "HR-1"
        issue.fields["updated"] = site.double.now()
        after, _ = synced(connector, before, cursor)
    assert set(after) == set(before)
    assert after[f"issues/{issue.id}"].uri.endswith("/browse/HR-1")
    assert site.let_in(issue) == {"hr"}


def test_a_listing_that_was_interrupted_too_long_ago_begins_anew(site: Desk) -> None:
    for number in range(7):
        site.put(f"issue {number}")
    with closing(site.connect()) as connector:
        cursor = next(iter(connector.changes(None))).cursor
        site.double.tokens_of += 1
        with pytest.raises(CursorExpired):
            listing(connector, cursor)
        cursor = next(iter(connector.changes(None))).cursor
        site.double.project("NEW")
        with pytest.raises(CursorExpired):
            listing(connector, cursor)
        assert len(listing(connector)[0]) == 7


# Who may read


@pytest.mark.parametrize(
    ("kind", "value", "who"),
    [
        ("user", "712020:ana", {"ana"}),
        ("group", "g-team", {"ben"}),
        ("projectRole", "10002", {"ben", "eve"}),
        ("reporter", "", {"rita"}),
        ("assignee", "", {"arno"}),
        ("projectLead", "", {"lea"}),
        ("userCustomField", "customfield_10010", {"una", "udo"}),
        ("groupCustomField", "customfield_10020", {"ben"}),
        ("applicationRole", "jira-software", {"sam"}),
        ("applicationRole", "", {"sam", "ida"}),
        ("anyone", "", {"sam", "ida"}),
        ("sd.customer.portal.only", "", set()),
        ("somethingNew", "712020:ana", set()),
    ],
)
def test_a_grant_to_browse_lets_in_whom_it_names_and_nobody_else(
    site: Desk, kind: str, value: str, who: set[str]
) -> None:
    for name in ("ana", "ben", "eve", "rita", "arno", "lea", "una", "udo", "sam", "ida", "none"):
        site.outsider(name)
    site.double.groups |= {"g-team": ["712020:ben"], "g-all": ["712020:sam"], "g-it": ["712020:ida"]}
    site.double.applications["jira-servicedesk"] = ["g-it"]
    site.double.projects[site.project]["lead"] = {"accountId": "712020:lea"}
    site.double.roles[site.project, "10002"] = [
        {"type": "atlassian-user-role-actor", "actorUser": {"accountId": "712020:eve"}},
        {"type": "atlassian-group-role-actor", "actorGroup": {"groupId": "g-team", "name": "team"}},
    ]
    issue = site.put(
        reporter=site.double.people["712020:rita"],
        assignee=site.double.people["712020:arno"],
        customfield_10010=[site.double.people["712020:una"], site.double.people["712020:udo"]],
        customfield_10020={"name": "team", "groupId": "g-team"},
    )
    site.only((kind, value))
    assert site.let_in(issue) == who
    with closing(site.connect()) as connector:
        told = {account.user.subject.partition(":")[2]: account.name for account in connector.accounts()}
    assert {name: name.title() for name in who} == {name: told.get(name) for name in who}
    site.only()
    site.double.grant(site.project, kind, value, "ADMINISTER_PROJECTS")
    assert site.let_in(issue) == set()


def test_a_project_that_is_open_to_anyone_lets_everyone_in_only_where_that_is_set(site: Desk) -> None:
    issue, private = site.put(), site.put()
    site.share(f"issues/{private.id}", "group:few")
    site.double.groups["g-few"] = [site.named("person:ana")]
    site.named("person:ben")
    site.only(("anyone", ""))
    assert site.let_in(issue) == {"ana", "ben"}
    assert site.let_in(issue, anonymous="everyone") == {"*"}
    assert site.let_in(private) == {"ana"}
    assert site.let_in(private, anonymous="everyone") == {"ana"}


def test_a_security_level_lets_in_nobody_whom_the_project_does_not(site: Desk) -> None:
    issue = site.put(reporter={"accountId": site.named("person:rita"), "displayName": "Rita"})
    site.named("person:ben")
    level = site.double.level(site.project, ("reporter", ""), ("user", site.outsider("out")), ("group", "g-few"))
    site.double.groups["g-few"] = [site.named("person:ana"), "712020:out"]
    issue.fields["security"] = {"id": level, "name": "Internal"}
    assert site.let_in(issue) == {"rita", "ana"}


@pytest.mark.parametrize(
    ("restrictions", "who"),
    [
        ({}, {"ana", "ben"}),
        ({"projectrole": ["10002"]}, {"ana"}),
        ({"projectrole": [{"id": "10002", "name": "Team"}]}, {"ana"}),
        ({"projectrole": ["10003"]}, set()),
        ({"projectrole": [None]}, set()),
        ({"projectrole": "10002"}, set()),
        ({"somethingnew": ["10002"]}, set()),
        (["10002"], set()),
    ],
)
def test_an_issue_that_is_restricted_to_roles_is_seen_by_these_of_whoever_browses(
    site: Desk, restrictions: Any, who: set[str]
) -> None:
    for name in ("ana", "ben"):
        site.named(f"person:{name}")
    actors = [
        {"type": "atlassian-user-role-actor", "actorUser": {"accountId": one}} for one in ("712020:ana", "712020:x")
    ]
    site.double.roles[site.project, "10002"] = actors
    site.double.roles[site.project, "10003"] = []
    issue = site.put(issuerestriction={"issuerestrictions": restrictions, "shouldDisplay": True})
    assert site.let_in(issue) == who


def test_custom_fields_that_only_a_security_level_names_are_asked_for(site: Desk) -> None:
    issue = site.put(customfield_10099={"accountId": site.named("person:ana")})
    site.named("person:ben")
    issue.fields["security"] = {"id": site.double.level(site.project, ("userCustomField", "customfield_10099"))}
    assert site.let_in(issue) == {"ana"}


def test_whoever_is_inactive_or_in_a_group_that_is_not_told_is_let_in_on_no_account(site: Desk) -> None:
    issue = site.put()
    site.named("person:ana")
    site.named("person:gone")
    site.double.people["712020:gone"]["active"] = False
    assert site.let_in(issue) == {"ana"}
    site.double.secretive.add("group/g-all")
    assert site.let_in(issue) == set()
    with closing(site.connect()) as connector:
        assert [group.problem is None for group in connector.groups()] == [False]


@pytest.mark.parametrize("hidden", ["permissionscheme", "role/10002"])
def test_a_project_whose_rights_are_not_told_is_nobodys_and_the_others_are_read(site: Desk, hidden: str) -> None:
    issue = site.put()
    site.only(("user", site.named("person:ana")), ("projectRole", "10002"))
    site.double.roles[site.project, "10002"] = []
    other = site.double.project("HR")
    site.double.grant(other, "user", site.named("person:ben"))
    plain = site.double.put(other, "plain")
    assert site.let_in(issue) == {"ana"}
    site.double.secretive.add(f"/rest/api/3/project/{site.project}/{hidden}")
    assert site.let_in(issue) == set()
    with closing(site.connect()) as connector:
        rule = decisions(connector)[f"issues/{issue.id}"].rule
    assert rule.startswith(denied("Jira does not tell").rule), "so that it is reported"
    assert site.let_in(plain) == {"ben"}


@pytest.mark.parametrize("path", ["project/search", "search/jql"])
def test_an_answer_without_a_list_is_not_taken_for_an_empty_one(site: Desk, path: str) -> None:
    site.put()
    site.double.instead = {f"/rest/api/3/{path}": Reply(200, {"message": "maintenance"})}
    with closing(site.connect()) as connector, pytest.raises(Transient):
        listing(connector)


def test_a_scheme_that_cannot_be_asked_for_closes_its_project_alone(site: Desk) -> None:
    issue = site.put()
    other = site.double.project("HR")
    site.double.grant(other, "user", site.named("person:ben"))
    plain = site.double.put(other, "plain")
    path = f"/rest/api/3/project/{site.project}/permissionscheme"
    site.double.instead = {path: Reply(400, {"errorMessages": ["not of this project"]})}
    assert site.let_in(issue) == set()
    assert site.let_in(plain) == {"ben"}


def test_customers_of_a_portal_are_let_in_by_no_field_of_an_issue(site: Desk) -> None:
    customer = site.outsider("customer")
    site.double.people[customer]["accountType"] = "customer"
    issue = site.put(reporter=site.double.people[customer], assignee=site.double.people[site.outsider("agent")])
    site.only(("reporter", ""), ("assignee", ""))
    assert site.let_in(issue) == {"agent"}


def test_what_is_not_told_is_asked_for_once_however_many_issues_there_are(site: Desk) -> None:
    site.only(("projectRole", "10002"), ("applicationRole", "jira-software"))
    site.double.secretive |= {f"/rest/api/3/project/{site.project}/role/10002", "/rest/api/3/applicationrole"}
    for number in range(5):
        site.put(f"issue {number}")
    with closing(site.connect()) as connector:
        listing(connector)
    asked = [call.path for call in site.double.calls if call.path in site.double.secretive]
    assert len(asked) == len(set(asked))


# The document format


def test_what_a_reader_sees_of_a_text_is_kept() -> None:
    strong, href = {"type": "strong"}, {"type": "link", "attrs": {"href": "https://example.com/?a=1&b=2"}}
    cell = [node("tableHeader", node("paragraph", said("Item"))), node("tableCell", node("paragraph", said("Tea")))]
    text = node(
        "doc",
        node("heading", said("Plan <b>"), level=2),
        node("paragraph", said("It is "), said("big", strong), node("hardBreak"), said("there", href)),
        node(
            "bulletList",
            node("listItem", node("paragraph", said("one")), node("orderedList", node("listItem", said("two")))),
        ),
        node("codeBlock", said("if a < b:\n  pass"), language="python"),
        node("table", node("tableRow", *cell)),
        node("panel", node("paragraph", said("mind the gap")), panelType="info"),
        node("expand", node("paragraph", said("inside")), title="More"),
        node("taskList", node("taskItem", said("done"), state="DONE"), node("taskItem", said("open"), state="TODO")),
        node("paragraph", node("mention", id="712020:ana", text="@Ana"), node("date", timestamp="1767225600000")),
        node("paragraph", node("status", text="BLOCKED"), node("emoji", shortName=":x:", text="❌")),
        node("paragraph", node("inlineCard", url="https://example.com/page")),
        node("somethingNew", node("paragraph", said("unknown yet kept"))),
    )
    html = document_html(text)
    for part in (
        "<h3>Plan &lt;b&gt;</h3>",
        "It is <strong>big</strong><br>",
        '<a href="https://example.com/?a=1&amp;b=2">there</a>',
        "<ul><li><p>one</p><ol><li>two</li></ol></li></ul>",
        '<pre><code class="language-python">if a &lt; b:\n  pass</code></pre>',
        "<table><tr><th><p>Item</p></th><td><p>Tea</p></td></tr></table>",
        "mind the gap",
        "<p>More</p><p>inside</p>",
        "<li>[x] done</li><li>[ ] open</li>",
        "@Ana",
        "2026-01-01",
        "BLOCKED",
        "❌",
        "https://example.com/page</a>",
        "unknown yet kept",
    ):
        assert part in html


def test_links_of_a_text_are_kept_with_where_they_lead() -> None:
    def link(address: str) -> dict[str, Any]:
        return {"type": "link", "attrs": {"href": address}}

    text = node(
        "paragraph",
        said("See "),
        said("the site", {"type": "strong"}, link("https://example.com/a")),
        said(" or "),
        said("another issue", link("/browse/ONE-7")),
        said(" "),
        node("inlineCard", url="https://example.com/card"),
        node("inlineCard", url="/browse/ONE-8"),
    )
    parsed = parse_html(document_html(node("doc", text)).encode())
    assert parsed.text == "See the site or another issue https://example.com/card"
    assert links(parsed) == [
        ("the site", "https://example.com/a"),
        ("another issue", "/browse/ONE-7"),
        ("https://example.com/card", "https://example.com/card"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        node(
            "paragraph", said("<script>alert(1)</script>", {"type": "link", "attrs": {"href": "javascript:alert(2)"}})
        ),
        node("codeBlock", said("x"), language='"><script>'),
        node("heading", said("x"), level="</h1><script>"),
        node("tableCell", said("x"), colspan='1"><script>'),
        "plain <script>",
    ],
)
def test_nothing_that_a_text_holds_becomes_structure(text: Any) -> None:
    html = document_html(text)
    assert "<script" not in html and "href" not in html


def test_damaged_and_endless_texts_are_read_as_far_as_they_go() -> None:
    deep = said("far down")
    for _ in range(5000):
        deep = node("blockquote", deep)
    assert "near" in document_html(node("doc", node("paragraph", said("near")), deep))
    for damaged in (None, 7, [], {"type": 3}, {"type": "doc", "content": 5}, node("doc", None, "x", {"attrs": []})):
        assert document_html(damaged) == ""


def test_a_site_without_a_token_is_not_opened() -> None:
    with pytest.raises(SourceRefused, match="token"):
        open_jira(JiraSettings(base_url="https://example.atlassian.net"), None)
