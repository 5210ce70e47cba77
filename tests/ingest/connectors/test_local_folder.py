"""A folder of the machine: what every source keeps to, and who may read by the rules that stand in it."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conformance import ConnectorContract, decisions, listing, readers

from core.errors import NotFound, SourceRefused, UnreadableDocument
from core.principals import parse_grantee
from governance.access.rules import NOBODY
from ingest.connectors.local_folder import LocalFolder, path_of
from ingest.connectors.protocol import Connector
from ingest.folder import read_folder

ANA, BEN, STAFF = (parse_grantee(name) for name in ("user:ana", "user:ben", "group:staff"))


class FolderSite:
    """A folder that people work in; `share` writes the rules that stand at its root."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path, self.home = path, home
        self.path.mkdir()

    def connect(self) -> Connector:
        return LocalFolder(self.path, lambda: read_folder(self.path, self.home, NOBODY, None), 1_000, page_files=3)

    def connect_unwelcome(self) -> None:
        return None

    def add(self, name: str, text: str) -> str:
        (self.path / f"{name}.md").write_text(text)
        return f"{name}.md"

    def change(self, external_id: str, text: str) -> None:
        (self.path / external_id).write_text(text)

    def rename(self, external_id: str, name: str) -> bool:
        return False

    def remove(self, external_id: str) -> None:
        (self.path / external_id).unlink()

    def throttle(self, times: int, seconds: float) -> bool:
        return False

    def waited(self) -> list[float]:
        return []

    def go_down(self) -> None:
        self.path.rename(self.path.with_suffix(".unmounted"))

    def come_back(self) -> None:
        self.path.with_suffix(".unmounted").rename(self.path)

    def expire_cursors(self) -> bool:
        return False

    def rule(self, default: str = "[]", **rules: str) -> None:
        written = [f'  - {{path: "{name}.md", allow: {allow}}}' for name, allow in rules.items()]
        (self.path / "access.yaml").write_text("\n".join([f"default: {{allow: {default}}}", "rules:", *written]))


@pytest.fixture
def site(tmp_path: Path) -> FolderSite:
    return FolderSite(tmp_path / "org", tmp_path / "home")


class TestLocalFolder(ConnectorContract):
    """What every source keeps to."""


def test_exactly_who_may_read_a_file_is_named_by_its_rules(site: FolderSite) -> None:
    private, shared, plain = (site.add(name, "text") for name in ("private", "shared", "plain"))
    site.rule(private='["user:ana"]', shared='["user:ana", "group:staff"]')
    with closing(site.connect()) as connector:
        rights = decisions(connector)
        listed = listing(connector)[0]
    assert {name: readers(decision, {}) for name, decision in rights.items()} == {
        private: {ANA}, shared: {ANA, STAFF}, plain: set(),
    }  # fmt: skip
    assert {name: one.access for name, one in listed.items()} == rights


def test_a_permission_that_is_taken_is_seen_though_the_file_has_not_changed(site: FolderSite) -> None:
    paper = site.add("paper", "text")
    site.rule('["user:ana", "user:ben"]')
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.rule('["user:ben"]')
        after, _, _ = listing(connector, cursor)
        assert readers(decisions(connector)[paper], {}) == {BEN}
    assert after[paper].revision == before[paper].revision


def test_rules_that_cannot_be_read_let_nothing_be_listed(site: FolderSite) -> None:
    site.add("paper", "text")
    (site.path / "access.yaml").write_text("default: {allowed: [everyone]}")
    with closing(site.connect()) as connector:
        for asked in (connector.changes(None), connector.permissions()):
            with pytest.raises(SourceRefused, match=r"access\.yaml is invalid"):
                list(asked)


def test_a_file_that_cannot_be_read_is_refused_and_not_taken_for_gone(
    site: FolderSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = site.path / site.add("locked", "text")
    read = Path.read_bytes

    def reading(path: Path) -> bytes:
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return read(path)

    site.add("kept", "text")
    with closing(site.connect()) as connector, monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", reading)
        [page] = connector.changes(None)
    assert [one.external_id for one in page.listed] == ["kept.md"]
    [(external_id, reason)] = page.refused
    assert external_id == "locked.md" and "Permission denied" in reason


def test_a_file_beyond_the_limit_is_unreadable_and_one_that_is_gone_not_found(site: FolderSite) -> None:
    site.add("long", "x" * 1_001)
    site.add("gone", "text")
    with closing(site.connect()) as connector:
        found = listing(connector)[0]
        site.remove("gone.md")
        with pytest.raises(UnreadableDocument, match="limit is 1,000"):
            connector.fetch(found["long.md"])
        with pytest.raises(NotFound):
            connector.fetch(found["gone.md"])


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux")
def test_a_name_that_is_no_text_is_listed_and_fetched(site: FolderSite) -> None:
    odd = site.path / os.fsdecode(b"caf\xe9 100%.md")
    odd.write_text("its name is no UTF-8")
    with closing(site.connect()) as connector:
        [one] = listing(connector)[0].values()
        assert connector.fetch(one) == odd.read_bytes()
    assert one.name == "caf\\xe9 100%.md"
    assert path_of(odd.as_uri()) == odd
