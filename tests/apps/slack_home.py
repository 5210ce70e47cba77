"""A home with documents, people and linked Slack accounts, and its bot before a double of Slack."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slack_double import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, TEAM, Message, SlackDouble, request_of, wait_for
from starlette.testclient import TestClient

from apps.administration import Administration
from apps.slack.app import SlackApp, slack_app
from apps.slack.serving import PATH, http_app
from core.principals import parse_grantee, parse_principal
from core.settings import Settings
from governance.access.rules import AccessLists
from governance.identity import ADMINISTRATOR
from governance.slack_accounts import SlackUser
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

PUBLIC_URL = "https://footnote.example.org"
LEAVE = b"# Leave\n\n## Annual leave\n\nFull-time employees have 27 days of annual leave.\n"
MERGER = b"# Merger\n\n## Price\n\nThe agreed purchase price is 18 million euros. Nobody else may know.\n"
ABOUT_LEAVE = "How many days of annual leave do full-time employees have?"
ABOUT_MERGER = "What is the agreed purchase price?"
SECRET = "18 million"


@dataclass
class SlackHome:
    """The home, its bot and the Slack around it. Ana may read everything, Ben only about leave."""

    home: Home
    slack: SlackDouble
    app: SlackApp
    http: TestClient
    documents: dict[str, str] = field(default_factory=dict)

    @property
    def administration(self) -> Administration:
        return Administration(self.home, ADMINISTRATOR, "test")

    def add(self, external_id: str, data: bytes, allow: Sequence[str], deny: Sequence[str] = ()) -> str:
        """Bring a document in; its id."""
        lists = AccessLists(frozenset(map(parse_grantee, allow)), frozenset(map(parse_grantee, deny)))
        report, document_id = self.administration.upload("handbook", external_id, data, lists)
        assert not report.failures and document_id
        self.documents[external_id] = document_id
        return document_id

    def link(self, user: str, principal: str) -> None:
        """Make a Slack account known to Slack, and prove that it is this person's."""
        self.slack.person(user)
        code = self.home.slack_accounts.code(parse_principal(principal), "test")
        self.home.slack_accounts.link(SlackUser(TEAM, user), code)

    def deliver(self, payload: dict[str, Any], **signing: Any) -> int:
        """Deliver over HTTP, signed; the status of the ack."""
        body, headers = request_of(payload, **signing)
        return self.http.post(PATH, content=body, headers=headers).status_code

    def settle(self) -> None:
        """Wait until the bot has done what it took."""
        work, notices = self.app.bot.work, self.app.bot.notices
        assert wait_for(lambda: work.idle() and notices.idle())

    def after(self, payload: dict[str, Any], **signing: Any) -> list[Message]:
        """Deliver, wait, and return the messages that came of it."""
        before = len(self.slack.messages)
        assert self.deliver(payload, **signing) == 200
        self.settle()
        return self.slack.messages[before:]

    def audit(self, action: str) -> list[dict[str, Any]]:
        """The contents of the records of an action, with what followed under the same id."""
        found: dict[str, dict[str, Any]] = {}
        for one in reversed(self.home.audit_reader.newest(limit=1_000)):
            found.setdefault(one.record.audit_id, {}).update(one.content or {})
        return [content for content in found.values() if content.get("action") == action]


def slack_settings(folder: Path, double: SlackDouble, **more: object) -> Settings:
    return Settings.model_validate(
        {
            "home": folder,
            "embedding_model": "hashing",
            "slack_bot_token": BOT_TOKEN,
            "slack_app_token": APP_TOKEN,
            "slack_signing_secret": SIGNING_SECRET,
            "slack_teams": TEAM,
            "slack_api_url": double.api_url,
            "public_url": PUBLIC_URL,
            "log_level": "warning",
            **more,
        }
    )


@contextmanager
def slack_home(settings: Settings, double: SlackDouble, **bounds: int) -> Iterator[SlackHome]:
    """A home of its own with its bot, called over HTTP."""
    documents = _filled()
    shutil.copytree(documents.folder, settings.home)
    for user in ("UANA", "UBEN"):
        double.person(user)
    double.channel("CTEAM", "UANA", "UBEN")
    with open_home(settings) as home, slack_app(home, over_http=True, **bounds) as app:
        client = TestClient(http_app(app.bolt), raise_server_exceptions=False)
        yield SlackHome(home, double, app, client, dict(documents.ids))


@dataclass(frozen=True)
class _Filled:
    """A home with documents and linked accounts, closed, to be copied; and the documents' ids."""

    folder: Path
    ids: dict[str, str]


@functools.cache
def _filled() -> _Filled:
    """Made once: parsing in the sandbox takes longer than a test."""
    folder = Path(tempfile.mkdtemp(prefix="footnote-slack-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = Settings(home=folder / "home", embedding_model="hashing", audit_limit_s=30.0)
    init_home(settings)
    ids: dict[str, str] = {}
    with open_home(settings) as home:
        administration = Administration(home, ADMINISTRATOR, "test")
        for name, data, allow in (("leave.md", LEAVE, ["everyone"]), ("merger.md", MERGER, ["user:ana", "user:cleo"])):
            lists = AccessLists(frozenset(map(parse_grantee, allow)))
            ids[name] = administration.upload("handbook", name, data, lists)[1] or ""
        for user, name in (("UANA", "user:ana"), ("UBEN", "user:ben")):
            code = home.slack_accounts.code(parse_principal(name), "test")
            home.slack_accounts.link(SlackUser(TEAM, user), code)
    return _Filled(settings.home, ids)
