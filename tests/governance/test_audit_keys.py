"""Keys outlive the database's copies, and content does not outlive its key."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from audit_home import ANA, BEN, AuditHome, sqlite_home

from core.errors import AuditUnavailable, Conflict
from core.principals import Principal
from governance.audit import Kind, new_audit_id
from governance.audit.envelope import DataKey, unseal
from governance.audit.keys import SYSTEM, KeyStore, pseudonym_of


@pytest.fixture
def home(tmp_path: Path) -> AuditHome:
    """A home with three records of ana, one of ben and one of nobody."""
    home = sqlite_home(tmp_path)
    home.write(3, ANA)
    home.write(1, BEN)
    home.write(1, None)
    return home


def test_a_destroyed_key_erases_what_one_person_asked_and_the_chain_still_verifies(home: AuditHome) -> None:
    ana = pseudonym_of(ANA, home.keys.chain_keys())

    assert home.keys.destroy(ana)

    told = [(opened.record.sequence, opened.state, opened.subject) for opened in home.reader.newest()]
    assert told[:2] == [(5, "readable", None), (4, "readable", BEN)]
    assert told[2:] == [(3, "erased", None), (2, "erased", None), (1, "erased", None)]
    assert home.verify().ok
    assert not home.keys.destroy(ana)


def test_who_returns_after_an_erasure_gets_a_new_key_that_opens_nothing_old(home: AuditHome) -> None:
    with home.log() as log:
        log.append(Kind.SEARCH, ANA, {"number": "before"}, new_audit_id())
        home.keys.destroy(pseudonym_of(ANA, home.keys.chain_keys()))
        log.append(Kind.SEARCH, ANA, {"number": "after"}, new_audit_id())

    after, *before = home.reader.newest(subject=ANA)
    assert (after.state, after.content) == ("readable", {"number": "after"})
    assert [opened.state for opened in before] == ["erased"] * 4
    assert after.record.key_id not in {opened.record.key_id for opened in before}


def test_a_key_leaves_no_file_behind_when_it_is_destroyed(home: AuditHome) -> None:
    key = home.keys.data_key(pseudonym_of(ANA, home.keys.chain_keys()))

    [path] = (home.keys.folder / "subjects").glob(f"{pseudonym_of(ANA, home.keys.chain_keys())}.key")
    with path.open("rb") as still_open:
        home.keys.destroy(pseudonym_of(ANA, home.keys.chain_keys()))
        assert not still_open.read().strip(b"\0")

    stored = b"".join(path.read_bytes() for path in home.folder.rglob("*") if path.is_file())
    assert key.secret not in stored
    assert key.secret.hex().encode() not in stored


def test_the_same_subject_at_two_issuers_is_two_people(home: AuditHome) -> None:
    keys = home.keys.chain_keys()
    people = [Principal("a", "bc"), Principal("ab", "c"), Principal("local", "ana"), Principal("other", "ana")]

    assert len({pseudonym_of(person, keys) for person in people}) == len(people)
    assert pseudonym_of(None, keys) == SYSTEM


def test_pseudonyms_cannot_be_found_without_the_root_key(home: AuditHome, tmp_path: Path) -> None:
    other = KeyStore(tmp_path / "other")
    other.create()

    assert pseudonym_of(ANA, home.keys.chain_keys()) != pseudonym_of(ANA, other.chain_keys())


def test_only_their_owner_can_read_keys_and_database(home: AuditHome) -> None:
    private = [*list(home.keys.folder.rglob("*")), home.file, home.heads / "0"]

    assert len(private) >= 7
    assert {oct(path.stat().st_mode & 0o077) for path in private} == {"0o0"}


def test_of_many_that_make_a_key_at_once_all_get_the_same(home: AuditHome) -> None:
    made: list[DataKey] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        made.append(home.keys.data_key("somebody"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 8
    assert len({key.secret for key in made}) == 1


def test_ciphertext_opens_only_in_the_record_it_was_sealed_in(home: AuditHome) -> None:
    """Even whoever holds the root key cannot put one record's words into another of the same person."""
    one, other = (opened.record for opened in home.reader.newest(subject=ANA, limit=2))
    key = home.keys.find(one.subject)
    assert key is not None

    assert unseal(one, key) is not None
    assert unseal(replace(other, nonce=one.nonce, ciphertext=one.ciphertext), key) is None
    for changed in (replace(one, kind="show"), replace(one, time=other.time), replace(one, audit_id=other.audit_id)):
        assert unseal(changed, key) is None


def test_an_altered_record_is_not_shown_as_if_it_were_true(home: AuditHome) -> None:
    with home.raw() as database:
        database.execute("UPDATE audit_records SET time = '2020-01-01T00:00:00.000000Z' WHERE sequence = 5")

    assert [opened.state for opened in home.reader.newest()] == ["altered"] + ["readable"] * 4


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json"])
def test_a_damaged_data_key_is_said_to_be_damaged_and_not_taken_for_an_erasure(home: AuditHome, damage: bytes) -> None:
    ana = pseudonym_of(ANA, home.keys.chain_keys())
    (home.keys.folder / "subjects" / f"{ana}.key").write_bytes(damage)

    with pytest.raises(Conflict, match="damaged"):
        home.reader.newest(subject=ANA)
    with home.log() as log, pytest.raises(AuditUnavailable, match="damaged"):
        log.append(Kind.SEARCH, ANA, {}, new_audit_id())


def test_a_damaged_root_key_is_named(home: AuditHome) -> None:
    (home.keys.folder / "audit.key").write_bytes(b"short")

    with pytest.raises(Conflict, match=r"audit\.key is damaged"):
        home.verify()


def test_keys_are_not_printed(home: AuditHome) -> None:
    key = home.keys.data_key(SYSTEM)
    printed = f"{key!r} {key} {home.keys.chain_keys()!r}"

    assert key.key_id in printed
    assert not [secret for secret in (repr(key.secret), key.secret.hex(), "record=") if secret in printed]
