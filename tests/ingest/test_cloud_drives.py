"""SharePoint and Google Drive from end to end: what is there is found here by who may read it there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from doubles.google_drive import ACCOUNT, ADMIN, CUSTOMER, DOMAIN, GoogleDouble, permission
from doubles.graph import CLIENT, TENANT, GraphDouble, of_group, person

from core.principals import Grantee, GranteeKind, Principal, parse_grantee, parse_principal
from governance.access import mirrored as accounts
from ingest.sources import SystemRequest, stand_system
from wiring.home import Home
from workers.run import run_next
from workers.sweeping import sync_job

ANA, BEN, EVE = (parse_principal(f"user:{name}") for name in ("ana", "ben", "eve"))
SECRET = "FOOTNOTE_SECRET_CLOUD_DRIVE"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def own(home: Home, who: Principal, issuer: str, account: str) -> None:
    with home.catalog.write() as session:
        accounts.link_account(session, parse_grantee(str(who)), Grantee(GranteeKind.USER, issuer, account))


def sync(home: Home, source_id: int) -> None:
    home.jobs.enqueue([sync_job(source_id)])
    while run_next(home, ["ingest"]):
        pass
    found = home.connections.freshness(source_id)
    assert found is not None and found.problem is None


def finds(home: Home, who: Principal, words: str) -> set[str]:
    return {hit.passage.external_id for hit in home.searcher.search(words, who, 10).hits}


@pytest.fixture
def graph() -> Iterator[GraphDouble]:
    with closing(GraphDouble("the client secret")) as double:
        yield double


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def google(key: rsa.RSAPrivateKey) -> Iterator[GoogleDouble]:
    with closing(GoogleDouble(key.public_key())) as double:
        yield double


@on_sqlite
def test_sharepoint_is_found_by_who_may_read_it_there(
    home: Home, graph: GraphDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "the client secret")
    ana, ben = graph.user("ana"), graph.user("ben")
    team = graph.group("inner", ben)
    outer = graph.group("outer", team)
    graph.site("/sites/team", "b!docs")
    graph.grant("b!docs", "b!docs-root", person(ana))
    folder = graph.put("b!docs", "folder", kind="folder")
    graph.grant("b!docs", folder, of_group(outer))
    for_ana = graph.put("b!docs", "first.md", "# Wombats\n\nThe wombat digs at dusk.")
    for_ben = graph.put("b!docs", "second.md", "# Wombats\n\nThe wombat sleeps at noon.", folder=folder)
    settings = {
        "tenant": TENANT,
        "client_id": CLIENT,
        "graph_url": graph.graph_url,
        "login_url": graph.login_url,
        "sites": [f"{graph.sharepoint_url}/sites/team"],
    }
    own(home, ANA, f"graph:{TENANT}", ana)
    own(home, BEN, f"graph:{TENANT}", ben)
    source = stand_system(home.catalog, SystemRequest("team", "sharepoint", settings, f"env:{SECRET}", (), None, None))
    sync(home, source)

    words = "when does the wombat sleep"
    assert finds(home, ANA, words) == {f"b!docs/{for_ana}"}
    assert finds(home, BEN, words) == {f"b!docs/{for_ben}"}
    assert finds(home, EVE, words) == set()

    graph.group("inner")
    graph.grant("b!docs", for_ana, person(ben))
    sync(home, source)
    assert finds(home, ANA, words) == set()
    assert finds(home, BEN, words) == {f"b!docs/{for_ana}"}


@on_sqlite
def test_google_drive_is_found_by_who_may_read_it_there(
    home: Home, google: GoogleDouble, key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv(SECRET, json.dumps({"client_email": ACCOUNT, "private_key": private}))
    ana, ben = google.user("ana"), google.user("ben")
    google.group("team", {"id": ben, "type": "USER"})
    google.drive("0ATeam", permission("user", emailAddress=f"ana@{DOMAIN}"))
    in_drive = google.put("first.md", "# Wombats\n\nThe wombat digs at dusk.", drive="0ATeam")
    own_file = google.put("second.md", "# Wombats\n\nThe wombat sleeps at noon.", owner=f"ana@{DOMAIN}")
    settings = {
        "customer": CUSTOMER,
        "admin": ADMIN,
        "shared_drives": ["0ATeam"],
        "users": [f"ana@{DOMAIN}"],
        "drive_url": f"{google.url}/drive/v3",
        "directory_url": f"{google.url}/admin/directory/v1",
        "token_url": f"{google.url}/token",
    }
    own(home, ANA, f"google:{CUSTOMER}", ana)
    own(home, BEN, f"google:{CUSTOMER}", ben)
    source = stand_system(
        home.catalog, SystemRequest("drive", "google-drive", settings, f"env:{SECRET}", (), None, None)
    )
    sync(home, source)

    words = "when does the wombat sleep"
    assert finds(home, ANA, words) == {f"0ATeam/{in_drive}", f"{ana}/{own_file}"}
    assert finds(home, BEN, words) == set()

    google.grant(own_file, permission("group", emailAddress=f"team@{DOMAIN}"))
    google.change(in_drive, trashed=True)
    sync(home, source)
    assert finds(home, ANA, words) == finds(home, BEN, words) == {f"{ana}/{own_file}"}
    assert finds(home, EVE, words) == set()
