"""Google Drive, read through a double of its APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from conformance import SECRET, ConnectorContract, PermissionContract, decisions, listing, people, synced
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from doubles.google_drive import ACCOUNT, ADMIN, CUSTOMER, DOMAIN, GOOGLE, GoogleDouble, permission
from pydantic import SecretStr, ValidationError

from core.errors import SourceRefused, Transient, UnreadableDocument
from core.principals import EVERYONE, Grantee, GranteeKind
from ingest.connectors.api import Patience
from ingest.connectors.google_drive import GoogleDrive, open_google_drive
from ingest.connectors.google_settings import GoogleDriveSettings
from ingest.connectors.protocol import CursorExpired, Group

ISSUER = f"google:{CUSTOMER}"
TEAM = "0ATeamDrive"


def address(name: str) -> str:
    return f"{name}@{DOMAIN}"


class GoogleSite:
    """An organization with a shared drive and somebody's own drive, one of which tests write to."""

    nests = True

    def __init__(self, double: GoogleDouble, secret: str, other: str, shared: bool) -> None:
        self.double, self._secret, self._other, self.shared = double, secret, other, shared
        double.drive(TEAM)
        self.owner = double.user("owner")
        self._slept: list[float] = []

    @property
    def corpus(self) -> str:
        return TEAM if self.shared else self.owner

    def connect(self, secret: str = "", max_document_bytes: int = 1_000_000, **settings: Any) -> GoogleDrive:
        given: dict[str, Any] = {
            "customer": CUSTOMER,
            "admin": ADMIN,
            "drive_url": f"{self.double.url}/drive/v3",
            "directory_url": f"{self.double.url}/admin/directory/v1",
            "token_url": f"{self.double.url}/token",
        }
        if not settings.keys() & {"users", "shared_drives"}:
            given |= {"shared_drives": [TEAM]} if self.shared else {"users": [address("owner")]}
        return open_google_drive(
            GoogleDriveSettings.model_validate(given | settings),
            SecretStr(secret or self._secret),
            max_document_bytes,
            Patience(sleep=self._slept.append),
        )

    def connect_unwelcome(self) -> GoogleDrive:
        return self.connect(self._other)

    def put(self, name: str, text: str = "", **facts: Any) -> str:
        place = {"drive": TEAM} if self.shared else {"owner": address("owner")}
        return f"{self.corpus}/{self.double.put(name, text, **place, **facts)}"

    def add(self, name: str, text: str) -> str:
        return self.put(f"{name}.txt", text)

    def change(self, external_id: str, text: str) -> None:
        self.double.write(file_of(external_id), text)

    def rename(self, external_id: str, name: str) -> bool:
        self.double.change(file_of(external_id), name=f"{name}.txt", parent="elsewhere")
        return True

    def remove(self, external_id: str) -> None:
        self.double.delete(file_of(external_id))

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
        self.double.grant(file_of(external_id), *map(self._permission, who))

    def set_group(self, name: str, *members: str) -> None:
        entries = []
        for one in members:
            kind = "USER" if one.startswith("person:") else "GROUP"
            entries.append({"id": self._id(one), "type": kind, "status": "ACTIVE", "email": "changes@example.org"})
        self.double.group(name, *entries)

    def grantee(self, who: str) -> Grantee:
        return (user if who.startswith("person:") else group)(self._id(who))

    def hide_permissions(self, external_id: str) -> bool:
        self.double.change(file_of(external_id), hidden=True)
        return True

    def _permission(self, who: str) -> dict[str, Any]:
        self._id(who)
        kind, _, name = who.partition(":")
        return permission("user" if kind == "person" else "group", emailAddress=address(name))

    def _id(self, who: str) -> str:
        kind, _, name = who.partition(":")
        if kind == "person":
            return self.double.user(name)
        known = [key for key, one in self.double.groups.items() if one["email"] == address(name)]
        return known[0] if known else self.double.group(name)


def file_of(external_id: str) -> str:
    return external_id.partition("/")[2]


def user(key: str) -> Grantee:
    return Grantee(GranteeKind.USER, ISSUER, key)


def group(key: str) -> Grantee:
    return Grantee(GranteeKind.GROUP, ISSUER, key)


@pytest.fixture(scope="session")
def keys() -> tuple[rsa.RSAPublicKey, str, str]:
    """A service account's public key, its secret, and the secret of one whose key was taken from it."""

    def secret(key: rsa.RSAPrivateKey) -> str:
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        facts = {"type": "service_account", "client_email": ACCOUNT, "private_key_id": SECRET, "private_key": private}
        return json.dumps(facts)

    first, second = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    return first.public_key(), secret(first), secret(second)


@pytest.fixture
def double(keys: tuple[rsa.RSAPublicKey, str, str]) -> Iterator[GoogleDouble]:
    with closing(GoogleDouble(keys[0])) as double:
        yield double


@pytest.fixture(params=["shared drive", "own drive"])
def site(request: pytest.FixtureRequest, double: GoogleDouble, keys: tuple[rsa.RSAPublicKey, str, str]) -> GoogleSite:
    return GoogleSite(double, *keys[1:], shared=request.param == "shared drive")


@pytest.fixture
def drive(double: GoogleDouble, keys: tuple[rsa.RSAPublicKey, str, str]) -> GoogleSite:
    """A site whose shared drive is written to."""
    return GoogleSite(double, *keys[1:], shared=True)


@pytest.fixture
def own(double: GoogleDouble, keys: tuple[rsa.RSAPublicKey, str, str]) -> GoogleSite:
    """A site where somebody's own drive is written to."""
    return GoogleSite(double, *keys[1:], shared=False)


class TestContract(ConnectorContract, PermissionContract):
    pass


def groups_of(connector: GoogleDrive) -> dict[Grantee, Group]:
    return {one.group: one for one in connector.groups()}


def allowed(connector: GoogleDrive, external_id: str) -> frozenset[Grantee]:
    return decisions(connector)[external_id].lists.allow


# Who may read

PAST, COMING = "2001-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("facts", "lets_in"),
    [
        ({"role": "reader"}, True),
        ({"role": "commenter"}, True),
        ({"role": "writer"}, True),
        ({"role": "fileOrganizer"}, True),
        ({"role": "organizer"}, True),
        ({"role": "something new"}, False),
        ({"deleted": True}, False),
        ({"expirationTime": PAST}, False),
        ({"expirationTime": COMING}, True),
        ({"expirationTime": "soon"}, False),
        ({"view": "published"}, False),
        ({"view": "metadata"}, False),
    ],
)
def test_a_permission_lets_in_by_its_role_and_until_it_is_over(
    site: GoogleSite, double: GoogleDouble, facts: dict[str, Any], lets_in: bool
) -> None:
    ana = double.user("ana")
    paper = site.add("paper", "text")
    double.grant(file_of(paper), permission("user", emailAddress=address("ana")) | facts)
    with closing(site.connect()) as connector:
        assert (user(ana) in allowed(connector, paper)) == lets_in


EVERYONE_THERE = group(f"domain:{DOMAIN}")


@pytest.mark.parametrize(
    ("shared", "settings", "expected"),
    [
        ({"kind": "anyone", "allowFileDiscovery": False}, {}, set()),
        ({"kind": "anyone", "allowFileDiscovery": True}, {}, set()),
        ({"kind": "anyone"}, {"link_sharing": "everyone"}, {EVERYONE}),
        ({"kind": "domain", "domain": DOMAIN, "allowFileDiscovery": True}, {}, {EVERYONE_THERE}),
        ({"kind": "domain", "domain": DOMAIN, "allowFileDiscovery": False}, {}, set()),
        ({"kind": "domain", "domain": DOMAIN}, {"organization_links": "organization"}, {EVERYONE_THERE}),
        ({"kind": "domain", "domain": DOMAIN}, {"link_sharing": "everyone"}, set()),
        ({"kind": "domain", "domain": "elsewhere.example", "allowFileDiscovery": True}, {}, set()),
    ],
)
def test_a_link_lets_in_only_where_the_operator_says_so(
    own: GoogleSite, double: GoogleDouble, shared: dict[str, Any], settings: dict[str, str], expected: set[Grantee]
) -> None:
    paper = own.add("paper", "text")
    double.grant(file_of(paper), permission(**shared))
    with closing(own.connect(**settings)) as connector:
        assert allowed(connector, paper) == expected | {user(own.owner)}


def test_an_address_is_whose_it_is_in_the_directory_now_and_otherwise_nobodys(
    site: GoogleSite, double: GoogleDouble
) -> None:
    ana = double.user("ana", aliases=[address("anna")], nonEditableAliases=["ana@example.test"])
    double.user("left", suspended=True)
    double.user("old", archived=True)
    named = {"alias": address("Anna"), "second": "ana@example.test", "left": address("left"), "old": address("old")}
    named["stranger"] = "someone@elsewhere.example"
    papers = {key: site.add(key, "text") for key in named}
    for key, email in named.items():
        double.grant(file_of(papers[key]), permission("user", emailAddress=email))
    with closing(site.connect()) as connector:
        rights = decisions(connector)
        accounts = {one.user for one in connector.accounts()}
    assert {key for key, paper in papers.items() if user(ana) in rights[paper].lists.allow} == {"alias", "second"}
    assert all(len(rights[paper].lists.allow) <= 2 for paper in papers.values())
    assert "1 of those named left out" in rights[papers["stranger"]].rule
    assert accounts == {user(ana), user(site.owner), user(double.user("admin"))}


def test_groups_are_told_with_their_direct_members_and_everybody_of_a_domain(
    drive: GoogleSite, double: GoogleDouble
) -> None:
    ana, ben, left = double.user("ana"), double.user("ben"), double.user("left", suspended=True)
    zoe = double.user("zoe", primaryEmail="zoe@elsewhere.example.org")
    inner = double.group("inner", {"id": ben, "type": "USER"})
    outer = double.group(
        "outer",
        {"id": ana, "type": "USER"},
        {"id": inner, "type": "GROUP"},
        {"id": left, "type": "USER"},
        {"id": "999", "type": "USER"},
        {"id": "998", "type": "EXTERNAL"},
    )
    whole = double.group("whole", {"id": CUSTOMER, "type": "CUSTOMER"})
    hidden = double.group("hidden", {"id": ana, "type": "USER"})
    double.hidden_groups.add(hidden)
    with closing(drive.connect()) as connector:
        groups = groups_of(connector)
    everybody = {user(ana), user(ben), user(drive.owner), user(double.user("admin"))}
    assert set(groups[group(outer)].members) == {user(ana), group(inner)}
    assert groups[group(inner)].members == (user(ben),)
    assert groups[group(whole)].members == (group("customer"),)
    assert set(groups[EVERYONE_THERE].members) == everybody
    assert set(groups[group("customer")].members) == everybody | {user(zoe)}
    assert groups[group(hidden)].problem and not groups[group(hidden)].members


def test_members_of_a_shared_drive_read_its_files_and_permissions_are_asked_once_for_files_alike(
    drive: GoogleSite, double: GoogleDouble
) -> None:
    ana, ben = double.user("ana"), double.user("ben")
    double.drive(TEAM, permission("user", "fileOrganizer", emailAddress=address("ana")))
    alike = [drive.put(f"{number}.txt") for number in range(6)]
    apart, elsewhere = drive.put("apart.txt"), drive.put("elsewhere.txt", parent="a folder")
    double.grant(file_of(apart), permission("user", emailAddress=address("ben")))
    with closing(drive.connect()) as connector:
        rights = dict(one for page in connector.permissions() for one in page)
    members = {user(ana), user(double.user("admin"))}
    asked = [path.split("/")[-2] for path, _ in double.asked if path.endswith("/permissions")]
    assert {key: set(rights[key].lists.allow) for key in rights} == {
        **dict.fromkeys([*alike, elsewhere], members),
        apart: members | {user(ben)},
    }
    assert sorted(asked) == sorted(map(file_of, [alike[0], apart, elsewhere]))


def test_permissions_of_own_files_come_with_their_listing(own: GoogleSite, double: GoogleDouble) -> None:
    ana = double.user("ana")
    papers = [own.add(f"paper {number}", "text") for number in range(5)]
    own.share(papers[2], "person:ana")
    with closing(own.connect()) as connector:
        assert allowed(connector, papers[2]) == {user(ana), user(own.owner)}
    assert not [path for path, _ in double.asked if path.endswith("/permissions")]


# What is brought in


def test_documents_of_googles_own_are_exported_and_versioned_by_their_last_edit(
    site: GoogleSite, double: GoogleDouble
) -> None:
    made = {kind: site.put(f"a {kind}", kind, kind=GOOGLE + kind) for kind in ("document", "spreadsheet", "drawing")}
    named = site.put("deck.pptx", "slides", kind=GOOGLE + "presentation")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        texts = {kind: connector.fetch(before[key]) for kind, key in made.items()}
        site.share(made["document"], "person:ana")
        site.rename(made["drawing"], "another")
        site.change(made["spreadsheet"], "more")
        after, _ = synced(connector, before, cursor)
    assert texts == {kind: kind.encode() for kind in made}
    assert [before[key].name for key in made.values()] == ["a document.docx", "a spreadsheet.xlsx", "a drawing.pdf"]
    assert before[named].name == "deck.pptx"
    assert not any(before[key].hashed for key in [*made.values(), named])
    changed = {kind for kind, key in made.items() if before[key].revision != after[key].revision}
    assert changed == {"spreadsheet"}, "sharing raises Google's own version number, and changes no text"


def test_what_google_hands_out_no_file_of_is_told(site: GoogleSite, double: GoogleDouble) -> None:
    form = site.put("form", kind=GOOGLE + "form")
    kept = site.put("kept.txt", more={"capabilities": {"canDownload": False}})
    for kind in ("folder", "shortcut"):
        site.put(kind, kind=GOOGLE + kind)
    large = site.put("large", "x" * 100, kind=GOOGLE + "document")
    abusive = site.put("abusive.exe", more={"abusive": True})
    double.export_limit = 99
    with closing(site.connect()) as connector:
        found, _, pages = listing(connector)
        with pytest.raises(UnreadableDocument, match="10 MB") as refused:
            connector.fetch(found[large])
        with pytest.raises(UnreadableDocument, match="cannotDownloadAbusiveFile"):
            connector.fetch(found[abusive])
        rights = dict(one for page in connector.permissions() for one in page)
    assert refused.value.verdict == "too_large"
    assert found.keys() == {large, abusive} == rights.keys()
    assert {key for page in pages for key, _ in page.refused} == {form, kept}


def test_a_document_longer_than_the_limit_is_not_taken(site: GoogleSite) -> None:
    paper = site.add("paper", "x" * 500)
    with closing(site.connect(max_document_bytes=499)) as connector, pytest.raises(UnreadableDocument) as refused:
        connector.fetch(listing(connector)[0][paper])
    assert refused.value.verdict == "too_large"


def test_the_same_bytes_have_the_same_version_wherever_they_lie(site: GoogleSite) -> None:
    one, other = site.add("one", "the same"), site.add("other", "the same")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
    assert found[one].revision == found[other].revision
    assert found[one].hashed and found[other].hashed


def test_what_is_put_into_the_bin_goes_and_what_is_taken_out_of_it_comes_back(
    site: GoogleSite, double: GoogleDouble
) -> None:
    paper, other = site.add("paper", "text"), site.add("other", "text")
    with closing(site.connect()) as connector:
        known, cursor, _ = listing(connector)
        double.change(file_of(paper), trashed=True)
        assert listing(connector)[0].keys() == {other}
        known, cursor = synced(connector, known, cursor)
        assert known.keys() == {other}
        double.change(file_of(paper), trashed=False)
        known, cursor = synced(connector, known, cursor)
        assert known.keys() == {paper, other}


def test_a_folder_in_the_bin_takes_what_was_in_it_along(site: GoogleSite, double: GoogleDouble) -> None:
    folder = site.put("folder", kind=GOOGLE + "folder")
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        double.change(file_of(folder), trashed=True)
        with pytest.raises(CursorExpired):
            listing(connector, cursor)


def test_what_others_share_is_theirs_and_its_end_is_not_the_documents(own: GoogleSite, double: GoogleDouble) -> None:
    """Two people's drives are read, and one of them loses sight of a document of the other."""
    ana = double.user("ana")
    theirs = f"{ana}/{double.put('theirs.txt', 'text', owner=address('ana'))}"
    mine = own.add("mine", "text")
    double.grant(file_of(theirs), permission("user", emailAddress=address("owner")))
    with closing(own.connect(users=[address("owner"), ana])) as connector:
        known, cursor, pages = listing(connector)
        assert known.keys() == {mine, theirs}
        assert sum(len(page.listed) for page in pages) == 2
        double.write(file_of(theirs), "changed")
        known, cursor = synced(connector, known, cursor)
        assert known.keys() == {mine, theirs}
        double.grant(file_of(theirs))
        known, cursor = synced(connector, known, cursor)
        assert known.keys() == {mine, theirs}
        assert connector.fetch(known[theirs]) == b"changed"
        double.move(file_of(theirs), owner=address("owner"))
        known, cursor = synced(connector, known, cursor)
    assert known.keys() == {mine, f"{own.owner}/{file_of(theirs)}"}


def test_a_document_that_leaves_a_shared_drive_is_gone_from_it(drive: GoogleSite, double: GoogleDouble) -> None:
    double.drive("0AOther")
    paper, other = drive.add("paper", "text"), drive.add("other", "text")
    with closing(drive.connect(shared_drives=[TEAM, "0AOther"])) as connector:
        known, cursor, _ = listing(connector)
        double.move(file_of(paper), drive="0AOther")
        known, cursor = synced(connector, known, cursor)
    assert known.keys() == {other, f"0AOther/{file_of(paper)}"}


def test_a_document_that_changes_while_it_is_listed_is_seen_by_the_next_listing(
    site: GoogleSite, double: GoogleDouble
) -> None:
    papers = [site.add(f"paper {number}", "text") for number in range(7)]
    with closing(site.connect()) as connector:
        known, cursor = {}, ""
        for number, page in enumerate(connector.changes(None)):
            known |= {one.external_id: one for one in page.listed}
            cursor = page.cursor
            if number == 0:
                site.change(papers[0], "changed meanwhile")
                double.change(file_of(papers[1]), trashed=True)
        after, _ = synced(connector, known, cursor)
        assert connector.fetch(after[papers[0]]) == b"changed meanwhile"
    assert after.keys() == {papers[0], *papers[2:]}
    assert after[papers[0]].revision != known[papers[0]].revision


def test_all_drives_are_found_and_one_that_goes_expires_the_cursor(drive: GoogleSite, double: GoogleDouble) -> None:
    double.drive("0AOther")
    double.drives["0ANotOurs"] = [permission("user", "organizer", emailAddress=address("owner"))]
    here = drive.add("here", "text")
    there = f"0AOther/{double.put('there.txt', drive='0AOther')}"
    mine = f"{drive.owner}/{double.put('mine.txt', owner=address('owner'))}"
    double.put("not ours.txt", drive="0ANotOurs")
    with closing(drive.connect(shared_drives=["*"], users=["*"])) as connector:
        known, cursor, _ = listing(connector)
        assert known.keys() == {here, there, mine}
        assert {connector.fetch(one) for one in known.values()} == {b"text", b""}
        del double.drives["0AOther"]
        with pytest.raises(CursorExpired):
            listing(connector, cursor)
        assert listing(connector)[0].keys() == {here, mine}
        _, cursor, _ = listing(connector)
        double.drive("0ANew")
        new = f"0ANew/{double.put('new.txt', drive='0ANew')}"
        assert listing(connector, cursor)[0].keys() == {new}
    with closing(drive.connect(shared_drives=["0ANotOurs"])) as connector, pytest.raises(SourceRefused, match="none"):
        listing(connector)


def test_a_search_that_was_not_finished_is_no_listing(site: GoogleSite, double: GoogleDouble) -> None:
    site.add("paper", "text")
    double.incomplete = True
    with closing(site.connect()) as connector, pytest.raises(Transient):
        listing(connector)


def test_too_many_questions_are_no_refusal(site: GoogleSite, double: GoogleDouble) -> None:
    site.add("paper", "text")
    double.too_often = ["userRateLimitExceeded", "rateLimitExceeded"]
    with closing(site.connect()) as connector:
        assert len(listing(connector)[0]) == 1
        assert len(site.waited()) == 2
        double.too_often = ["rateLimitExceeded"] * 100
        with pytest.raises(Transient):
            listing(connector)
        double.too_often = ["insufficientPermissions"]
        with pytest.raises(SourceRefused):
            listing(connector)


def test_a_token_that_expires_within_a_listing_is_renewed(site: GoogleSite, double: GoogleDouble) -> None:
    for number in range(8):
        site.add(f"paper {number}", "text")
    with closing(site.connect()) as connector:
        found = set()
        for page in connector.changes(None):
            found |= {one.external_id for one in page.listed}
            double.expire_tokens()
    assert len(found) == 8


@pytest.mark.parametrize(
    "secret", ["not json", '{"private_key": "-----BEGIN PRIVATE KEY-----x", "client_email": "a"}', "[1]", "{}"]
)
def test_a_key_that_cannot_be_read_is_refused_without_being_shown(drive: GoogleSite, secret: str) -> None:
    with pytest.raises(SourceRefused) as refused:
        drive.connect(secret)
    assert refused.value.__cause__ is None and secret not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"drive_url": "http://drive.example"},
        {"token_url": "http://token.example"},
        {"shared_drives": ()},
        {"customer": "my_customer"},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_or_send_a_secret_in_the_clear_are_refused(wrong: dict[str, Any]) -> None:
    right = {"customer": CUSTOMER, "admin": ADMIN, "shared_drives": ["*"]}
    assert GoogleDriveSettings.model_validate(right).issuer == ISSUER
    with pytest.raises(ValidationError):
        GoogleDriveSettings.model_validate(right | wrong)


def test_who_may_read_is_opened_through_groups(site: GoogleSite) -> None:
    paper = site.add("paper", "text")
    site.set_group("inner", "person:ana")
    site.set_group("outer", "group:inner", "person:ben")
    site.share(paper, "group:outer")
    with closing(site.connect()) as connector:
        who = people(decisions(connector)[paper], groups_of(connector))
    assert {site.grantee("person:ana"), site.grantee("person:ben")} <= who


def test_whoever_is_suspended_between_two_looks_is_let_in_no_more(site: GoogleSite, double: GoogleDouble) -> None:
    ana, paper = double.user("ana"), site.add("paper", "text")
    site.share(paper, "person:ana")
    with closing(site.connect()) as connector:
        before = dict(one for page in connector.permissions() for one in page)
        double.user("ana", suspended=True)
        after = dict(one for page in connector.permissions() for one in page)
    assert user(ana) in before[paper].lists.allow
    assert user(ana) not in after[paper].lists.allow


def test_a_listing_goes_on_within_the_drive_where_it_stopped(drive: GoogleSite, double: GoogleDouble) -> None:
    double.drive("0AEarlier")
    double.put("first.txt", drive="0AEarlier")
    later = [drive.add(f"paper {number}", "text") for number in range(5)]
    with closing(drive.connect(shared_drives=["*"])) as connector:
        pages = connector.changes(None)
        first, second = next(pages), next(pages)
        rest, _, more = listing(connector, second.cursor)
    assert first.whole and more[-1].whole and more[-1].last
    assert {one.external_id for one in second.listed} == set(later[:3])
    assert rest.keys() == set(later[3:])


def test_somebody_without_a_drive_stops_nobody_elses(own: GoogleSite, double: GoogleDouble) -> None:
    mine, ana = own.add("mine", "text"), double.user("ana")
    theirs = f"{ana}/{double.put('theirs.txt', 'text', owner=address('ana'))}"
    double.without_drive = {address("ana")}
    with closing(own.connect(users=["*"])) as connector:
        known, cursor, _ = listing(connector)
        rights = dict(one for page in connector.permissions() for one in page)
        assert known.keys() == rights.keys() == {mine}
        double.without_drive = set()
        known, cursor = synced(connector, known, cursor)
        assert known.keys() == {mine, theirs}
        double.without_drive = {address("ana")}
        with pytest.raises(CursorExpired):
            listing(connector, cursor)
    double.without_drive = {ADMIN}
    with closing(own.connect(shared_drives=[TEAM])) as connector, pytest.raises(SourceRefused):
        listing(connector)


def test_files_whose_permissions_are_not_named_are_each_asked(drive: GoogleSite, double: GoogleDouble) -> None:
    papers = {name: drive.put(f"{name}.txt", more={"permissionIds": []}) for name in ("ana", "ben")}
    for name, paper in papers.items():
        drive.share(paper, f"person:{name}")
    with closing(drive.connect()) as connector:
        rights = decisions(connector)
    for name, paper in papers.items():
        assert rights[paper].lists.allow == {drive.grantee(f"person:{name}"), user(double.user("admin"))}
