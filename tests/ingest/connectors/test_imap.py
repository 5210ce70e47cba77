"""An IMAP mailbox, read from a real Dovecot."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage

import pytest
from conformance import SECRET, ConnectorContract, listing, synced
from hypothesis import given
from hypothesis import strategies as st
from imap_server import USER, ImapServer, running
from pydantic import SecretStr, ValidationError

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors import imap
from ingest.connectors.imap import Imap, open_imap
from ingest.connectors.imap_cursor import as_ranges, read_ranges
from ingest.connectors.imap_settings import ImapSettings
from ingest.connectors.mailbox_names import decoded, encoded
from ingest.connectors.message_names import file_name
from ingest.connectors.protocol import CursorExpired
from ingest.parsing.mail import parse_mail


@pytest.fixture(scope="module")
def dovecot() -> Iterator[ImapServer]:
    with running(SECRET) as server:
        yield server


@pytest.fixture
def server(dovecot: ImapServer) -> ImapServer:
    dovecot.empty()
    return dovecot


class Mailbox:
    """The inbox of the account, as its owner uses it."""

    def __init__(self, server: ImapServer) -> None:
        self.server = server

    def connect(self, secret: str = SECRET, **settings: object) -> Imap:
        base = {"host": "127.0.0.1", "port": self.server.port, "user": USER, "security": "plain", "page_messages": 3}
        return Imap(ImapSettings.model_validate(base | settings), SecretStr(secret))

    def connect_unwelcome(self) -> Imap:
        return self.connect(secret="wrong")

    def add(self, name: str, text: str, folder: str = "INBOX") -> str:
        return self.put(written(name, text), folder)

    def put(self, message: bytes, folder: str = "INBOX") -> str:
        with self.server.client() as client:
            kind, answered = client.append(f'"{folder}"', None, None, message)
            assert kind == "OK", answered
            place = re.search(rb"APPENDUID (\d+) (\d+)", answered[0])
            assert place
            return f"{decoded(folder)}/{int(place[1])}.{int(place[2])}"

    def change(self, external_id: str, text: str) -> str:
        """A message never changes; a mail program writes a draft anew and removes the old one."""
        self.remove(external_id)
        return self.add("edited", text)

    def rename(self, external_id: str, name: str) -> bool:
        return False

    def remove(self, external_id: str) -> None:
        with self.server.client() as client:
            client.uid("STORE", external_id.rpartition(".")[2], "+FLAGS", "(\\Deleted)")
            client.expunge()

    def throttle(self, times: int, seconds: float) -> bool:
        return False

    def waited(self) -> list[float]:
        return []

    def go_down(self) -> None:
        self.server.stop()

    def come_back(self) -> None:
        self.server.start()

    def expire_cursors(self) -> bool:
        self.server.count_anew()
        return True


def written(subject: str, text: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ben@example.com", USER, subject
    message.set_content(text)
    return message.as_bytes()


@pytest.fixture
def site(server: ImapServer) -> Iterator[Mailbox]:
    yield Mailbox(server)
    if server._process is None:
        server.start()


class TestMailbox(ConnectorContract):
    def test_an_expired_cursor_says_so_and_a_new_listing_has_everything(self, site: Mailbox) -> None:
        site.add("first", "first text")
        with closing(site.connect()) as connector:
            _, cursor, _ = listing(connector)
        site.expire_cursors()
        second = site.add("second", "second text")
        with closing(site.connect()) as connector:
            with pytest.raises(CursorExpired):
                listing(connector, cursor)
            found, _, _ = listing(connector)
        # The first message is there again, under its new number.
        assert second in found
        assert sorted(one.name for one in found.values()) == ["first.eml", "second.eml"]


def make_folders(server: ImapServer, *names: str) -> None:
    with server.client() as client:
        for name in names:
            assert client.create(f'"{encoded(name)}"')[0] == "OK"


def test_every_folder_is_read_but_junk_and_the_bin_whatever_they_are_called(site: Mailbox) -> None:
    make_folders(site.server, "Projekte/Größe & Co", "台北")
    expected = {site.add("one", "text", encoded(name)) for name in ("INBOX", "Projekte/Größe & Co", "台北")}
    junk = {site.add("two", "text", name) for name in ("Spam", "Bin")}

    with closing(site.connect()) as connector:
        assert listing(connector)[0].keys() == expected
        assert all(connector.fetch(one) for one in listing(connector)[0].values())
    with closing(site.connect(leave_out=[])) as connector:
        assert listing(connector)[0].keys() == expected | junk


def test_folders_are_brought_in_and_left_out_by_pattern(site: Mailbox) -> None:
    make_folders(site.server, "Work/Open", "Work/Closed")
    for name in ("INBOX", "Work/Open", "Work/Closed"):
        site.add("one", "text", name)
    with closing(site.connect(folders=["Work/*"], exclude=["*/Closed"])) as connector:
        assert [name.split("/1")[0] for name in listing(connector)[0]] == ["Work/Open"]


def test_a_folder_that_shows_all_messages_is_read_alone_unless_others_are_named(site: Mailbox) -> None:
    make_folders(site.server, "Everything")
    labelled, archived = site.add("labelled", "text"), site.add("archived", "text", "Everything")
    with closing(site.connect()) as connector:
        assert listing(connector)[0].keys() == {archived}
    with closing(site.connect(folders=["*", "INBOX"])) as connector:
        assert listing(connector)[0].keys() == {labelled}


def test_a_cursor_of_another_mailbox_is_expired(site: Mailbox) -> None:
    site.add("one", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
    with closing(site.connect(user="ben@example.com")) as connector, pytest.raises(CursorExpired):
        listing(connector, cursor)


def test_folders_go_by_their_usual_names_where_their_use_is_not_told() -> None:
    places = [imap._Place(raw, "/", frozenset()) for raw in ("Archive/Spam", "Deleted Items", "Spam plans")]
    assert [place.uses(False) for place in places] == [{"junk"}, {"trash"}, set()]
    assert [place.uses(True) for place in places] == [set(), set(), set()]


def test_a_message_that_is_moved_is_gone_here_and_new_there(site: Mailbox) -> None:
    make_folders(site.server, "Archive")
    moved = site.add("one", "the text that stays")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        old = connector.fetch(before[moved])
    with site.server.client() as client:
        assert client._simple_command("MOVE", "1", "Archive")[0] == "OK"
    with closing(site.connect()) as connector:
        after, _ = synced(connector, before, cursor)
        assert moved not in after
        assert [connector.fetch(one) for one in after.values()] == [old]


def test_a_folder_that_is_deleted_takes_its_messages_along(site: Mailbox) -> None:
    make_folders(site.server, "Old")
    kept, lost = site.add("kept", "text"), site.add("lost", "text", "Old")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
    assert before.keys() == {kept, lost}
    with site.server.client() as client:
        assert client.delete("Old")[0] == "OK"
    with closing(site.connect()) as connector:
        assert synced(connector, before, cursor)[0].keys() == {kept}


def test_a_folder_that_goes_away_while_the_mailbox_is_listed_ends_the_sync(site: Mailbox) -> None:
    make_folders(site.server, "Old")
    site.add("kept", "text")
    site.add("lost", "text", "Old")
    with closing(site.connect()) as connector:
        pages = connector.changes(None)
        next(pages)
        with site.server.client() as client:
            assert client.delete("Old")[0] == "OK"
        with pytest.raises(Transient):
            list(pages)
        assert len(listing(connector)[0]) == 1


def test_a_mailbox_that_has_not_changed_is_asked_for_nothing_but_its_state(
    site: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("one", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
    asked = []
    monkeypatch.setattr(Imap, "_uid", lambda *_words, **_limits: asked.append(_words))
    with closing(site.connect()) as connector:
        pages = list(connector.changes(cursor))
    assert not asked
    assert [len(page.listed) for page in pages] == [0]


def test_reading_leaves_no_trace(site: Mailbox) -> None:
    site.add("one", "text")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        for one in found.values():
            connector.fetch(one)
    with site.server.client() as client:
        _, answered = client.fetch("1:*", "(FLAGS)")
    assert b"\\Seen" not in answered[0]


@pytest.mark.parametrize("server_can", ["ESEARCH", "nothing more"])
def test_messages_removed_between_others_are_found_gone(
    site: Mailbox, monkeypatch: pytest.MonkeyPatch, server_can: str
) -> None:
    if server_can != "ESEARCH":
        sign_in = Imap._signed_in

        def plainly(self: Imap) -> object:
            server = sign_in(self)
            server.capabilities = ("IMAP4REV1",)
            return server

        monkeypatch.setattr(Imap, "_signed_in", plainly)
    ids = [site.add(f"number {number}", "text") for number in range(6)]
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
    assert before.keys() == set(ids)
    for gone in (ids[1], ids[4]):
        site.remove(gone)
    with closing(site.connect()) as connector:
        named = [gone for page in connector.changes(cursor) for gone in page.gone]
    assert named == [ids[1], ids[4]]


def test_names_say_the_subject_and_the_parser_reads_what_is_fetched(site: Mailbox) -> None:
    key = site.add("Ärger: a/b\\c?", "Dear Ana,\n\nthe quote is 12 EUR.")
    with closing(site.connect()) as connector:
        one = listing(connector)[0][key]
        parsed = parse_mail(connector.fetch(one))
    assert one.name == "Ärger: a b c?.eml"
    assert one.uri == f"imap://ana%40example.com@127.0.0.1:{site.server.port}/INBOX;UIDVALIDITY=" + key[6:].replace(
        ".", "/;UID="
    )
    assert parsed.title == "Ärger: a/b\\c?" and "12 EUR" in parsed.text


def test_a_message_without_a_subject_or_with_an_endless_one_is_a_document_too(
    site: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(b"From: a@b.c\r\n\r\nno subject\r\n")
    site.put(b"From: a@b.c\r\nSubject: " + b"x" * 900 + b"\r\n " + b"y" * 100_000 + b"\r\n\r\ntext\r\n")
    heads: list[bytes] = []
    monkeypatch.setattr(imap, "file_name", lambda head: heads.append(head) or file_name(head))
    with closing(site.connect()) as connector:
        assert [one.name for one in listing(connector)[0].values()] == ["message.eml", "x" * 120 + ".eml"]
    assert max(map(len, heads)) <= imap.SUBJECT_BYTES


def test_a_message_over_the_limit_is_not_read(site: Mailbox) -> None:
    key = site.add("big", "x" * 5000)
    settings = ImapSettings(host="127.0.0.1", port=site.server.port, user=USER, security="plain")
    with closing(open_imap(settings, SecretStr(SECRET), max_document_bytes=1000)) as connector:
        one = listing(connector)[0][key]
        with pytest.raises(UnreadableDocument) as refused:
            connector.fetch(one)
    assert refused.value.verdict == "too_large"


def test_a_server_that_sends_more_than_it_says_is_cut_off(site: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    key = site.add("big", "x" * 200_000)
    with closing(site.connect()) as connector:
        one = listing(connector)[0][key]
        honest = imap._messages
        monkeypatch.setattr(
            imap,
            "_messages",
            lambda answered: [imap._Message(found.uid, 10, found.literal) for found in honest(answered)],
        )
        connector._limit = 1000
        with pytest.raises(UnreadableDocument) as refused:
            connector.fetch(one)
        assert refused.value.verdict == "too_large"
        connector._limit = 10_000_000
        assert len(connector.fetch(one)) > 200_000, "the next document is read again"


def test_a_fetch_between_two_pages_of_a_listing_disturbs_neither(site: Mailbox) -> None:
    make_folders(site.server, "Other")
    ids = {
        site.add(f"number {number}", f"text {number}", folder) for number in range(5) for folder in ("INBOX", "Other")
    }
    with closing(site.connect()) as connector:
        first = None
        found = set()
        for page in connector.changes(None):
            found |= {one.external_id for one in page.listed}
            first = first or page.listed[0]
            assert connector.fetch(first)
    assert found == ids


def test_a_message_of_another_counting_is_not_found_though_its_number_is(site: Mailbox) -> None:
    key = site.add("one", "text")
    with closing(site.connect()) as connector:
        one = listing(connector)[0][key]
    site.server.count_anew()
    with closing(site.connect()) as connector, pytest.raises(NotFound):
        connector.fetch(one)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_server_whose_certificate_nobody_vouches_for_is_told_no_password(site: Mailbox, security: str) -> None:
    key = site.add("one", "text")
    port = site.server.tls_port if security == "tls" else site.server.port
    reached = {"security": security, "host": "localhost", "port": port}
    with closing(site.connect(**reached, ca_file=site.server.ca_file)) as connector:
        assert connector.fetch(listing(connector)[0][key])
    with closing(site.connect(**reached)) as connector, pytest.raises(SourceRefused, match="certificate"):
        listing(connector)
    misnamed = site.connect(**(reached | {"host": "127.0.0.1"}), ca_file=site.server.ca_file)
    with closing(misnamed) as connector, pytest.raises(SourceRefused, match="certificate"):
        listing(connector)


def test_an_application_signs_in_with_a_token_that_it_is_given(site: Mailbox) -> None:
    key = site.add("one", "text")
    oauth = {"oauth_token_url": f"{site.server.issuer.url}token", "oauth_client_id": "app-1"}
    with closing(site.connect(**oauth)) as connector:
        assert connector.fetch(listing(connector)[0][key])
    for unknown in (site.connect(secret="wrong", **oauth), site.connect(**(oauth | {"oauth_client_id": "app-2"}))):
        with closing(unknown), pytest.raises(SourceRefused, match="No token"):
            listing(unknown)
    # The token is good, and the mailbox somebody else's.
    others = site.connect(user="ben@example.com", **oauth)
    with closing(others), pytest.raises(SourceRefused, match="let the application read") as refused:
        listing(others)
    assert SECRET not in str(refused.value)


def test_a_password_goes_in_the_clear_to_this_machine_only() -> None:
    with pytest.raises(ValidationError, match="in the clear"):
        ImapSettings(host="mail.example.com", user=USER, security="plain")
    assert ImapSettings(host="mail.example.com", user=USER, security="plain", allow_plain=True)
    with pytest.raises(ValidationError, match="in the clear"):
        ImapSettings(host="mail.example.com", user=USER, oauth_token_url="http://issuer.example.com/token")
    assert ImapSettings(host="127.0.0.1", user=USER, security="plain")


def test_a_server_that_breaks_off_is_transient_and_is_reached_again(site: Mailbox) -> None:
    site.add("one", "text")
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        assert connector._server is not None
        connector._server.sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(Transient):
            listing(connector, cursor)
        second = site.add("two", "text")
        assert second in listing(connector, cursor)[0]


def test_a_mailbox_needs_a_password() -> None:
    with pytest.raises(SourceRefused):
        open_imap(ImapSettings(host="localhost", user=USER), None)


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc"))))
def test_folders_names_survive_modified_utf_7(name: str) -> None:
    assert encoded(name).isascii()
    assert decoded(encoded(name)) == name


def test_names_are_read_as_the_rfc_writes_them() -> None:
    # RFC 3501, 5.1.3.
    assert decoded("~peter/mail/&U,BTFw-/&ZeVnLIqe-") == "~peter/mail/台北/日本語"
    assert decoded("Q&-A") == "Q&A"
    assert decoded("&AGE-") == "&AGE-", "a server may not give one folder two names"
    assert decoded("&broken") == "&broken"


@given(st.sets(st.integers(1, 200)))
def test_sets_of_numbers_survive_being_written(uids: set[int]) -> None:
    assert read_ranges(as_ranges(sorted(uids))) == uids
