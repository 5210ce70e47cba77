"""When a record cannot be written the caller is refused, and the chain goes on whole afterwards."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from audit_home import ANA, BEN, AuditHome, sqlite_home

from core.errors import AuditUnavailable
from governance.audit import AuditLog, Entry, Kind, create_schema, new_audit_id

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
# Far over the limits that these tests set, and far under the hours that whoever hangs would wait.
SOON_S = 20.0


def append(log: AuditLog, **content: object) -> None:
    log.append(Kind.SEARCH, ANA, content, new_audit_id())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As if the disk were full for whatever would grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_refuses_and_the_chain_goes_on_when_there_is_room(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    with home.log() as log:
        append(log, number=1)
        with largest_file(200_000):
            append(log, number=2)
            with pytest.raises(AuditUnavailable, match=r"full|I/O"):
                append(log, text="x" * 1_000_000)
        append(log, number=3)

    assert [opened.content for opened in home.reader.newest()] == [{"number": n} for n in (3, 2, 1)]
    assert home.verify().ok


def test_who_writes_to_the_same_file_waits_for_its_turn_and_no_longer(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    with home.log() as log:
        append(log, number=1)
        with next(tmp_path.rglob("turn")).open("ab") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            waiting = log.submit([Entry(Kind.SEARCH, ANA, {"number": 2}, new_audit_id())])
            time.sleep(0.3)
            assert not waiting.written.done()
        assert len(waiting.wait()) == 1

    assert home.verify().ok


def test_a_locked_database_refuses_within_the_limit(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    with home.log(limit_s=0.5) as log:
        written_within(log, seconds=60)
        holder = sqlite3.connect(home.file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(AuditUnavailable, match=r"locked|not on disk after 0\.5 s"):
            append(log, number=2)
        waited = time.monotonic() - started
        holder.execute("ROLLBACK")
        holder.close()
        written_within(log, seconds=60)

    assert waited < SOON_S
    assert home.verify().ok


def written_within(log: AuditLog, seconds: float) -> None:
    """Append as soon as the log takes records again."""
    until = time.monotonic() + seconds
    while True:
        try:
            return append(log, again=True)
        except AuditUnavailable:
            assert time.monotonic() < until, "the log did not recover"
            time.sleep(0.05)


@contextmanager
def without_superuser_rights() -> Iterator[None]:
    """As somebody whom file modes bind; the superuser is not bound by any."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only_home() -> Iterator[AuditHome]:
    """A home with one record where only the chains' locks may be written; beside the others' folders, which are
    closed to whom file modes bind."""
    folder = Path(tempfile.mkdtemp())
    home = sqlite_home(folder)
    home.write(1)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for lock in (folder / "audit" / "chains").iterdir():
        lock.chmod(0o666)
    yield home
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_home_that_may_only_be_read_refuses(read_only_home: AuditHome) -> None:
    with without_superuser_rights(), read_only_home.log() as log, pytest.raises(AuditUnavailable, match="denied"):
        append(log)

    assert read_only_home.verify().records == 1


def test_keys_that_are_gone_refuse_and_are_not_replaced(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    with home.log() as log:
        append(log, number=1)
        home.keys.folder.rename(tmp_path / "elsewhere")
        for subject in (ANA, BEN, None):
            with pytest.raises(AuditUnavailable):
                log.append(Kind.SEARCH, subject, {}, new_audit_id())
        assert not home.keys.folder.exists()
        (tmp_path / "elsewhere").rename(home.keys.folder)
        append(log, number=2)

    assert home.verify().ok


@pytest.mark.parametrize("left", ["heads and records", "records", "heads"])
def test_a_lost_root_key_is_never_replaced_while_anything_was_written_with_it(tmp_path: Path, left: str) -> None:
    home = sqlite_home(tmp_path)
    home.write(1)
    key = home.keys.folder / "audit.key"
    kept = key.read_bytes()
    key.unlink()
    if left == "records":
        shutil.rmtree(home.heads)
    if left == "heads":
        home.file.unlink()

    with home.log() as log, pytest.raises(AuditUnavailable, match="missing"):
        append(log)

    assert not key.exists()
    key.write_bytes(kept)
    if left == "heads and records":
        assert home.write(1)[0].sequence == 2


def test_a_log_that_hangs_takes_no_more_than_it_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance.audit.log._WAITING", 5)
    home = sqlite_home(tmp_path)
    entry = Entry(Kind.SEARCH, ANA, {}, new_audit_id())
    with home.log() as log:
        append(log, number=1)
        holder = sqlite3.connect(home.file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(AuditUnavailable, match="wait for it already"):
            for _ in range(7):  # one may be on its way, five wait
                log.submit([entry])
        holder.close()

    assert home.verify().ok


def test_a_folder_for_chains_that_cannot_be_made_refuses(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    (tmp_path / "audit").write_text("in the way")

    with home.log() as log, pytest.raises(AuditUnavailable):
        append(log)


def test_a_head_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    with home.log() as log:
        append(log, number=1)
        (home.heads / "0").unlink()
        with pytest.raises(AuditUnavailable):
            append(log, number=2)
        after = log.append(Kind.SEARCH, ANA, {}, new_audit_id())

    assert (after.chain, after.sequence) == ("1", 1)
    assert not home.verify().ok


def test_content_that_is_no_json_is_a_bug_and_harms_no_other_record(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    with home.log() as log:
        with pytest.raises(TypeError):
            append(log, value=object())
        append(log, number=1)

    assert home.verify().records == 1


def test_a_crash_before_the_head_was_written_is_mended_and_raises_no_alarm(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    home.write(2)
    head = (home.heads / "0").read_bytes()
    home.write(3)
    (home.heads / "0").write_bytes(head)  # as a kill between commit and head leaves it

    assert home.verify().ok
    assert home.write(1)[0].sequence == 6
    with home.raw() as database:
        database.execute("DELETE FROM audit_records WHERE sequence = 6")
    assert not home.verify().ok


def test_a_forged_record_beyond_the_head_is_not_built_upon(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    home.write(2)
    with home.raw() as database:
        columns = "audit_id, time, kind, subject, key_id, nonce, ciphertext, mac"
        forged = f"SELECT id + 1024, chain, sequence + 1, mac, {columns} FROM audit_records WHERE sequence = 2"
        database.execute(f"INSERT INTO audit_records (id, chain, sequence, previous, {columns}) {forged}")

    record = home.write(1)[0]

    assert (record.chain, record.sequence) == ("1", 1)
    assert str(home.verify().first).startswith("Chain 0, record 3")


def test_whatever_moment_the_writer_is_killed_no_acknowledged_record_is_lost(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    script = f"""
        import sys
        from pathlib import Path
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        from audit_home import ANA, sqlite_home
        from governance.audit import Entry, Kind, new_audit_id
        log = sqlite_home(Path({str(tmp_path)!r})).log()
        while True:
            records = log.append_all([Entry(Kind.SEARCH, ANA, {{}}, new_audit_id())] * 2)
            print(records[-1].chain, records[-1].sequence, flush=True)
    """
    acknowledged = 0
    for after_s in (0.0, 0.003, 0.011, 0.023, 0.05, 0.08):
        command = [sys.executable, "-c", textwrap.dedent(script)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            lines = [writer.stdout.readline()]
            time.sleep(after_s)
            writer.kill()
            lines += writer.stdout.readlines()
        chain, sequence = lines[-1].split() if lines[-1].endswith("\n") else lines[-2].split()
        report = home.verify()
        assert report.ok, report
        assert chain == "0"
        assert acknowledged < int(sequence) <= report.records
        acknowledged = int(sequence)


@pytest.fixture
def postgres_home(postgres_url: str, tmp_path: Path) -> Iterator[AuditHome]:
    engine = sa.create_engine(postgres_url)
    create_schema(engine)
    yield AuditHome(tmp_path, engine)
    engine.dispose()


def test_a_table_that_is_held_on_postgresql_refuses_within_the_limit(postgres_home: AuditHome) -> None:
    assert isinstance(postgres_home.database, sa.Engine)
    with postgres_home.log(limit_s=0.5) as log:
        written_within(log, seconds=60)
        with postgres_home.database.begin() as holder:
            holder.exec_driver_sql("LOCK TABLE audit_records IN ACCESS EXCLUSIVE MODE")
            started = time.monotonic()
            with pytest.raises(AuditUnavailable):
                append(log, number=2)
            waited = time.monotonic() - started
        written_within(log, seconds=60)

    assert waited < SOON_S
    assert postgres_home.verify().ok


def servers_of(home: AuditHome) -> list[int]:
    """The server processes behind the log's connections."""
    assert isinstance(home.database, sa.Engine)
    watcher = sa.create_engine(home.database.url, poolclass=sa.NullPool)
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with watcher.connect() as connection:
        return list(connection.exec_driver_sql(query).scalars())


def test_a_database_server_that_hangs_refuses_within_the_limit(postgres_home: AuditHome) -> None:
    with postgres_home.log(limit_s=0.5) as log:
        written_within(log, seconds=60)
        servers = servers_of(postgres_home)
        for server in servers:
            os.kill(server, signal.SIGSTOP)
        try:
            for number in range(2, 6):
                with pytest.raises(AuditUnavailable, match="not on disk"):
                    append(log, number=number)
        finally:
            for server in servers:
                os.kill(server, signal.SIGCONT)
        written_within(log, seconds=60)

    report = postgres_home.verify()
    assert report.ok
    # Of those that were refused only the one that was on its way may have come through.
    assert report.records <= 3


def test_a_commit_reaches_the_disk_although_the_server_is_set_up_not_to_wait(postgres_home: AuditHome) -> None:
    assert isinstance(postgres_home.database, sa.Engine)
    with postgres_home.database.begin() as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    postgres_home.database.dispose()
    seen: list[str] = []

    @sa.event.listens_for(postgres_home.database, "commit")
    def look(connection: sa.Connection) -> None:
        seen.append(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one())

    postgres_home.write(1)

    assert seen == ["on"]


def test_a_connection_that_breaks_refuses_once_and_the_next_record_is_written(postgres_home: AuditHome) -> None:
    with postgres_home.log() as log:
        append(log, number=1)
        for server in servers_of(postgres_home):
            os.kill(server, signal.SIGTERM)
        with pytest.raises(AuditUnavailable):
            append(log, number=2)
        append(log, number=3)

    assert postgres_home.verify().ok
    assert [opened.record.sequence for opened in postgres_home.reader.newest()] == [2, 1]


def test_a_refused_record_leaves_no_gap_for_those_that_come_together(tmp_path: Path) -> None:
    home = sqlite_home(tmp_path)
    with home.log() as log:
        append(log, number=1)
        with largest_file(100_000):
            large = log.submit([Entry(Kind.SEARCH, ANA, {"text": "x" * 500_000}, new_audit_id())])
            with pytest.raises(AuditUnavailable):
                large.wait()
        assert log.append(Kind.SEARCH, ANA, {}, new_audit_id()).sequence == 2

    assert home.verify().ok
