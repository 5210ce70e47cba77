"""An mbox file, written by Python's own mailbox module and by hand."""

from __future__ import annotations

import mailbox
import os
import tracemalloc
from contextlib import closing
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path

import pytest
from conformance import ConnectorContract, listing, synced

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors.mbox import Mbox, MboxSettings, open_mbox
from ingest.connectors.protocol import CursorExpired
from ingest.parsing.mail import parse_mail

POSTMARK = b"From ana@example.com Tue Jan  6 10:15:00 2026\n"


class MboxSite:
    """A mail program that keeps a folder in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def connect(self, **settings: object) -> Mbox:
        return open_mbox(MboxSettings.model_validate({"path": self.path, "page_messages": 3} | settings), None)

    def connect_unwelcome(self) -> None:
        return None

    def add(self, name: str, text: str) -> str:
        key = f"{name.replace(' ', '-')}@example.com"
        with closing(mailbox.mbox(self.path)) as box:
            box.add(written(key, name, text))
        return key

    def change(self, external_id: str, text: str) -> None:
        with closing(mailbox.mbox(self.path)) as box:
            key = next(key for key, message in box.items() if external_id in message["Message-ID"])
            box[key] = written(external_id, "edited", text)

    def rename(self, external_id: str, name: str) -> bool:
        return False

    def remove(self, external_id: str) -> None:
        with closing(mailbox.mbox(self.path)) as box:
            box.remove(next(key for key, message in box.items() if external_id in message["Message-ID"]))

    def throttle(self, times: int, seconds: float) -> bool:
        return False

    def waited(self) -> list[float]:
        return []

    def go_down(self) -> None:
        self.path.rename(self.path.with_suffix(".away"))

    def come_back(self) -> None:
        self.path.with_suffix(".away").rename(self.path)

    def expire_cursors(self) -> bool:
        return False

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)


def written(key: str, subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["Subject"], message["Message-ID"] = "ana@example.com", subject, f"<{key}>"
    message.set_content(text)
    return message


@pytest.fixture
def site(tmp_path: Path) -> MboxSite:
    return MboxSite(tmp_path / "team archive.mbox")


class TestMbox(ConnectorContract):
    """What every source keeps to."""


def test_what_is_appended_alone_is_listed_and_what_stood_before_is_left_alone(site: MboxSite) -> None:
    for number in range(4):
        site.add(f"paper {number}", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        site.add("paper 4", "text")
        pages = list(connector.changes(cursor))
        named = [one.external_id for page in pages for one in page.listed]
    # The one that was last may have been half written when it was read.
    assert named == ["paper-3@example.com", "paper-4@example.com"]
    assert not any(page.whole for page in pages)


def test_a_file_that_is_as_it_was_is_not_read(site: MboxSite) -> None:
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        assert [len(page.listed) for page in connector.changes(cursor)] == [0]
        os.utime(site.path, ns=(1, 1))
        assert [len(page.listed) for page in connector.changes(cursor)] == [1]


def test_a_file_that_was_written_anew_is_listed_whole(site: MboxSite) -> None:
    first, second = site.add("first", "text"), site.add("second", "text")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.remove(first)
        third = site.add("third", "text")
        pages = list(connector.changes(cursor))
        assert all(page.whole for page in pages)
        assert synced(connector, before, cursor)[0].keys() == {second, third}


def test_a_listing_whose_file_is_written_anew_halfway_begins_again(site: MboxSite) -> None:
    ids = [site.add(f"paper {number}", "text") for number in range(5)]
    with closing(site.connect()) as connector:
        stopped = next(iter(connector.changes(None)))
        site.remove(ids[0])
        with pytest.raises(CursorExpired):
            list(connector.changes(stopped.cursor))


def test_a_message_that_was_half_written_is_read_again_when_it_is_whole(site: MboxSite) -> None:
    site.append(POSTMARK + b"Message-ID: <one@x>\nSubject: one\n\nfirst half")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.append(b", second half\n\n")
        after, _ = synced(connector, before, cursor)
        assert after.keys() == before.keys() == {"one@x"}
        assert connector.fetch(after["one@x"]).endswith(b"first half, second half\n\n")


def test_lines_that_begin_with_from_stay_in_their_message_and_quoting_is_undone(site: MboxSite) -> None:
    body = b"From here on\n\nFrom the sea we came\n\n>From now\n>>From then\n> From me\n\nend\n\n"
    site.append(POSTMARK + b"Message-ID: <one@x>\n\n" + body + POSTMARK + b"Message-ID: <two@x>\n\nx\n")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        assert found.keys() == {"one@x", "two@x"}
        assert connector.fetch(found["one@x"]).endswith(
            b"From here on\n\nFrom the sea we came\n\nFrom now\n>From then\n> From me\n\nend\n\n"
        )
    with closing(site.connect(quoting="none")) as connector:
        assert connector.fetch(found["one@x"]).endswith(body)


def test_what_python_writes_is_read_back_as_it_was(site: MboxSite) -> None:
    key = site.add("From me", "From the beginning\n\nFrom the end")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        assert message_from_bytes(connector.fetch(found[key])).get_payload().split() == [
            *["From", "the", "beginning", "From", "the", "end"]
        ]
        assert parse_mail(connector.fetch(found[key])).title == "From me"


@pytest.mark.parametrize(
    "postmark",
    [
        b"From - Tue Jan 06 10:15:00 2026",
        b"From 17781@xxx Tue Jan 06 10:15:00 +0000 2026",
        b"From ana at example.com  Tue Jan  6 10:15:00 2026",
        b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011\r",
        b"From ",
    ],
)
def test_messages_begin_as_mail_programs_begin_them(site: MboxSite, postmark: bytes) -> None:
    for number in range(2):
        site.append(postmark + b"\nMessage-ID: <%d@x>\n\nFrom time to time\n\n" % number)
    with closing(site.connect()) as connector:
        assert listing(connector)[0].keys() == {"0@x", "1@x"}


def test_messages_that_bear_one_id_or_none_are_documents_all(site: MboxSite) -> None:
    for text in (b"sent", b"received"):
        site.append(POSTMARK + b"Message-ID: <same@x>\nX-Kept: %b\n\ntext\n\n" % text)
    site.append(POSTMARK + b"Subject: none\n\ntext\n\n" + POSTMARK + b"Message-ID: <>\nSubject: odd\n\ntext\n\n")
    with closing(site.connect()) as connector:
        found, cursor, _ = listing(connector)
        texts = {connector.fetch(one) for one in found.values()}
        site.append(POSTMARK + b"Message-ID: <same@x>\n\nanother\n\n")
        after, _ = synced(connector, found, cursor)
    assert len(found) == len(texts) == 4
    assert len(after) == 5 and after["same@x"] == found["same@x"], "one that comes later takes nobody's place"


def test_a_message_is_found_where_it_stands_after_others_were_removed(site: MboxSite) -> None:
    first, second = site.add("first", "one"), site.add("second", "two")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        text = connector.fetch(found[second])
        site.remove(first)
        assert connector.fetch(found[second]) == text
        with pytest.raises(NotFound):
            connector.fetch(found[first])


def test_a_message_over_the_limit_is_not_read(site: MboxSite) -> None:
    key = site.add("big", "x" * 5000)
    with closing(Mbox(MboxSettings(path=site.path), max_document_bytes=1000)) as connector:
        one = listing(connector)[0][key]
        with pytest.raises(UnreadableDocument) as refused:
            connector.fetch(one)
    assert refused.value.verdict == "too_large"


def test_what_is_no_mbox_deletes_nothing(site: MboxSite, tmp_path: Path) -> None:
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        site.path.write_bytes(b"something else\n")
        with pytest.raises(SourceRefused):
            list(connector.changes(cursor))
        site.path.unlink()
        with pytest.raises(Transient):
            list(connector.changes(cursor))
        site.path.mkdir()
        with pytest.raises((SourceRefused, Transient)):
            list(connector.changes(cursor))


def test_a_long_file_takes_little_memory(site: MboxSite) -> None:
    long_line = b"x" * 4_000_000
    for number in range(4):
        site.append(POSTMARK + b"Message-ID: <%d@x>\nSubject: %b\n\n%b\n\n" % (number, b"s" * 300_000, long_line))
    with closing(site.connect()) as connector:
        tracemalloc.start()
        found, _, _ = listing(connector)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(found) == 4
    assert peak < 3_500_000


def test_the_end_of_a_long_line_is_no_empty_line(site: MboxSite) -> None:
    site.append(POSTMARK + b"Message-ID: <one@x>\n\n" + b"x" * 64 * 1024 + b"\n" + POSTMARK + b"the end\n")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        assert found.keys() == {"one@x"}
        assert connector.fetch(found["one@x"]).endswith(POSTMARK + b"the end\n")
