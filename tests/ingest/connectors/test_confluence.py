"""Confluence Cloud, against a double that was written from its API's documentation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser

import pytest
from conformance import SECRET, ConnectorContract, PermissionContract, decisions, listing, people, synced
from doubles.confluence_cloud import ConfluenceCloud, Content, Media
from doubles.hosted import Reply
from hosted_site import HostedContract, HostedSite
from hypothesis import given
from hypothesis import strategies as st
from linked import links
from pydantic import SecretStr, ValidationError

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from core.principals import EVERYONE, Grantee, GranteeKind
from ingest.connectors.api import Patience
from ingest.connectors.confluence import Confluence, ConfluenceSettings, open_confluence
from ingest.connectors.confluence_storage import mentioned, storage_html
from ingest.connectors.levels import Levels
from ingest.connectors.protocol import CursorExpired, denied
from ingest.parsing.html import parse_html

USER = "bot@example.com"


class Wiki(HostedSite):
    """A site with one space, which `everybody` may read, as its people use it."""

    nests = False

    def __init__(self, double: ConfluenceCloud) -> None:
        super().__init__(double)
        self.double = double
        double.person("712020:author", "Olga Author")
        double.group("g-all", "confluence-users")
        self.space = double.space("ENG", "Engineering")
        double.let_in(self.space, "group", "g-all")
        double.let_in(self.space, "group", "g-all", "create", "page")

    def connect(self, secret: str = SECRET, **settings: object) -> Confluence:
        base = {"base_url": self.double.url, "user": USER, "page_documents": 3}
        patience = Patience(sleep=self.waits.append)
        return Confluence(ConfluenceSettings.model_validate(base | settings), SecretStr(secret), patience, 1000)

    def connect_unwelcome(self) -> Confluence:
        return self.connect(secret="wrong")

    def put(self, name: str, text: str, parent: Content | None = None) -> Content:
        above = (parent.kind.removesuffix("s"), parent.id) if parent else None
        return self.double.put("pages", name, self.space, f"<p>{text}</p>", above)

    def add(self, name: str, text: str) -> str:
        return f"pages/{self.put(name, text).id}"

    def change(self, external_id: str, text: str) -> None:
        page = self.content(external_id)
        page.body, page.version = f"<p>{text}</p>", page.version + 1

    def rename(self, external_id: str, name: str) -> bool:
        page = self.content(external_id)
        page.title, page.version = name, page.version + 1
        return True

    def remove(self, external_id: str) -> None:
        self.content(external_id).status = "trashed"

    def share(self, external_id: str, *who: str) -> None:
        page = self.content(external_id)
        page.users = [self.named(one) for one in who if one.startswith("person:")]
        page.groups = [self.named(one) for one in who if one.startswith("group:")]

    def set_group(self, name: str, *members: str) -> None:
        self.double.group(f"g-{name}", name, *(self.named(one) for one in members))
        self.double.let_in(self.space, "group", f"g-{name}")

    def grantee(self, who: str) -> Grantee:
        kind = GranteeKind.USER if who.startswith("person:") else GranteeKind.GROUP
        return Grantee(kind, f"confluence:{self.double.url.removeprefix('http://')}", self.named(who))

    def hide_permissions(self, external_id: str) -> bool:
        self.content(external_id).secretive = True
        return True

    def named(self, who: str) -> str:
        kind, _, name = who.partition(":")
        if kind == "group":
            return f"g-{name}"
        account = f"712020:{name}"
        if account not in self.double.people:
            self.double.person(account, name.title())
            self.double.members["g-all"].append(account)
        return account

    def content(self, external_id: str) -> Content:
        return self.double.contents[external_id.partition("/")[2]]

    def let_in(self, external_id: str) -> set[Grantee]:
        with closing(self.connect()) as connector:
            groups = {group.group: group for group in connector.groups()}
            listed = listing(connector)[0][external_id].access
            rights = decisions(connector)[external_id]
        assert listed == rights
        return people(rights, groups)

    def text(self, external_id: str) -> str:
        with closing(self.connect()) as connector:
            return connector.fetch(listing(connector)[0][external_id]).decode()


@pytest.fixture
def site() -> Iterator[Wiki]:
    with ConfluenceCloud(USER, SECRET).running() as double:
        yield Wiki(double)


class TestConfluence(ConnectorContract, PermissionContract, HostedContract):
    pass


# What is brought in


def test_a_page_is_read_with_where_it_stands_and_who_wrote_it(site: Wiki) -> None:
    handbook = site.put("Handbook", "all of it")
    leave = site.put("Leave & <absence>", "Take <strong>wombats</strong>.", handbook)
    with closing(site.connect()) as connector:
        found = listing(connector)[0][f"pages/{leave.id}"]
        parsed = parse_html(connector.fetch(found))
    assert parsed.title == "Leave & <absence>"
    assert "Engineering › Handbook" in parsed.text and "Olga Author · 2026-02-03" in parsed.text
    assert "Take wombats." in parsed.text
    assert found.name == "Leave & <absence>.html"
    assert found.uri.startswith(f"{site.double.url}/wiki/spaces/ENG/pages/{leave.id}")


def test_a_page_below_one_that_is_renamed_is_read_again_and_no_other(site: Wiki) -> None:
    handbook, other = site.put("Handbook", "all"), site.put("Other", "else")
    leave = site.put("Leave", "days", handbook)
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.rename(f"pages/{handbook.id}", "Staff")
        after, _ = synced(connector, before, cursor)
        assert "Staff" in connector.fetch(after[f"pages/{leave.id}"]).decode()
    assert after[f"pages/{leave.id}"].revision != before[f"pages/{leave.id}"].revision
    assert after[f"pages/{other.id}"].revision == before[f"pages/{other.id}"].revision


def test_drafts_archived_and_trashed_pages_are_left_out_and_a_restored_one_comes_back(site: Wiki) -> None:
    pages = {status: site.put(status, "text") for status in ("current", "draft", "archived", "trashed")}
    for status, page in pages.items():
        page.status = status
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        pages["trashed"].status = "current"
        after, _ = synced(connector, before, cursor)
    assert set(before) == {f"pages/{pages['current'].id}"}
    assert set(after) == {f"pages/{pages['current'].id}", f"pages/{pages['trashed'].id}"}


def test_blog_posts_and_files_on_pages_are_documents_of_their_own_with_their_readers(site: Wiki) -> None:
    post = site.double.put("blogposts", "News", site.space, "<p>numbats</p>")
    page = site.put("Minutes", "text")
    minutes = site.double.attach(page.id, "minutes/May.txt", b"what was said")
    draft = site.put("Draft", "text")
    draft.status = "draft"
    hidden = site.double.attach(draft.id, "draft.txt", b"early")
    site.share(f"pages/{page.id}", "person:ana")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        assert connector.fetch(found[f"attachments/{minutes.id}"]) == b"what was said"
        assert b"numbats" in connector.fetch(found[f"blogposts/{post.id}"])
    assert f"attachments/{hidden.id}" not in found
    assert found[f"attachments/{minutes.id}"].name == "minutes May.txt"
    assert found[f"attachments/{minutes.id}"].access == found[f"pages/{page.id}"].access
    site.named("person:ben")
    assert site.let_in(f"attachments/{minutes.id}") == {site.grantee("person:ana")}


def test_a_file_that_lies_elsewhere_is_fetched_there_without_the_credential(site: Wiki) -> None:
    page = site.put("Minutes", "text")
    file = site.double.attach(page.id, "minutes.txt", b"what was said")
    with Media().running() as media:
        site.double.media = media
        with closing(site.connect()) as connector:
            assert connector.fetch(listing(connector)[0][f"attachments/{file.id}"]) == b"what was said"
    assert media.calls and all("authorization" not in call.headers for call in media.calls)


def test_a_file_that_is_too_large_is_refused(site: Wiki) -> None:
    file = site.double.attach(site.put("Minutes", "text").id, "big.txt", b"x" * 1001)
    with closing(site.connect()) as connector, pytest.raises(UnreadableDocument, match="1,000"):
        connector.fetch(listing(connector)[0][f"attachments/{file.id}"])


def test_only_the_spaces_that_are_wanted_are_brought_in(site: Wiki) -> None:
    site.put("ours", "text")
    for key, kind in (("HR", "global"), ("~ana", "personal")):
        site.double.put("pages", f"of {key}", site.double.space(key, key, kind))

    def names(**settings: object) -> set[str]:
        with closing(site.connect(**settings)) as connector:
            return {one.name for one in listing(connector)[0].values()}

    assert names() == {"ours.html", "of HR.html"}
    assert names(spaces=["HR"]) == {"of HR.html"}
    assert names(exclude_spaces=["HR"]) == {"ours.html"}
    assert names(personal_spaces=True) == {"ours.html", "of HR.html", "of ~ana.html"}
    with pytest.raises(SourceRefused, match="spaces"):
        names(spaces=["NONE"])


def test_a_page_that_moves_to_another_space_stays_the_same_document_with_that_spaces_readers(site: Wiki) -> None:
    page = site.put("moves", "text")
    site.named("person:ana")
    other = site.double.space("HR", "People")
    site.double.person("712020:hr", "Hr")
    site.double.let_in(other, "user", "712020:hr")
    before = site.let_in(f"pages/{page.id}")
    page.space = other
    assert before == {site.grantee("person:ana")}
    assert site.let_in(f"pages/{page.id}") == {site.grantee("person:hr")}


def test_a_cursor_of_another_site_or_of_other_settings_is_not_trusted(site: Wiki) -> None:
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
    with closing(site.connect(attachments=False)) as other, pytest.raises(CursorExpired):
        listing(other, cursor)


# Who may read


def test_restrictions_are_inherited_and_each_of_them_must_let_one_in(site: Wiki) -> None:
    top = site.put("Top", "text")
    middle = site.put("Middle", "text", top)
    leaf = site.put("Leaf", "text", middle)
    site.share(f"pages/{top.id}", "person:ana", "person:ben")
    site.share(f"pages/{leaf.id}", "person:ben", "person:eve")
    ana, ben = site.grantee("person:ana"), site.grantee("person:ben")
    assert site.let_in(f"pages/{top.id}") == {ana, ben}
    assert site.let_in(f"pages/{middle.id}") == {ana, ben}
    assert site.let_in(f"pages/{leaf.id}") == {ben}


def test_a_restriction_lets_in_nobody_whom_the_space_does_not(site: Wiki) -> None:
    page = site.put("page", "text")
    site.share(f"pages/{page.id}", "person:ana", "person:gone", "group:others")
    site.double.group("g-others", "others", site.named("person:ben"), site.named("person:gone"))
    site.double.members["g-all"].remove(site.named("person:gone"))
    assert site.let_in(f"pages/{page.id}") == {site.grantee("person:ana"), site.grantee("person:ben")}


def test_only_reading_a_space_lets_in_and_only_people_and_groups(site: Wiki) -> None:
    page = site.put("page", "text")
    space = site.space
    site.double.space_permissions[space].clear()
    site.double.person("712020:ana", "Ana")
    site.double.person("712020:ben", "Ben")
    site.double.let_in(space, "user", "712020:ana")
    site.double.let_in(space, "user", "712020:ben", "create", "page")
    site.double.let_in(space, "user", "712020:ben", "read", "page")
    site.double.let_in(space, "role", "all-licensed-users")
    assert site.let_in(f"pages/{page.id}") == {site.grantee("person:ana")}
    with closing(site.connect()) as connector:
        rule = decisions(connector)[f"pages/{page.id}"].rule
        told = {account.user: account.name for account in connector.accounts()}
    assert rule == "Confluence: space ENG; whom it lets in by a role may not read here"
    assert told == {site.grantee("person:ana"): "Ana"}


def test_a_page_in_a_folder_has_the_folders_restrictions_too(site: Wiki) -> None:
    folder = site.double.put("folders", "Secret plans", site.space)
    page = site.put("Plan", "text", folder)
    site.named("person:ben")
    site.share(f"folders/{folder.id}", "person:ana")
    assert site.let_in(f"pages/{page.id}") == {site.grantee("person:ana")}
    assert "Secret plans" in site.text(f"pages/{page.id}")
    folder.secretive = True
    assert site.let_in(f"pages/{page.id}") == set()


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_however_a_restriction_is_not_told_its_page_alone_is_closed(site: Wiki, status: int) -> None:
    folder = site.double.put("folders", "Plans", site.space)
    page, plain = site.put("Plan", "text", folder), site.put("plain", "text")
    site.named("person:ana")
    path = f"/wiki/rest/api/content/{folder.id}/restriction/byOperation/read"
    site.double.instead = {path: Reply(status, {"message": "no"})}
    assert site.let_in(f"pages/{page.id}") == set()
    assert site.let_in(f"pages/{plain.id}") == {site.grantee("person:ana")}


@pytest.mark.parametrize("path", ["spaces", "pages", "blogposts", "attachments"])
def test_an_answer_without_a_list_is_not_taken_for_an_empty_one(site: Wiki, path: str) -> None:
    site.add("paper", "text")
    site.double.instead = {f"/wiki/api/v2/{path}": Reply(200, {"message": "maintenance"})}
    with closing(site.connect()) as connector, pytest.raises(Transient):
        listing(connector)


def test_a_page_below_something_that_is_not_shown_is_nobodys(site: Wiki) -> None:
    page, plain = site.put("page", "text"), site.put("plain", "text")
    site.named("person:ana")
    page.parent = ("database", "99")
    assert site.let_in(f"pages/{page.id}") == set()
    assert site.let_in(f"pages/{plain.id}") == {site.grantee("person:ana")}
    page.parent = ("page", page.id)
    assert site.let_in(f"pages/{page.id}") == set()


def test_restrictions_that_a_search_does_not_tell_in_full_are_asked_for(site: Wiki) -> None:
    many, unsearched = site.put("many", "text"), site.put("new", "text")
    names = [f"person:p{number}" for number in range(7)]
    site.share(f"pages/{many.id}", *names)
    site.share(f"pages/{unsearched.id}", "person:p1")
    site.double.unsearched = {unsearched.id}
    assert site.let_in(f"pages/{many.id}") == {site.grantee(name) for name in names}
    assert site.let_in(f"pages/{unsearched.id}") == {site.grantee("person:p1")}


def test_the_people_of_a_group_that_is_not_opened_are_let_in_on_no_other_account(site: Wiki) -> None:
    page = site.put("page", "text")
    site.set_group("team", "person:ana")
    site.share(f"pages/{page.id}", "group:team", "person:ben")
    assert site.let_in(f"pages/{page.id}") == {site.grantee("person:ana"), site.grantee("person:ben")}
    site.double.secretive_groups = {"g-team"}
    with closing(site.connect()) as connector:
        problems = {group.group: group.problem for group in connector.groups() if group.problem}
    assert set(problems) == {site.grantee("group:team")}
    assert site.let_in(f"pages/{page.id}") == {site.grantee("person:ben")}


def test_an_answer_that_does_not_say_who_may_read_is_not_taken_for_everybody(site: Wiki) -> None:
    page = site.put("page", "text")
    site.named("person:ana")
    page.partly = True
    assert site.let_in(f"pages/{page.id}") == set()


def test_a_restriction_that_is_not_told_is_asked_for_once_however_much_stands_below_it(site: Wiki) -> None:
    top = site.put("top", "text")
    for number in range(5):
        site.put(f"below {number}", "text", top)
    top.secretive = True
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
    assert not any(one.access.lists.allow for one in found.values() if one.access)
    assert len([call for call in site.double.calls if call.path.endswith("restriction/byOperation/read")]) == 1


def test_a_space_whose_permissions_are_not_told_is_nobodys(site: Wiki) -> None:
    page = site.put("page", "text")
    site.named("person:ana")
    site.double.secretive_spaces = {site.space}
    assert site.let_in(f"pages/{page.id}") == set()
    with closing(site.connect()) as connector:
        rule = decisions(connector)[f"pages/{page.id}"].rule
    assert rule == denied("Confluence does not tell the permissions of the space ENG").rule, "so that it is reported"


def test_large_groups_are_read_to_the_end(site: Wiki) -> None:
    page = site.put("page", "text")
    everybody = {site.grantee(f"person:p{number}") for number in range(11)}
    assert site.let_in(f"pages/{page.id}") == everybody


GRANTEES = [Grantee(kind, "x", name) for kind in (GranteeKind.USER, GranteeKind.GROUP) for name in "abcd"] + [EVERYONE]
MEMBERS = st.dictionaries(st.sampled_from(GRANTEES[4:8]), st.frozensets(st.sampled_from(GRANTEES[:4])))


@given(levels=st.lists(st.frozensets(st.sampled_from(GRANTEES)), min_size=1, max_size=4), members=MEMBERS)
def test_whoever_passes_every_level_and_nobody_else_is_on_the_one_list(
    levels: list[frozenset[Grantee]], members: dict[Grantee, frozenset[Grantee]]
) -> None:
    def opened(level: frozenset[Grantee]) -> set[Grantee]:
        if EVERYONE in level:
            return set(GRANTEES[:4])
        return {one for grantee in level for one in members.get(grantee, {grantee}) if one.kind is GranteeKind.USER}

    allowed = Levels(members.get).passing(levels)
    assert opened(allowed) == set.intersection(*map(opened, levels))


# The storage format


def test_what_a_reader_sees_of_a_page_is_kept_and_what_it_is_made_of_is_not() -> None:
    storage = """
    <h1>Deploying&nbsp;caf&eacute;s</h1>
    <p>Ask <ac:link><ri:user ri:account-id="712020:ana" /></ac:link> or read
      <ac:link><ri:page ri:content-title="Runbook &amp; more" /></ac:link>,
      <ac:link><ri:page ri:content-title="X" />
        <ac:plain-text-link-body><![CDATA[the <old> one]]></ac:plain-text-link-body></ac:link>
      at <a href="https://example.com/a?b=1&amp;c=2">the site</a>.</p>
    <ac:structured-macro ac:name="code" ac:macro-id="1f"><ac:parameter ac:name="language">python</ac:parameter>
      <ac:plain-text-body><![CDATA[if a < b and "&nbsp;": pass]]></ac:plain-text-body></ac:structured-macro>
    <ac:structured-macro ac:name="panel"><ac:parameter ac:name="title">Mind</ac:parameter>
      <ac:parameter ac:name="bgColor">#fff000</ac:parameter>
      <ac:rich-text-body><p>the gap</p></ac:rich-text-body></ac:structured-macro>
    <ac:structured-macro ac:name="vendor-thing"><ac:parameter ac:name="x">secretsetting</ac:parameter>
      <ac:rich-text-body><p>unknown yet kept</p></ac:rich-text-body></ac:structured-macro>
    <p>It is <ac:structured-macro ac:name="status">
        <ac:parameter ac:name="title">DONE</ac:parameter></ac:structured-macro></p>
    <ac:task-list><ac:task><ac:task-id>7</ac:task-id><ac:task-status>complete</ac:task-status>
      <ac:task-body>ship it</ac:task-body></ac:task><ac:task><ac:task-status>incomplete</ac:task-status>
      <ac:task-body>rest</ac:task-body></ac:task></ac:task-list>
    <table><tbody><tr><th>Item</th><th>Price</th></tr><tr><td colspan="1">Tea</td><td>3</td></tr></tbody></table>
    <ac:layout><ac:layout-section><ac:layout-cell><p>in a cell</p></ac:layout-cell></ac:layout-section></ac:layout>
    """
    html = storage_html(storage, {"712020:ana": "Ana <b>"})
    parsed = parse_html(html.encode())
    for words in (
        "Deploying cafés",
        "Ask @Ana <b> or read Runbook & more, the <old> one at the site.",
        'if a < b and "&nbsp;": pass',
        "Mind",
        "the gap",
        "unknown yet kept",
        "It is DONE",
        "[x] ship it",
        "[ ] rest",
        "in a cell",
    ):
        assert words in parsed.text, words
    assert not {"secretsetting", "#fff000", "712020"} & set(parsed.text.replace("@", " ").split())
    assert "<h2>" in html and 'class="language-python"' in html and "https://example.com/a?b=1&amp;c=2" in html
    assert '<tr><td colspan="1">Tea</td><td>3</td></tr>' in html
    assert mentioned(storage) == {"712020:ana"}


def test_links_of_a_page_are_kept_where_an_address_says_where_they_lead() -> None:
    storage = (
        '<p>See <a href="https://example.com/a?b=1&amp;c=2">the <em>site</em></a>, '
        '<a href="/wiki/x/Abc">a page</a> and <ac:link><ri:page ri:content-title="Runbook" /></ac:link>.</p>'
    )
    parsed = parse_html(storage_html(storage, {}).encode())
    assert parsed.text == "See the site, a page and Runbook."
    assert links(parsed) == [("the site", "https://example.com/a?b=1&c=2"), ("a page", "/wiki/x/Abc")]


def test_nothing_that_a_page_holds_becomes_a_script_a_handler_or_a_dangerous_link() -> None:
    storage = (
        '<p onclick="x()">&lt;script&gt;alert(1)&lt;/script&gt;<script>alert(2)</script></p>'
        '<a href="javascript:alert(3)">go</a><iframe src="http://169.254.169.254/"></iframe>'
        '<td colspan="2&quot; onload=&quot;x">cell</td><img src="x" onerror="y"/>'
    )
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    Tags().feed(storage_html(storage, {}))
    assert seen == [("p", {}), ("td", {})]


@pytest.mark.parametrize(
    "storage",
    [
        "<p>wombat <b>torn</p>",
        "<p>wombat &undefined; torn</p>",
        "wombat ]]> torn \x0b <unclosed",
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><p>wombat torn &e;</p>',
    ],
)
def test_damaged_markup_keeps_its_text(storage: str) -> None:
    text = parse_html(storage_html(storage, {}).encode()).text
    assert "wombat" in text and "torn" in text and "root:" not in text


def test_markup_that_is_nested_without_end_is_text() -> None:
    deep = 50_000
    assert "wombat" in storage_html("<div>" * deep + "wombat" + "</div>" * deep, {})


# Setting it up


@pytest.mark.parametrize("address", ["http://example.com", "ftp://example.com", "https://u:p@example.com", "example"])
def test_an_address_that_would_give_the_token_away_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        ConfluenceSettings(base_url=address)


def test_the_address_may_be_confluences_own() -> None:
    assert (
        ConfluenceSettings(base_url="https://example.atlassian.net/wiki/").base_url == "https://example.atlassian.net"
    )


def test_a_site_without_a_token_is_not_opened() -> None:
    with pytest.raises(SourceRefused, match="token"):
        open_confluence(ConfluenceSettings(base_url="https://example.atlassian.net"), None)


def test_a_page_that_is_a_draft_by_the_time_it_is_fetched_is_not_found(site: Wiki) -> None:
    page = site.put("page", "text")
    with closing(site.connect()) as connector:
        found = listing(connector)[0][f"pages/{page.id}"]
        page.status = "archived"
        with pytest.raises(NotFound):
            connector.fetch(found)
