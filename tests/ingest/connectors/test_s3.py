"""Buckets, read from moto's server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from bucket_server import ACCESS_KEY, BucketServer
from conformance import SECRET, ConnectorContract, listing, synced
from moto.s3.models import get_canned_acl
from pydantic import SecretStr, ValidationError

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors.api import Patience
from ingest.connectors.protocol import CursorExpired
from ingest.connectors.s3 import S3, S3Settings, open_s3

BUCKET = "papers"


class S3Site:
    def __init__(self) -> None:
        self.server = BucketServer(SECRET)
        self.server.start()
        self.server.backend.create_bucket(BUCKET, "us-east-1")
        self._slept: list[float] = []

    def connect(self, secret: str | None = SECRET, max_document_bytes: int = 1_000_000, **settings: object) -> S3:
        given = {
            "bucket": BUCKET,
            "endpoint_url": self.server.address,
            "access_key_id": ACCESS_KEY,
            "page_size": 3,
        } | settings
        return open_s3(
            S3Settings.model_validate(given),
            SecretStr(secret) if secret is not None else None,
            max_document_bytes=max_document_bytes,
            patience=Patience(sleep=self._slept.append),
        )

    def connect_unwelcome(self) -> S3:
        return self.connect(SECRET + "-of-yesterday")

    def put(self, key: str, content: bytes, storage: str = "STANDARD") -> None:
        self.server.backend.put_object(BUCKET, key, content, storage=storage)

    def add(self, name: str, text: str) -> str:
        self.put(f"folder/{name}.txt", text.encode())
        return f"folder/{name}.txt"

    def change(self, external_id: str, text: str) -> None:
        self.put(external_id, text.encode())

    def rename(self, external_id: str, name: str) -> bool:
        return False

    def remove(self, external_id: str) -> None:
        self.server.backend.delete_object(BUCKET, external_id)

    def throttle(self, times: int, seconds: float) -> bool:
        self.server.busy = [seconds] * times
        return True

    def waited(self) -> Sequence[float]:
        return self._slept

    def go_down(self) -> None:
        self.server.stop()

    def come_back(self) -> None:
        self.server.start()

    def expire_cursors(self) -> bool:
        return False


@pytest.fixture
def site() -> Iterator[S3Site]:
    site = S3Site()
    yield site
    site.server.close()


class TestS3(ConnectorContract):
    pass


def test_a_listing_stays_below_the_prefix_and_takes_what_the_patterns_name(site: S3Site) -> None:
    for key in ("docs/a.md", "docs/drafts/b.md", "docs/c.png", "docs2/d.md", "e.md"):
        site.put(key, b"text")
    include = ("*.md", "!docs/drafts/**")
    with closing(site.connect(prefix="docs/", include=include)) as connector:
        found, cursor, _ = listing(connector)
    assert found.keys() == {"docs/a.md"}
    for other in ({"prefix": "docs", "include": include}, {"prefix": "docs/"}):
        with closing(site.connect(**other)) as connector, pytest.raises(CursorExpired):
            listing(connector, cursor)


def test_keys_that_stand_for_folders_are_left_out(site: S3Site) -> None:
    for key in ("folder/", "folder/sub/", "logs_$folder$", "folder/paper.md"):
        site.put(key, b"")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
    assert found.keys() == {"folder/paper.md"}


def test_odd_keys_are_listed_linked_fetched_and_gone_on_from(site: S3Site) -> None:
    keys = ["a b+c.md", "ä/ü?#&%.md", "../up.md", "//twice.md", "quote'\"<&>.md", "🦘.md"]
    for key in keys:
        site.put(key, key.encode())
    with closing(site.connect(page_size=1)) as connector:
        found, _, pages = listing(connector)
        texts = {key: connector.fetch(one).decode() for key, one in found.items()}
        for stop, page in enumerate(pages[:-1], start=1):
            rest = {one.external_id for more in connector.changes(page.cursor) for one in more.listed}
            assert rest == {one.external_id for later in pages[stop:] for one in later.listed}
    assert texts == {key: key for key in keys}
    assert found["ä/ü?#&%.md"].uri == f"{site.server.address}/{BUCKET}/%C3%A4/%C3%BC%3F%23%26%25.md"
    assert found["ä/ü?#&%.md"].name == "ü?#&%.md"


def test_the_same_bytes_have_the_same_revision_wherever_and_whenever_they_were_put(site: S3Site) -> None:
    site.put("one.md", b"text")
    site.put("two.md", b"text")
    with closing(site.connect()) as connector:
        before, _, _ = listing(connector)
        site.put("one.md", b"text")
        site.put("two.md", b"texts")
        after, _, _ = listing(connector)
    assert before["one.md"].revision == before["two.md"].revision == after["one.md"].revision
    assert after["two.md"].revision != before["two.md"].revision
    assert before["one.md"].hashed


def test_an_object_in_parts_is_whole_and_changes_its_revision_with_its_bytes(site: S3Site) -> None:
    def put_in_parts(last: bytes) -> None:
        backend = site.server.backend
        upload = backend.create_multipart_upload(BUCKET, "big.txt", {}, "STANDARD", {}, None, "", "").id
        parts = [backend.upload_part(BUCKET, upload, number, part) for number, part in enumerate((first, last), 1)]
        backend.complete_multipart_upload(BUCKET, upload, [(number, part.etag) for number, part in enumerate(parts, 1)])

    first = b"x" * (5 << 20)
    put_in_parts(b"wombat")
    with closing(site.connect(max_document_bytes=6 << 20)) as connector:
        before, _, _ = listing(connector)
        assert connector.fetch(before["big.txt"]) == first + b"wombat"
        put_in_parts(b"numbat")
        after, _, _ = listing(connector)
    assert "-2:" in before["big.txt"].revision and not before["big.txt"].hashed
    assert after["big.txt"].revision != before["big.txt"].revision


def test_every_sync_lists_everything_so_that_what_is_gone_is_seen(site: S3Site) -> None:
    kept, gone = site.add("kept", "text"), site.add("gone", "text")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.remove(gone)
        pages = list(connector.changes(cursor))
        after, _ = synced(connector, before, cursor)
    assert all(page.whole for page in pages) and pages[-1].last
    assert after.keys() == {kept}


def test_an_empty_bucket_is_a_whole_listing_of_nothing(site: S3Site) -> None:
    with closing(site.connect()) as connector:
        (page,) = connector.changes(None)
    assert (list(page.listed), page.whole, page.last) == ([], True, True)


def test_an_empty_page_is_not_the_end_of_a_listing(site: S3Site) -> None:
    keys = {site.add(f"{number}", "text") for number in range(5)}
    with closing(site.connect()) as connector:
        site.server.hollow = 2
        found, _, pages = listing(connector)
        assert found.keys() == keys
        assert [(len(page.listed), page.last) for page in pages] == [(0, False), (0, False), (3, False), (2, True)]
        site.server.hollow = 1
        rest, _, _ = listing(connector, pages[2].cursor)
        assert rest.keys() == {one.external_id for one in pages[3].listed}
        again, _, _ = listing(connector, pages[0].cursor)
        assert again.keys() == keys


def test_an_archived_object_is_refused_until_it_is_restored(site: S3Site) -> None:
    site.put("old.md", b"old", storage="GLACIER")
    site.put("oldest.md", b"oldest", storage="DEEP_ARCHIVE")
    site.put("at-hand.md", b"at hand", storage="GLACIER_IR")
    with closing(site.connect()) as connector:
        found, _, (page,) = listing(connector)
        assert found.keys() == {"at-hand.md"}
        assert {name for name, _ in page.refused} == {"old.md", "oldest.md"}
        assert "GLACIER" in dict(page.refused)["old.md"] and "restore" in dict(page.refused)["old.md"]

        one = found["at-hand.md"]
        site.put("at-hand.md", b"at hand", storage="GLACIER")
        with pytest.raises(UnreadableDocument, match="archived") as refused:
            connector.fetch(one)
        assert refused.value.verdict == "unsupported"


def test_whether_an_archived_object_was_restored_is_asked_and_read(
    site: S3Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto does not tell it, so the answer is Amazon's own example of ListObjectsV2 with RestoreStatus."""
    with closing(site.connect()) as connector:
        until = datetime.now(UTC) + timedelta(days=1)
        entry = {"Size": 3, "ETag": '"e"', "StorageClass": "GLACIER"}
        asked: list[dict[str, object]] = []

        def answer(**given: object) -> dict[str, object]:
            asked.append(given)
            restored = {"IsRestoreInProgress": False, "RestoreExpiryDate": until}
            return {
                "Contents": [
                    entry | {"Key": "restored.md", "RestoreStatus": restored},
                    entry | {"Key": "on-its-way.md", "RestoreStatus": {"IsRestoreInProgress": True}},
                ]
            }

        monkeypatch.setattr(connector._client, "list_objects_v2", answer)
        found, _, (page,) = listing(connector)
    assert asked[0]["OptionalObjectAttributes"] == ["RestoreStatus"]
    assert found.keys() == {"restored.md"}
    assert [name for name, _ in page.refused] == ["on-its-way.md"]


def test_an_object_beyond_the_limit_is_refused_by_its_size(site: S3Site) -> None:
    site.put("huge.bin", b"x" * 2001)
    site.put("just.bin", b"x" * 2000)
    with closing(site.connect(max_document_bytes=2000)) as connector:
        found, _, _ = listing(connector)
        with pytest.raises(UnreadableDocument) as refused:
            connector.fetch(found["huge.bin"])
        assert len(connector.fetch(found["just.bin"])) == 2000
        # By the size that it is said to have: what came of it is five bytes, and nothing was waited for.
        site.server.cut = 5
        with pytest.raises(UnreadableDocument):
            connector.fetch(found["huge.bin"])
        assert not site.waited()
    assert refused.value.verdict == "too_large"


def test_an_object_that_breaks_off_is_fetched_again_and_never_half(site: S3Site) -> None:
    site.put("paper.md", b"the whole of it")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        site.server.cut = 5
        assert connector.fetch(found["paper.md"]) == b"the whole of it"
    assert len(site.waited()) == 1


def test_an_object_that_the_key_may_not_read_is_reported_and_the_others_are_read(site: S3Site) -> None:
    site.put("secret.md", b"secret")
    site.put("plain.md", b"plain")
    site.server.denied = {"secret.md"}
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        with pytest.raises(UnreadableDocument, match="s3:GetObject") as refused:
            connector.fetch(found["secret.md"])
        assert connector.fetch(found["plain.md"]) == b"plain"
    assert refused.value.verdict == "unreadable" and "wombats" not in refused.value.reason


def test_a_bucket_that_is_not_there_is_named(site: S3Site) -> None:
    other = "papers-of-last-year"
    with closing(site.connect(bucket=other)) as connector, pytest.raises(SourceRefused, match=f"no bucket '{other}'"):
        listing(connector)


def test_a_bucket_without_a_credential_is_refused_before_anything_is_asked(site: S3Site) -> None:
    with pytest.raises(SourceRefused, match="needs the secret"):
        site.connect(secret=None)
    assert site.server.calls == []


def test_a_store_that_stays_busy_is_transient_after_five_attempts(site: S3Site) -> None:
    site.server.busy = [None] * 5
    with closing(site.connect()) as connector, pytest.raises(Transient, match="SlowDown"):
        listing(connector)
    assert len(site.server.calls) == 5 and len(site.waited()) == 4
    assert site.waited() == sorted(site.waited())


def test_a_public_bucket_is_read_without_a_signature_and_no_other(site: S3Site) -> None:
    key = site.add("paper", "text")
    with closing(site.connect(secret=None, credentials="none", access_key_id=None)) as connector:
        with pytest.raises(SourceRefused, match="AccessDenied"):
            listing(connector)
        site.server.public = True
        site.server.backend.put_object_acl(BUCKET, key, None, get_canned_acl("public-read"))
        found, _, _ = listing(connector)
        assert connector.fetch(found[key]) == b"text"


def test_nothing_of_the_machines_own_configuration_has_a_say(site: S3Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.setenv(name, "nobody")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "else")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "else")
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
    assert found.keys() == {"folder/paper.txt"}


def test_amazons_own_buckets_are_asked_at_its_address_and_linked_to_its_console(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    given = {"bucket": "papers", "region": "eu-central-1", "access_key_id": ACCESS_KEY}
    for more, link in (
        ({}, "https://console.aws.amazon.com/s3/object/papers?region=eu-central-1&prefix=a%2Fb%20c.md"),
        ({"web_link": "https://files.example/{key}"}, "https://files.example/a/b%20c.md"),
    ):
        connector = open_s3(S3Settings.model_validate(given | more), SecretStr(SECRET))
        assert connector._link("a/b c.md") == link
        assert connector._client.meta.endpoint_url == "https://s3.eu-central-1.amazonaws.com"
        connector.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint_url": "https://ana:hunter2@store.example"},
        {"endpoint_url": "https://hunter2@store.example"},
        {"endpoint_url": "ftp://hunter2.example"},
        {"endpoint_url": "https://store.example/?key=hunter2"},
        {"bucket": "../hunter2"},
        {"bucket": "arn:aws:s3:::hunter2"},
        {"region": "eu.hunter2.example/"},
        {"web_link": "https://hunter2/{bucket}"},
        {"access_key_id": None},
        {"credentials": "none"},
        {"secret_access_key": "hunter2"},
    ],
)
def test_settings_that_hold_a_secret_or_make_no_sense_are_refused_unquoted(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        S3Settings.model_validate({"bucket": "papers", "access_key_id": ACCESS_KEY} | settings)
    assert "hunter2" not in str(refused.value)


def test_an_object_that_is_gone_is_named(site: S3Site) -> None:
    key = site.add("paper", "text")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        site.remove(key)
        with pytest.raises(NotFound, match="paper"):
            connector.fetch(found[key])
