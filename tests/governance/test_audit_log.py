"""What the audit log promises those who write and read it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from audit_home import ANA, BEN, AuditHome, sqlite_home
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import AuditUnavailable, NotFound
from governance.audit import Entry, Kind, Report, create_schema, new_audit_id
from governance.audit.table import sqlite_engine


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AuditHome]:
    if request.param == "sqlite":
        yield sqlite_home(tmp_path)
        return
    engine = sa.create_engine(request.getfixturevalue("postgres_url"))
    create_schema(engine)
    yield AuditHome(tmp_path, engine)
    engine.dispose()


def test_a_request_is_told_in_order_by_the_records_that_share_its_id(home: AuditHome) -> None:
    audit_id = new_audit_id()
    with home.log() as log:
        log.append(Kind.INTENT, ANA, {"question": "How long is the notice period?"}, audit_id)
        log.append(Kind.INTENT, BEN, {"question": "another"}, new_audit_id())
        evidence = Entry(Kind.EVIDENCE, ANA, {"chunks": ["c1"]}, audit_id)
        receipt = Entry(Kind.RECEIPT, ANA, {"answer": "Three months."}, audit_id)
        log.append_all([evidence, receipt])

    told = home.reader.show(audit_id)

    assert [opened.record.kind for opened in told] == ["intent", "evidence", "receipt"]
    assert [opened.subject for opened in told] == [ANA] * 3
    assert told[0].content == {"question": "How long is the notice period?"}
    assert told[2].content == {"answer": "Three months."}


def test_an_audit_id_nobody_was_given_is_not_found(home: AuditHome) -> None:
    home.write(1)

    with pytest.raises(NotFound):
        home.reader.show(new_audit_id())


def test_sequence_numbers_count_from_one_and_each_record_names_the_one_before(home: AuditHome) -> None:
    records = home.write(3) + home.write(2)

    assert [record.sequence for record in records] == [1, 2, 3, 4, 5]
    assert [record.previous for record in records[1:]] == [record.mac for record in records[:-1]]
    assert len({record.chain for record in records}) == 1


def test_processes_at_the_same_time_write_chains_of_their_own(home: AuditHome) -> None:
    with home.log() as first, home.log() as second:
        one = first.append(Kind.SEARCH, ANA, {}, new_audit_id())
        two = second.append(Kind.SEARCH, ANA, {}, new_audit_id())
        report = home.verify()

    assert (one.chain, one.sequence) != (two.chain, two.sequence)
    assert (report.ok, report.records, report.chains) == (True, 2, 2)


def test_threads_share_one_log_and_no_record_is_lost(home: AuditHome) -> None:
    with home.log() as log:

        def ask() -> None:
            for number in range(15):
                log.append(Kind.SEARCH, ANA, {"number": number}, new_audit_id())

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert home.verify().ok
    assert [opened.record.sequence for opened in home.reader.newest(limit=1000)] == list(range(90, 0, -1))


def test_records_that_wait_together_share_one_commit(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'audit.db'}")
    create_schema(engine)
    home = AuditHome(tmp_path, engine)
    with home.log() as log:
        log.append_all([])
        commits: list[sa.Connection] = []
        sa.event.listen(engine, "commit", commits.append)
        with engine.connect() as holder:
            holder.exec_driver_sql("BEGIN IMMEDIATE")
            pending = [log.submit([Entry(Kind.SEARCH, ANA, {}, new_audit_id())]) for _ in range(40)]
            holder.rollback()
        records = [record for each in pending for record in each.wait()]

    assert [record.sequence for record in records] == list(range(1, 41))
    # The first may have been on its way alone before the others came.
    assert len(commits) <= 2
    engine.dispose()


def test_newest_first_by_kind_by_person_and_since(home: AuditHome) -> None:
    with home.log() as log:
        log.append(Kind.SEARCH, ANA, {"n": 1}, new_audit_id())
        log.append(Kind.SEARCH, BEN, {"n": 2}, new_audit_id())
        between = datetime.now(UTC)
        log.append(Kind.ADMIN, None, {"n": 3}, new_audit_id())
        log.append(Kind.SEARCH, ANA, {"n": 4}, new_audit_id())

    def numbers(**filters: object) -> list[int]:
        return [opened.content["n"] for opened in home.reader.newest(**filters) if opened.content]  # type: ignore[arg-type]

    assert numbers() == [4, 3, 2, 1]
    assert numbers(limit=2) == [4, 3]
    assert numbers(kind=Kind.SEARCH) == [4, 2, 1]
    assert numbers(subject=BEN) == [2]
    assert numbers(since=between) == [4, 3]
    assert numbers(since=between + timedelta(hours=1)) == []


leaves = st.none() | st.booleans() | st.integers() | st.text(st.characters()) | st.floats(allow_nan=False, width=16)
json_values = st.recursive(
    leaves.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def test_what_was_recorded_is_what_is_read(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    with home.log() as log:

        @settings(max_examples=60, deadline=None, database=None)
        @given(content=st.dictionaries(st.text(st.characters()), json_values, max_size=4))
        def holds(content: dict[str, object]) -> None:
            audit_id = new_audit_id()
            log.append(Kind.RECEIPT, ANA, content, audit_id)
            assert home.reader.show(audit_id)[0].content == json.loads(json.dumps(content))

        holds()


def test_neither_names_nor_words_can_be_read_in_the_database(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    with home.log() as log:
        log.append(Kind.INTENT, BEN, {"question": "canary-question"}, new_audit_id())
        files = [path for path in tmp_path.iterdir() if path.is_file()]
        stored = b"".join(path.read_bytes() for path in files)

    assert b"intent" in stored
    assert not [word for word in (b"canary", b"ben", b"id.example") if word in stored]


def test_a_log_nobody_writes_to_leaves_nothing_on_disk(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path / "home")
    with home.log():
        pass

    assert not home.folder.exists()
    assert home.reader.newest() == []
    assert home.verify().ok


def test_before_the_first_record_there_is_nothing_to_list_and_nothing_wrong(home: AuditHome) -> None:
    assert home.reader.newest(subject=ANA) == []
    assert home.verify() == Report(records=0, chains=0, flaws=())
    with pytest.raises(NotFound):
        home.reader.show(new_audit_id())


def test_a_closed_log_refuses_records(home: AuditHome) -> None:
    log = home.log()
    log.close()

    with pytest.raises(AuditUnavailable, match="closed"):
        log.append(Kind.SEARCH, ANA, {}, new_audit_id())


def test_opening_a_log_from_a_newer_version_is_refused(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    home.write(1)
    with home.raw() as database:
        database.execute("PRAGMA user_version = 99")

    with home.log() as log, pytest.raises(AuditUnavailable, match="newer version"):
        log.append_all([])


def test_a_commit_on_sqlite_is_on_disk_before_it_returns(tmp_path: Path) -> None:
    """In WAL mode that takes synchronous=FULL (2); with NORMAL a power cut loses the last commits."""
    sqlite_home(tmp_path).write(1)
    engine = sqlite_engine(tmp_path / "audit.db", 1.0, read_only=False)
    with engine.connect() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")
        ]
    engine.dispose()

    assert pragmas == ["wal", 2]


def test_records_keep_their_order_when_the_clock_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = sqlite_home(tmp_path)
    now = home.write(1)[0]
    monkeypatch.setattr("governance.audit.log.time.time_ns", lambda: 1_000_000_000)

    back = home.write(1)[0]

    assert back.id > now.id
    assert back.time < now.time
    assert home.verify().ok


def test_audit_ids_are_uuids_that_grow_with_time() -> None:
    ids = [new_audit_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert sorted(ids, key=lambda text: text[:13]) == ids
    assert all(text[14] == "7" and text[19] in "89ab" for text in ids)
