"""Slack's export, unpacked and as the ZIP file that Slack gives."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from conformance import ConnectorContract, PermissionContract, decisions, listing, people, synced

from core.errors import SourceRefused, Transient, UnreadableDocument
from core.principals import Grantee, GranteeKind
from ingest.connectors import slack_export
from ingest.connectors.protocol import CursorExpired, Group
from ingest.connectors.slack_export import SlackExport, SlackExportSettings, open_slack_export
from ingest.parsing.html import parse_html

TEAM = "T0HOME"


class ExportSite:
    """An export as it is given out again and again: each document is a day of a channel of its own."""

    nests = False

    def __init__(self, folder: Path, zipped: bool) -> None:
        self.folder, self.zipped = folder, zipped
        self.path = folder.with_suffix(".zip") if zipped else folder
        self.users: list[dict[str, Any]] = []
        self.channels: list[dict[str, Any]] = []
        self.days: dict[str, list[dict[str, Any]]] = {}
        self._groups: dict[str, list[str]] = {}
        self._channel_of: dict[str, str] = {}
        self._count = 0
        self._is_down = False
        self._zipped: dict[str, Any] = {}
        self.user("U1", "Ana")

    def user(self, user_id: str, name: str, **flags: Any) -> str:
        profile = {"real_name": name, "display_name": "", "email": f"{name.lower()}@example.com"}
        self.users.append({"id": user_id, "team_id": TEAM, "name": name.lower(), "profile": profile} | flags)
        return user_id

    def channel(self, name: str, *members: str, **flags: Any) -> str:
        self._count += 1
        key = f"C{self._count:03}"
        self.channels.append({"id": key, "name": name, "members": list(members)} | flags)
        return key

    def post(self, channel: str, ts: str, text: str, day: str = "2026-01-06", **more: Any) -> None:
        message = {"type": "message", "user": "U1", "ts": ts, "text": text} | more
        self.days.setdefault(f"{self._of(channel)['name']}/{day}.json", []).append(message)

    def write(self) -> None:
        private = [one for one in self.channels if one.get("is_private")]
        files = {
            "users.json": self.users,
            "channels.json": [one for one in self.channels if one not in private],
            "groups.json": private,
            "integration_logs.json": [],
        } | self.days
        for old in self.folder.rglob("*.json"):
            if old.relative_to(self.folder).as_posix() not in files:
                old.unlink()
        for name, content in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(content)
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
        if self.zipped and (files != self._zipped or not self.path.exists()):
            self._zipped = deepcopy(files)
            with zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(self.folder.rglob("*.json")):
                    archive.write(file, f"Home Slack export/{file.relative_to(self.folder)}")

    def connect(self, **settings: object) -> SlackExport:
        if not self._is_down:
            self.write()
        given = {"path": self.path, "page_documents": 1, "workspace_url": "https://home.slack.com"} | settings
        return open_slack_export(SlackExportSettings.model_validate(given), None)

    def connect_unwelcome(self) -> None:
        return None

    def _of(self, key: str) -> dict[str, Any]:
        return next(one for one in self.channels if one["id"] == key.partition("/")[0])

    def _messages(self, external_id: str) -> list[dict[str, Any]]:
        return self.days[f"{self._of(external_id)['name']}/2026-01-06.json"]

    def add(self, name: str, text: str) -> str:
        channel = self.channel(name.replace(" ", "-"), "U1")
        self.post(channel, f"1767693{self._count:03}.000100", f"{name}: {text}")
        return f"{channel}/2026-01-06"

    def change(self, external_id: str, text: str) -> None:
        self._messages(external_id)[0] |= {"text": text, "edited": {"user": "U1", "ts": "1767694000.000000"}}

    def rename(self, external_id: str, name: str) -> bool:
        messages = self.days.pop(f"{self._of(external_id)['name']}/2026-01-06.json")
        self._of(external_id)["name"] = name
        self.days[f"{name}/2026-01-06.json"] = messages
        # Its place is told by its id: only the name is another.
        return False

    def remove(self, external_id: str) -> None:
        del self.days[f"{self._of(external_id)['name']}/2026-01-06.json"]
        self.write()

    def throttle(self, times: int, seconds: float) -> bool:
        return False

    def waited(self) -> list[float]:
        return []

    def go_down(self) -> None:
        self._is_down = True
        self.path.rename(self.path.with_suffix(".away"))

    def come_back(self) -> None:
        self._is_down = False
        self.path.with_suffix(".away").rename(self.path)

    def expire_cursors(self) -> bool:
        return False

    def _ids(self, *who: str) -> list[str]:
        found: list[str] = []
        for one in who:
            kind, _, name = one.partition(":")
            key = f"U{name.upper()}"
            if kind == "group":
                found += self._ids(*self._groups[name])
                continue
            if all(user["id"] != key for user in self.users):
                self.user(key, name.title())
            found.append(key)
        return found

    def share(self, external_id: str, *who: str) -> None:
        self._of(external_id).update(is_private=True, members=self._ids(*who))
        for one in who:
            self._channel_of[one] = external_id.partition("/")[0]

    def set_group(self, name: str, *members: str) -> None:
        self._groups[name] = list(members)

    def grantee(self, who: str) -> Grantee:
        if who.startswith("group:"):
            return self.group(self._channel_of[who])
        return person(self._ids(who)[0])

    def group(self, subject: str) -> Grantee:
        with closing(self.connect()) as connector:
            return next(one.group for one in connector.groups() if one.group.subject == subject)

    def hide_permissions(self, external_id: str) -> bool:
        del self._of(external_id)["members"]
        return True


def person(user_id: str) -> Grantee:
    return Grantee(GranteeKind.USER, f"slack:{TEAM}", user_id)


@pytest.fixture(params=["unpacked", "zip"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ExportSite]:
    yield ExportSite(tmp_path / "export", request.param == "zip")


class TestExport(ConnectorContract, PermissionContract):
    """What every source keeps to."""


@pytest.fixture
def export(tmp_path: Path) -> ExportSite:
    return ExportSite(tmp_path / "export", True)


def connected_groups(connector: SlackExport) -> dict[Grantee, Group]:
    return {one.group: one for one in connector.groups()}


def test_a_thread_is_one_document_over_all_its_days(export: ExportSite) -> None:
    channel = export.channel("general", "U1")
    first, reply = "1767693600.000100", "1767867200.000200"
    export.post(channel, first, "the question", thread_ts=first, reply_count=2)
    export.post(channel, "1767693700.000100", "beside it")
    export.post(channel, reply, "the late answer", day="2026-01-08", thread_ts=first)
    export.post(channel, "1767867300.000100", "<@U1> joined", day="2026-01-08", subtype="channel_join")
    with closing(export.connect()) as connector:
        found, cursor, _ = listing(connector)
        assert found.keys() == {f"{channel}/{first}", f"{channel}/2026-01-06"}
        thread = parse_html(connector.fetch(found[f"{channel}/{first}"]))
        assert "the question" in thread.text and "the late answer" in thread.text and "beside" not in thread.text
        assert thread.title == "#general: the question"
        assert "beside it" in connector.fetch(found[f"{channel}/2026-01-06"]).decode()
    assert found[f"{channel}/{first}"].uri == f"https://home.slack.com/archives/{channel}/p1767693600000100"

    export.days["general/2026-01-08.json"][0]["text"] = "the answer, edited"
    with closing(export.connect()) as connector:
        after, _ = synced(connector, found, cursor)
    assert after[f"{channel}/{first}"].revision != found[f"{channel}/{first}"].revision
    assert after[f"{channel}/2026-01-06"].revision == found[f"{channel}/2026-01-06"].revision


def test_a_thread_whose_beginning_is_not_in_the_export_is_a_document_too(export: ExportSite) -> None:
    channel = export.channel("general", "U1")
    export.post(channel, "1767693700.000100", "an answer", thread_ts="1500000000.000100")
    with closing(export.connect()) as connector:
        found, _, _ = listing(connector)
        page = parse_html(connector.fetch(found[f"{channel}/1500000000.000100"]))
    assert page.title == "#general: Thread" and "an answer" in page.text


def test_a_public_channel_is_for_full_members_and_a_private_one_for_its_own(export: ExportSite) -> None:
    export.user("UGUEST", "Guest", is_restricted=True)
    export.user("UGONE", "Gone", deleted=True)
    export.user("U2", "Ben")
    public, private = export.add("public", "text"), export.add("private", "text")
    export._of(public)["members"] += ["UGUEST", "UGONE", "UUNKNOWN"]
    export._of(private)["is_private"] = True
    with closing(export.connect()) as connector:
        rights, groups = decisions(connector), connected_groups(connector)
    assert people(rights[public], groups) == {person("U1"), person("U2"), person("UGUEST")}
    assert people(rights[private], groups) == {person("U1")}


def test_an_old_export_fills_no_group_that_the_workspace_tells(export: ExportSite) -> None:
    export.add("paper", "text")
    with closing(export.connect()) as connector:
        assert all(group.issuer.startswith("slack-export:") for group in connected_groups(connector))


def test_an_export_that_is_as_it_was_is_not_read_again(export: ExportSite, monkeypatch: pytest.MonkeyPatch) -> None:
    export.add("paper", "text")
    with closing(export.connect()) as connector:
        _, cursor, _ = listing(connector)
        monkeypatch.setattr(SlackExport, "_pages", lambda *_: pytest.fail("it was listed"))
        assert [len(page.listed) for page in connector.changes(cursor)] == [0]


def test_an_export_that_is_replaced_while_it_is_listed_is_listed_anew(export: ExportSite) -> None:
    for number in range(3):
        export.add(f"paper {number}", "text")
    with closing(export.connect()) as connector:
        stopped = next(iter(connector.changes(None)))
    export.add("another", "text")
    with closing(export.connect()) as connector, pytest.raises(CursorExpired):
        list(connector.changes(stopped.cursor))


def test_direct_messages_are_left_alone_unless_they_are_asked_for(tmp_path: Path) -> None:
    site = ExportSite(tmp_path / "export", False)
    site.write()
    (site.folder / "dms.json").write_text(json.dumps([{"id": "D1", "members": ["U1"]}]))
    (site.folder / "D1").mkdir()
    message = {"type": "message", "user": "U1", "ts": "1767693600.000100", "text": "between us"}
    (site.folder / "D1" / "2026-01-06.json").write_text(json.dumps([message]))
    settings = {"path": site.folder}
    with closing(SlackExport(SlackExportSettings.model_validate(settings))) as connector:
        assert listing(connector)[0] == {}
    with closing(SlackExport(SlackExportSettings.model_validate(settings | {"direct_messages": True}))) as connector:
        rights = decisions(connector)
        assert people(rights["D1/2026-01-06"], connected_groups(connector)) == {person("U1")}


def test_nothing_outside_the_export_is_read(tmp_path: Path) -> None:
    site = ExportSite(tmp_path / "export", False)
    secret = tmp_path / "secret" / "2026-01-06.json"
    secret.parent.mkdir()
    secret.write_text(json.dumps([{"type": "message", "ts": "1767693600.000100", "text": "secret"}]))
    site.channel("linked", "U1")
    site.channel("../secret", "U1")
    site.channel("file", "U1")
    site.write()
    (site.folder / "linked").symlink_to(secret.parent)
    (site.folder / "file").mkdir()
    (site.folder / "file" / secret.name).symlink_to(secret)
    with closing(SlackExport(SlackExportSettings(path=site.folder))) as connector:
        for page in connector.changes(None):
            assert not page.listed


def test_a_day_that_cannot_be_read_is_reported_and_the_others_are_listed(
    site: ExportSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad, long = (site.add(name, "text") for name in ("good", "bad", "long"))
    site.days["bad/2026-01-06.json"] = {"not": "a list"}  # type: ignore[assignment]
    site.days["long/2026-01-06.json"][0]["text"] = "x" * 20_000
    monkeypatch.setattr(slack_export, "FILE_BYTES", 10_000)
    with closing(site.connect()) as connector:
        found, _, pages = listing(connector)
    assert found.keys() == {good}
    assert {name for page in pages for name, _ in page.refused} == {bad, long}


def test_an_archive_that_is_no_export_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    for content in (path.read_bytes(), b"no zip"):
        path.write_bytes(content)
        with closing(SlackExport(SlackExportSettings(path=path))) as connector, pytest.raises(SourceRefused):
            listing(connector)
    path.unlink()
    with closing(SlackExport(SlackExportSettings(path=path))) as connector, pytest.raises(Transient):
        listing(connector)


def test_a_document_over_the_limit_is_not_read(export: ExportSite) -> None:
    key = export.add("big", "x" * 5000)
    export.write()
    with closing(SlackExport(SlackExportSettings(path=export.path), max_document_bytes=1000)) as connector:
        one = listing(connector)[0][key]
        with pytest.raises(UnreadableDocument):
            connector.fetch(one)


def test_a_file_that_slack_names_with_a_token_is_told_without_it(export: ExportSite) -> None:
    channel = export.channel("general", "U1")
    file = {"id": "F1", "name": "plan.pdf", "url_private": "https://files.slack.com/plan.pdf?t=xoxe-secret"}
    export.post(channel, "1767693600.000100", "see", files=[file])
    with closing(export.connect()) as connector:
        found, _, _ = listing(connector)
        data = connector.fetch(found[f"{channel}/2026-01-06"])
    assert b"plan.pdf" in data and b"xoxe" not in data + repr(found).encode()


def test_an_export_in_a_folder_that_was_touched_is_read_again(tmp_path: Path) -> None:
    site = ExportSite(tmp_path / "export", False)
    key = site.add("paper", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        os.utime(site.folder / "paper" / "2026-01-06.json", ns=(1, 1))
        assert key in listing(connector, cursor)[0]
