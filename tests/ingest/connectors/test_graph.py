"""SharePoint and OneDrive, read through a double of Microsoft Graph."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conformance import SECRET, ConnectorContract, PermissionContract, decisions, listing, people, synced
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from doubles.graph import CLIENT, TENANT, GraphDouble, of_group, person
from pydantic import SecretStr, ValidationError

from core.errors import SourceRefused, Transient, UnreadableDocument
from core.principals import EVERYONE, Grantee, GranteeKind
from ingest.connectors.api import Patience
from ingest.connectors.graph import SharePoint, open_graph
from ingest.connectors.graph_settings import GraphSettings
from ingest.connectors.protocol import CursorExpired, Group

ISSUER = f"graph:{TENANT}"
TEAM = "/sites/team"
DOCS = "b!documents"


class GraphSite:
    """A tenant with one site, whose library tests write to, and connectors of it."""

    nests = True

    def __init__(self, double: GraphDouble) -> None:
        self.double = double
        self.team = double.site(TEAM, DOCS)
        self._slept: list[float] = []

    def connect(self, secret: str = SECRET, max_document_bytes: int = 1_000_000, **settings: Any) -> SharePoint:
        given: dict[str, Any] = {
            "tenant": TENANT,
            "client_id": CLIENT,
            "graph_url": self.double.graph_url,
            "login_url": self.double.login_url,
        }
        if "users" not in settings:
            given["sites"] = [f"{self.double.sharepoint_url}{TEAM}"]
        return open_graph(
            GraphSettings.model_validate(given | settings),
            SecretStr(secret),
            max_document_bytes,
            Patience(sleep=self._slept.append),
        )

    def connect_unwelcome(self) -> SharePoint:
        return self.connect(SECRET + "-of-yesterday")

    def add(self, name: str, text: str) -> str:
        return f"{DOCS}/{self.double.put(DOCS, f'{name}.txt', text)}"

    def change(self, external_id: str, text: str) -> None:
        self.double.write(*external_id.split("/"), text)

    def rename(self, external_id: str, name: str) -> bool:
        self.double.move(*external_id.split("/"), f"{name}.txt", self.double.put(DOCS, "elsewhere", kind="folder"))
        return True

    def remove(self, external_id: str) -> None:
        self.double.delete(*external_id.split("/"))

    def throttle(self, times: int, seconds: float) -> bool:
        self.double.busy = [seconds] * times
        return True

    def waited(self) -> Sequence[float]:
        return self._slept

    def go_down(self) -> None:
        self.double.down = True

    def come_back(self) -> None:
        self.double.down = False

    def expire_cursors(self) -> bool:
        self.double.expire_cursors()
        return True

    def share(self, external_id: str, *who: str) -> None:
        library, item = external_id.split("/")
        self.double.grant(
            library,
            item,
            *(person(self._id(one)) if one.startswith("person:") else of_group(self._id(one)) for one in who),
        )

    def set_group(self, name: str, *members: str) -> None:
        self.double.group(name, *map(self._id, members))

    def grantee(self, who: str) -> Grantee:
        return (user if who.startswith("person:") else group)(self._id(who))

    def hide_permissions(self, external_id: str) -> bool:
        library, item = external_id.split("/")
        self.double.libraries[library].items[item].hidden = True
        return True

    def _id(self, who: str) -> str:
        kind, _, name = who.partition(":")
        if kind == "person":
            return self.double.user(name)
        known = [key for key, one in self.double.groups.items() if one["displayName"] == name.title()]
        return known[0] if known else self.double.group(name)


def user(key: str) -> Grantee:
    return Grantee(GranteeKind.USER, ISSUER, key)


def group(key: str) -> Grantee:
    return Grantee(GranteeKind.GROUP, ISSUER, key)


@pytest.fixture(scope="session")
def signed() -> tuple[x509.Certificate, str]:
    """A certificate and, in PEM, it and its key: what an application proves itself with."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "footnote")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    dated = built.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    certificate = dated.sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate, (private + certificate.public_bytes(Encoding.PEM)).decode()


@pytest.fixture
def double(signed: tuple[x509.Certificate, str]) -> Iterator[GraphDouble]:
    with closing(GraphDouble(SECRET, signed[0])) as double:
        yield double


@pytest.fixture
def site(double: GraphDouble) -> GraphSite:
    return GraphSite(double)


class TestContract(ConnectorContract, PermissionContract):
    pass


def groups_of(connector: SharePoint) -> dict[Grantee, Group]:
    return {one.group: one for one in connector.groups()}


def readers_of(connector: SharePoint, external_id: str) -> set[Grantee]:
    """Every person who may read a document, and everyone where that is so."""
    return people(decisions(connector)[external_id], groups_of(connector))


def asked_permissions(double: GraphDouble) -> list[str]:
    return [path.split("/")[-2] for path in double.asked if path.endswith("/permissions")]


# Who may read


def test_permissions_are_asked_only_where_they_differ_from_the_folders(site: GraphSite, double: GraphDouble) -> None:
    ana, ben, eva = map(double.user, ("ana", "ben", "eva"))
    double.grant(DOCS, f"{DOCS}-root", person(ana))
    closed = double.put(DOCS, "closed", kind="folder")
    double.grant(DOCS, closed, person(ben))
    below = double.put(DOCS, "below", folder=closed, kind="folder")
    inside = [double.put(DOCS, f"{number}.txt", "text", folder=below) for number in range(4)]
    outside = [double.put(DOCS, f"open {number}.txt", "text") for number in range(4)]
    double.grant(DOCS, inside[3], person(eva))

    with closing(site.connect()) as connector:
        rights = dict(one for page in connector.permissions() for one in page)
        asked = asked_permissions(double)
        listed = {key: one.access for key, one in listing(connector)[0].items()}

    expected = (
        {one: {user(ana)} for one in outside} | {one: {user(ben)} for one in inside[:3]} | {inside[3]: {user(eva)}}
    )
    assert {key: set(decision.lists.allow) for key, decision in rights.items()} == {
        f"{DOCS}/{key}": value for key, value in expected.items()
    }
    assert listed == rights
    assert sorted(asked) == sorted([f"{DOCS}-root", closed, inside[3]])


@pytest.mark.parametrize("applied", [True, False])
def test_a_document_that_inherits_nothing_and_is_shared_with_nobody_is_nobodys(
    site: GraphSite, double: GraphDouble, applied: bool
) -> None:
    double.applies_preferences = applied
    ana = double.user("ana")
    double.grant(DOCS, f"{DOCS}-root", person(ana))
    opened, closed = double.put(DOCS, "open.txt"), double.put(DOCS, "closed.txt")
    double.grant(DOCS, closed)

    with closing(site.connect()) as connector:
        rights = decisions(connector)

    assert rights[f"{DOCS}/{opened}"].lists.allow == {user(ana)}
    assert not rights[f"{DOCS}/{closed}"].lists.allow


def test_every_item_is_asked_where_the_operator_wants_that(site: GraphSite, double: GraphDouble) -> None:
    items = [double.put(DOCS, f"{number}.txt") for number in range(3)]
    with closing(site.connect(permissions="every_item")) as connector:
        assert [key for page in connector.permissions() for key, _ in page]
    assert sorted(asked_permissions(double)) == items


def test_a_listing_that_goes_on_elsewhere_still_knows_what_is_inherited(site: GraphSite, double: GraphDouble) -> None:
    ana = double.user("ana")
    folder = double.put(DOCS, "folder", kind="folder")
    double.grant(DOCS, folder, person(ana))
    items = [double.put(DOCS, f"{number}.txt", folder=folder) for number in range(7)]
    with closing(site.connect()) as connector:
        first = next(iter(connector.changes(None)))
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector, first.cursor)
    assert {one.access.lists.allow for one in found.values() if one.access} == {frozenset({user(ana)})}
    assert f"{DOCS}/{items[-1]}" in found


def test_a_changed_document_is_asked_itself(site: GraphSite, double: GraphDouble) -> None:
    ana, ben = double.user("ana"), double.user("ben")
    double.grant(DOCS, f"{DOCS}-root", person(ana))
    paper = double.put(DOCS, "paper.txt", "text")
    double.grant(DOCS, paper, person(ben))
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        # A list of changes does not say again that permissions differ.
        double.write(DOCS, paper, "more")
        changed, _, _ = listing(connector, cursor)
    access = changed[f"{DOCS}/{paper}"].access
    assert access is not None and access.lists.allow == {user(ben)}


def test_whoever_is_disabled_between_two_looks_is_let_in_no_more(site: GraphSite, double: GraphDouble) -> None:
    ana = double.user("ana")
    paper = double.put(DOCS, "paper.txt", "text")
    double.grant(DOCS, paper, person(ana))
    with closing(site.connect()) as connector:
        before = dict(one for page in connector.permissions() for one in page)
        double.user("ana", accountEnabled=False)
        after = dict(one for page in connector.permissions() for one in page)
    assert before[f"{DOCS}/{paper}"].lists.allow == {user(ana)}
    assert not after[f"{DOCS}/{paper}"].lists.allow


def test_a_listing_goes_on_within_the_library_where_it_stopped(site: GraphSite, double: GraphDouble) -> None:
    double.library("b!later", site.team.id)
    site.team.libraries.append("b!later")
    site.add("first", "text")
    later = [f"b!later/{double.put('b!later', f'{number}.txt')}" for number in range(5)]
    with closing(site.connect()) as connector:
        pages = connector.changes(None)
        first, second = next(pages), next(pages)
        rest, _, more = listing(connector, second.cursor)
    assert first.whole and more[-1].whole and more[-1].last
    assert {one.external_id for one in second.listed} == set(later[:2])
    assert rest.keys() == set(later[2:])


PAST, COMING = "2001-01-01T00:00:00.0000000Z", "2999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("permission", "lets_in"),
    [
        ({"roles": ["read"]}, True),
        ({"roles": ["write"]}, True),
        ({"roles": ["owner"]}, True),
        ({"roles": ["sp.limited access"]}, False),
        ({"roles": ["sp.something of their own"]}, False),
        ({"roles": []}, False),
        ({"roles": ["read"], "expirationDateTime": PAST}, False),
        ({"roles": ["read"], "expirationDateTime": COMING}, True),
        ({"roles": ["read"], "expirationDateTime": "0001-01-01T00:00:00Z"}, True),
        ({"roles": ["read"], "expirationDateTime": "soon"}, False),
    ],
)
def test_a_permission_lets_in_by_its_role_and_until_it_is_over(
    site: GraphSite, double: GraphDouble, permission: dict[str, Any], lets_in: bool
) -> None:
    ana = double.user("ana")
    paper = double.put(DOCS, "paper.txt")
    double.grant(DOCS, paper, {"grantedToV2": {"user": {"id": ana}}, **permission})
    with closing(site.connect()) as connector:
        allowed = decisions(connector)[f"{DOCS}/{paper}"].lists.allow
    assert (user(ana) in allowed) == lets_in


ORGANIZATION = group("organization")


@pytest.mark.parametrize(
    ("link", "settings", "expected"),
    [
        ({"scope": "anonymous"}, {}, set()),
        ({"scope": "anonymous"}, {"link_sharing": "everyone"}, {EVERYONE}),
        ({"scope": "organization"}, {}, set()),
        ({"scope": "organization"}, {"organization_links": "organization"}, {ORGANIZATION}),
        ({"scope": "organization"}, {"link_sharing": "everyone"}, set()),
        ({"scope": "users"}, {"link_sharing": "everyone", "organization_links": "organization"}, set()),
        ({}, {"link_sharing": "everyone", "organization_links": "organization"}, set()),
    ],
)
@pytest.mark.parametrize("opened_by", ["ana", ""])
def test_a_link_lets_in_those_it_names_and_others_only_where_the_operator_says_so(
    site: GraphSite,
    double: GraphDouble,
    link: dict[str, str],
    settings: dict[str, str],
    expected: set[Grantee],
    opened_by: str,
) -> None:
    ana = double.user("ana")
    named = [{"user": {"id": ana}, "siteUser": {"id": "9", "loginName": "i:0#.f|membership|ana@contoso.example"}}]
    paper = double.put(DOCS, "paper.txt")
    shared = {"roles": ["read"], "link": {"type": "view", **link}, "grantedToIdentitiesV2": named if opened_by else []}
    double.grant(DOCS, paper, shared)
    with closing(site.connect(**settings)) as connector:
        allowed = decisions(connector)[f"{DOCS}/{paper}"].lists.allow
    assert allowed == expected | ({user(ana)} if opened_by else set())


def test_a_link_for_those_who_have_access_already_lets_in_nobody_else(site: GraphSite, double: GraphDouble) -> None:
    paper = double.put(DOCS, "paper.txt")
    named = [{"user": {"id": double.user("ana")}}]
    link = {"scope": "existingAccess", "type": "view"}
    double.grant(DOCS, paper, {"roles": ["read"], "link": link, "grantedToIdentitiesV2": named})
    with closing(site.connect()) as connector:
        assert not decisions(connector)[f"{DOCS}/{paper}"].lists.allow


def test_nobody_is_let_in_who_is_not_there_disabled_or_only_invited(site: GraphSite, double: GraphDouble) -> None:
    ana, left, guest = double.user("ana"), double.user("left", accountEnabled=False), double.user("x", userType="Guest")
    paper = double.put(DOCS, "paper.txt")
    stranger = person("99999999-0000-4000-8000-000000000000")
    by_name = {
        "roles": ["read"],
        "grantedToV2": {"siteUser": {"id": "7", "loginName": "i:0#.f|membership|ana@contoso.example"}},
    }
    invited = {"roles": ["read"], "invitation": {"email": "ana@contoso.example"}}
    double.grant(DOCS, paper, person(left), stranger, by_name, invited, person(guest))
    double.group("team", ana, left)
    with closing(site.connect()) as connector:
        decision = decisions(connector)[f"{DOCS}/{paper}"]
        groups = groups_of(connector)
        accounts = {one.user for one in connector.accounts()}
    assert decision.lists.allow == {user(guest)}
    assert "3 of those named left out" in decision.rule
    assert accounts == {user(ana), user(guest)}
    assert {name.subject: set(one.members) for name, one in groups.items() if len(one.members) == 1} == {
        "organization": {user(ana)},
        next(iter(double.groups)): {user(ana)},
    }
    assert set(groups[group("all-users")].members) == {user(ana), user(guest)}


def test_claims_of_sharepoint_are_the_groups_they_mean(site: GraphSite, double: GraphDouble) -> None:
    ana, ben = double.user("ana"), double.user("ben")
    project = double.group("project", ana, owners=(ben,), unified=True)
    claims = {
        "c:0-.f|rolemanager|spo-grid-all-users/" + TENANT: "organization",
        "c:0(.s|true": "all-users",
        f"c:0t.c|tenant|{project}": project,
        f"c:0o.c|federateddirectoryclaimprovider|{project}": project,
        f"c:0o.c|federateddirectoryclaimprovider|{project}_o": f"{project}:owners",
    }
    papers = {}
    for number, claim in enumerate(claims):
        papers[claim] = double.put(DOCS, f"{number}.txt")
        double.grant(DOCS, papers[claim], {"roles": ["read"], "grantedToV2": {"siteUser": {"loginName": claim}}})
    with closing(site.connect()) as connector:
        rights, groups = decisions(connector), groups_of(connector)
    assert {claim: rights[f"{DOCS}/{paper}"].lists.allow for claim, paper in papers.items()} == {
        claim: frozenset({group(subject)}) for claim, subject in claims.items()
    }
    assert groups[group(project)].members == (user(ana),)
    assert groups[group(f"{project}:owners")].members == (user(ben),), "who owns a group need not be in it"


def test_the_groups_of_a_site_are_opened_with_a_certificate_and_apart_from_other_sites(
    site: GraphSite, double: GraphDouble, signed: tuple[x509.Certificate, str]
) -> None:
    ana, ben, eva = map(double.user, ("ana", "ben", "eva"))
    staff = double.group("staff", eva)
    other = double.site("/sites/other", "b!other")
    site.team.groups[5] = (
        "Members",
        [
            {"Id": 11, "PrincipalType": 1, "LoginName": "i:0#.f|membership|ana@contoso.example"},
            {"Id": 12, "PrincipalType": 4, "LoginName": f"c:0t.c|tenant|{staff}"},
            {"Id": 13, "PrincipalType": 1, "LoginName": "i:0#.f|membership|gone@contoso.example"},
        ],
    )
    other.groups[5] = ("Members", [{"Id": 3, "PrincipalType": 1, "LoginName": "i:0#.f|membership|ben@contoso.example"}])
    members = {"roles": ["read"], "grantedToV2": {"siteGroup": {"id": "5", "displayName": "Members"}}}
    double.grant(DOCS, f"{DOCS}-root", members)
    double.grant("b!other", "b!other-root", members)
    here, there = double.put(DOCS, "here.txt"), double.put("b!other", "there.txt")
    sites = {"sites": [f"{double.sharepoint_url}/sites/{name}" for name in ("team", "other")]}

    with closing(site.connect(signed[1], sharepoint_urls=[double.sharepoint_url], **sites)) as connector:
        assert readers_of(connector, f"{DOCS}/{here}") == {user(ana), user(eva)}
        assert readers_of(connector, f"b!other/{there}") == {user(ben)}
        double.refuses_sharepoint = True
        assert readers_of(connector, f"{DOCS}/{here}") == set()
    for secret, urls in ((SECRET, [double.sharepoint_url]), (signed[1], [])):
        double.refuses_sharepoint = False
        with closing(site.connect(secret, sharepoint_urls=urls)) as connector:
            heard = len(double.sharepoint_heard)
            problems = [one.problem for one in groups_of(connector).values() if one.problem]
            assert len(double.sharepoint_heard) == heard, "no token is sent where it is of no use"
            assert readers_of(connector, f"{DOCS}/{here}") == set()
        assert len(problems) == 1 and "certificate" in problems[0], "what is not mirrored is told"


def test_a_group_whose_members_are_hidden_has_a_problem(site: GraphSite, double: GraphDouble) -> None:
    ana = double.user("ana")
    hidden = double.group("hidden", ana)
    double.groups[hidden]["hidden"] = True
    with closing(site.connect()) as connector:
        told = groups_of(connector)[group(hidden)]
    assert told.problem and not told.members


def test_a_group_of_many_is_read_to_its_last_page(site: GraphSite, double: GraphDouble) -> None:
    many = [double.user(f"user{number}") for number in range(11)]
    whole = double.group("whole", *many)
    for number in range(25):
        double.group(f"group {number}", many[0])
    with closing(site.connect()) as connector:
        groups = groups_of(connector)
    assert set(groups[group(whole)].members) == set(map(user, many))
    assert len(groups) == 26 + 2 + 1


# What is brought in


def test_a_token_that_expires_within_a_listing_is_renewed(site: GraphSite, double: GraphDouble) -> None:
    for number in range(8):
        site.add(f"paper {number}", "text")
    with closing(site.connect()) as connector:
        found = set()
        for page in connector.changes(None):
            found |= {one.external_id for one in page.listed}
            double.expire_tokens()
    assert len(found) == 8


def test_content_comes_from_another_host_which_is_sent_no_token_and_up_to_a_limit(
    site: GraphSite, double: GraphDouble
) -> None:
    paper = site.add("paper", "x" * 500)
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        assert connector.fetch(found[paper]) == b"x" * 500
    assert double.sharepoint_heard and not any("authorization" in heard for heard in double.sharepoint_heard)
    with closing(site.connect(max_document_bytes=499)) as connector, pytest.raises(UnreadableDocument) as refused:
        connector.fetch(found[paper])
    assert refused.value.verdict == "too_large"


def test_a_version_is_of_the_content_alone_also_where_a_listing_leaves_it_out(
    site: GraphSite, double: GraphDouble
) -> None:
    paper = site.add("paper", "text")
    with closing(site.connect()) as connector:
        told, cursor, _ = listing(connector)
        double.tells_content_tags = False
        site.rename(paper, "renamed")
        renamed, cursor = synced(connector, told, cursor)
        site.change(paper, "another text")
        changed, _ = synced(connector, renamed, cursor)
    assert told[paper].revision == renamed[paper].revision != changed[paper].revision


def test_notebooks_malware_folders_and_shortcuts_are_no_documents(site: GraphSite, double: GraphDouble) -> None:
    notebook = double.put(DOCS, "notes", kind="package")
    infected = double.put(DOCS, "bad.exe", malware={"description": "EICAR"})
    double.put(DOCS, "folder", kind="folder")
    double.put(DOCS, "elsewhere", kind="shortcut", remoteItem={"id": "x"})
    plain = double.put(DOCS, "paper.txt")
    with closing(site.connect()) as connector:
        found, _, pages = listing(connector)
    assert found.keys() == {f"{DOCS}/{plain}"}
    assert {key for page in pages for key, _ in page.refused} == {f"{DOCS}/{notebook}", f"{DOCS}/{infected}"}


@pytest.mark.parametrize("named", [True, False])
def test_what_lay_in_a_folder_that_is_deleted_goes_with_it(site: GraphSite, double: GraphDouble, named: bool) -> None:
    folder = double.put(DOCS, "folder", kind="folder")
    inside, outside = double.put(DOCS, "inside.txt", folder=folder), double.put(DOCS, "outside.txt")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        double.delete(DOCS, folder, names_what_was_in_it=named)
        with pytest.raises(CursorExpired):
            listing(connector, cursor)
        after, _, pages = listing(connector)
    assert before.keys() == {f"{DOCS}/{inside}", f"{DOCS}/{outside}"}
    assert after.keys() == {f"{DOCS}/{outside}"} and all(page.whole for page in pages)


def test_a_document_that_changes_while_it_is_listed_is_seen_by_the_next_listing(
    site: GraphSite, double: GraphDouble
) -> None:
    papers = [site.add(f"paper {number}", "text") for number in range(7)]
    with closing(site.connect()) as connector:
        known, cursor = {}, ""
        for number, page in enumerate(connector.changes(None)):
            known |= {one.external_id: one for one in page.listed}
            cursor = page.cursor
            if number == 0:
                site.change(papers[0], "changed meanwhile")
                site.remove(papers[6])
        after, _ = synced(connector, known, cursor)
        assert connector.fetch(after[papers[0]]) == b"changed meanwhile"
    assert after.keys() == set(papers[:6])
    assert after[papers[0]].revision.endswith(',2"')


def test_a_library_that_goes_expires_the_cursor_and_a_new_one_is_read_from_its_beginning(
    site: GraphSite, double: GraphDouble
) -> None:
    first = site.add("first", "text")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        double.library("b!second", site.team.id)
        site.team.libraries.append("b!second")
        second = f"b!second/{double.put('b!second', 'second.txt')}"
        both, cursor = synced(connector, before, cursor)
        assert both.keys() == {first, second}
        site.team.libraries.remove(DOCS)
        with pytest.raises(CursorExpired):
            listing(connector, cursor)
        assert listing(connector)[0].keys() == {second}


def test_onedrives_of_users_and_all_sites_are_brought_in(site: GraphSite, double: GraphDouble) -> None:
    ana, ben = double.user("ana"), double.user("ben")
    double.onedrive(ana, "b!ana")
    here, own = site.add("here", "text"), f"b!ana/{double.put('b!ana', 'own.txt')}"
    for settings, expected in (
        ({"users": ["*"]}, {own}),
        ({"users": [ana, ben]}, {own}),
        ({"users": ["ana@contoso.example"]}, {own}),
        ({"users": (), "sites": ["*"]}, {here}),
        ({"users": ["*"], "sites": ["*"]}, {here, own}),
    ):
        with closing(site.connect(**settings)) as connector:
            assert listing(connector)[0].keys() == expected
    with closing(site.connect(users=[ben])) as connector, pytest.raises(SourceRefused, match="no library"):
        listing(connector)


def test_a_link_that_graph_cannot_read_any_more_is_expired(site: GraphSite) -> None:
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        assert "token=" in cursor
        with pytest.raises(CursorExpired):
            listing(connector, re.sub(r"token=[^\"]*", "token=of-another-time", cursor))


def test_other_settings_do_not_go_on_from_a_cursor(site: GraphSite, double: GraphDouble) -> None:
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
    double.onedrive(double.user("ana"), "b!ana")
    with closing(site.connect(users=["*"])) as connector, pytest.raises(CursorExpired):
        listing(connector, cursor)


def test_a_question_among_many_that_is_put_off_is_asked_again_after_the_time_it_names(
    site: GraphSite, double: GraphDouble
) -> None:
    site.add("paper", "text")
    double.busy_in_batch = [11.0]
    with closing(site.connect()) as connector:
        assert len(listing(connector)[0]) == 1
        assert site.waited() == [11.0]
        # The library is listed, and then its permissions are put off again and again.
        double.busy_in_batch = [0.0, 0.0, *[1.0] * 100]
        with pytest.raises(Transient):
            listing(connector)


def test_a_connection_that_breaks_is_made_again(site: GraphSite, double: GraphDouble) -> None:
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        double.drops = 2
        listing(connector, cursor)
    assert len(site.waited()) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"graph_url": "http://graph.example/v1.0"},
        {"login_url": "http://login.example"},
        {"sharepoint_urls": ["http://contoso.example"]},
        {"sharepoint_urls": ["https://someone@contoso.example"]},
        {"sites": ()},
        {"tenant": "contoso.example"},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_or_send_a_secret_in_the_clear_are_refused(wrong: dict[str, Any]) -> None:
    right = {"tenant": TENANT, "client_id": CLIENT, "sites": ["*"]}
    assert GraphSettings.model_validate(right).issuer == ISSUER
    with pytest.raises(ValidationError):
        GraphSettings.model_validate(right | wrong)


def test_a_certificate_that_cannot_be_read_is_refused_without_being_shown(site: GraphSite) -> None:
    with pytest.raises(SourceRefused) as refused:
        site.connect(f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----")
    assert SECRET not in str(refused.value)


PAGES = "b!pages"


def text_part(html: str) -> dict[str, Any]:
    return {"@odata.type": "#microsoft.graph.textWebPart", "id": "1", "innerHtml": html}


def test_pages_of_a_site_are_documents_with_their_own_readers(site: GraphSite, double: GraphDouble) -> None:
    ana, ben = double.user("ana"), double.user("ben")
    double.library(PAGES, site.team.id)
    double.libraries[PAGES].template = "webPageLibrary"
    site.team.libraries.append(PAGES)
    double.grant(PAGES, f"{PAGES}-root", person(ana))
    links = {"serverProcessedContent": {"searchablePlainTexts": [{"key": "items[0].title", "value": "A <link> to it"}]}}
    aside = {"serverProcessedContent": {"htmlStrings": [{"key": "text", "value": "<p>beside it</p>"}]}}
    home = double.page(
        PAGES,
        "welcome",
        text_part("<h2>Rules</h2><p>quoll first</p>"),
        {"webPartType": "x", "data": links},
        side={"webPartType": "y", "data": aside},
    )
    draft = double.page(PAGES, "draft", text_part("<p>unsaid</p>"), level="draft")
    double.grant(PAGES, draft, person(ben))
    image = double.put(PAGES, "image.png", "bytes")
    classic = f"{DOCS}/{double.put(DOCS, 'classic.aspx', 'a file')}"
    with closing(site.connect()) as connector:
        found, cursor, _ = listing(connector)
        rights = dict(one for page in connector.permissions() for one in page)
        page = found[f"{PAGES}/{home}"]
        text = connector.fetch(page).decode()
        assert connector.fetch(found[f"{PAGES}/{image}"]) == b"bytes"
        assert connector.fetch(found[classic]) == b"a file" and found[classic].name == "classic.aspx"
        with pytest.raises(UnreadableDocument, match="not published"):
            connector.fetch(found[f"{PAGES}/{draft}"])
        double.touch(PAGES, home)
        changed, _, _ = listing(connector, cursor)

    assert page.name == "welcome.html"
    assert rights[page.external_id].lists.allow == {user(ana)}
    assert rights[f"{PAGES}/{draft}"].lists.allow == {user(ben)}
    assert "<title>Welcome</title>" in text and "Ana Alves, 2026-03-04" in text
    assert (
        text.index("<h2>Rules</h2>") < text.index("quoll") < text.index("A &lt;link&gt; to it") < text.index("beside")
    )
    assert changed[page.external_id].revision != page.revision, "what a page says is no file's content"
    with closing(site.connect(max_document_bytes=50)) as connector, pytest.raises(UnreadableDocument) as refused:
        connector.fetch(page)
    assert refused.value.verdict == "too_large"
    with closing(site.connect(pages=False)) as connector:
        assert listing(connector)[0].keys() == {classic}


def test_a_token_is_renewed_before_it_expires(site: GraphSite, double: GraphDouble) -> None:
    double.keeps_token_s = 100
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        listing(connector)
    assert len(double.tokens) > 2


def test_drafts_are_not_read_until_they_are_published(site: GraphSite, double: GraphDouble) -> None:
    paper, new = site.add("paper", "as published"), site.add("new", "")
    double.libraries[DOCS].items[new.partition("/")[2]].published = 0
    for number in range(4):
        double.draft(*paper.split("/"), f"draft {number}")
    double.draft(*new.split("/"), "the first draft")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        assert connector.fetch(found[paper]) == b"as published"
        with pytest.raises(UnreadableDocument, match="never been published"):
            connector.fetch(found[new])
        double.publish(*paper.split("/"))
        assert connector.fetch(found[paper]) == b"draft 3"


@pytest.mark.parametrize("seed", range(4))
def test_what_is_inherited_equals_what_every_item_says_when_it_is_asked(
    site: GraphSite, double: GraphDouble, seed: int
) -> None:
    """Folders in folders, some of them and of their files with permissions of their own, or with nobody's."""
    dice = random.Random(seed)
    who = [double.user(f"user{number}") for number in range(5)]
    double.grant(DOCS, f"{DOCS}-root", person(who[0]))
    folders = [f"{DOCS}-root"]
    for number in range(40):
        kind = "folder" if dice.random() < 0.4 else "file"
        item = double.put(DOCS, f"item {number}", folder=dice.choice(folders), kind=kind)
        if kind == "folder":
            folders.append(item)
        if dice.random() < 0.3:
            double.grant(DOCS, item, *map(person, dice.sample(who, dice.randrange(3))))
        if kind == "file" and dice.random() < 0.2:
            # A folder that is moved is named after what lies in it.
            double.touch(DOCS, dice.choice(folders))
    with closing(site.connect()) as connector, closing(site.connect(permissions="every_item")) as plain:
        expected = dict(one for page in plain.permissions() for one in page)
        assert dict(one for page in connector.permissions() for one in page) == expected
        listed = {key: one.access for key, one in listing(connector)[0].items()}
    assert listed == expected
    assert len({decision.lists for decision in expected.values()}) > 3


def test_permissions_and_members_that_are_not_told_to_the_end_let_nobody_in(
    site: GraphSite, double: GraphDouble
) -> None:
    many = [double.user(f"user{number}") for number in range(7)]
    paper, team = double.put(DOCS, "paper.txt"), double.group("team", *many)
    double.grant(DOCS, paper, *map(person, many))
    with closing(site.connect()) as connector:
        assert len(decisions(connector)[f"{DOCS}/{paper}"].lists.allow) == 7
        double.forgets = {paper, team}
        assert not decisions(connector)[f"{DOCS}/{paper}"].lists.allow
        told = groups_of(connector)[group(team)]
    assert told.problem and not told.members


def test_a_library_that_cannot_be_listed_at_all_is_no_expired_cursor(site: GraphSite, double: GraphDouble) -> None:
    site.add("paper", "text")
    double.refuses_listings = True
    with closing(site.connect()) as connector, pytest.raises(Transient, match="from its beginning"):
        listing(connector)
