"""A home with people, a few documents and the web application over it, for the tests of the web."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.testclient import TestClient

from apps.administration import Administration
from apps.web.app import create_app
from apps.web.sign_in import COOKIE, CSRF_HEADER
from core.principals import parse_grantee, parse_principal
from core.settings import Settings
from governance.access.rules import AccessLists
from governance.identity import ADMINISTRATOR, PERSON_SCOPES
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

LEAVE = b"# Leave\n\n## Annual leave\n\nFull-time employees have 27 days of annual leave.\n"
MERGER = (
    "# Merger 🚀\n\n## Price 💶\n\nThe board met 👩‍💻 in Cork. The agreed purchase price is 18 million euros. "
    "Nobody else may know.\n"
).encode()


@dataclass(frozen=True)
class WebHome:
    """An opened home, its application and the administrator's key."""

    home: Home
    app: FastAPI
    client: TestClient
    administrator: str

    @property
    def folder(self) -> Path:
        """A folder beside the home with one document in it."""
        folder = self.home.layout.folder.parent / "folder"
        folder.mkdir(exist_ok=True)
        (folder / "leave.md").write_bytes(LEAVE)
        return folder

    @property
    def administration(self) -> Administration:
        return Administration(self.home, ADMINISTRATOR, "test")

    def key(self, principal: str, scopes: Sequence[str] = PERSON_SCOPES) -> str:
        """The text of a new key."""
        return self.administration.create_key(principal, parse_principal(principal), scopes, None)[1]

    def add(self, external_id: str, data: bytes, allow: str) -> str:
        """Bring a document in; its id."""
        lists = AccessLists(frozenset({parse_grantee(allow)}))
        report, document_id = self.administration.upload("handbook", external_id, data, lists)
        assert not report.failures and document_id
        return document_id

    def signed_in(self, key: str) -> Mapping[str, str]:
        """The headers a signed-in browser sends with a change."""
        response = self.client.post("/v1/session", json={"key": key})
        token = response.cookies[COOKIE]
        self.client.cookies.clear()
        return {"Cookie": f"{COOKIE}={token}", CSRF_HEADER: response.json()["csrf"]}


def bearer(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}


@contextmanager
def web_home(folder: Path, **settings: object) -> Iterator[WebHome]:
    """A new home in `folder`, embedding by hashed words."""
    chosen = Settings.model_validate({"home": folder, "embedding_model": "hashing", **settings})
    administrator = init_home(chosen)
    with open_home(chosen) as home:
        app = create_app(home)
        client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        yield WebHome(home, app, client, administrator)
