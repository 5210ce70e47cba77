"""Whatever is done to the stored records without the key, verification finds it and says where."""

from __future__ import annotations

import hmac
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from audit_home import ANA, BEN, AuditHome, sqlite_home
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.errors import Conflict
from governance.audit import Entry, Kind, Report, create_schema, new_audit_id
from governance.audit.envelope import COLUMNS, canonical, mac_of

LENGTHS = {"0": 9, "1": 5}
"""Two chains, written by two processes at once."""

Row = dict[str, Any]
positions = st.sampled_from([(chain, place) for chain, length in LENGTHS.items() for place in range(1, length + 1)])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> AuditHome:
    """A whole log of two chains whose records lie between each other."""
    home = sqlite_home(tmp_path_factory.mktemp("original"))
    with home.log() as first, home.log() as second:
        logs = {"0": first, "1": second}
        for number in range(max(LENGTHS.values())):
            for chain, length in LENGTHS.items():
                if number < length:
                    subject = (ANA, BEN, None)[number % 3]
                    entry = Entry(list(Kind)[number % 3], subject, {"number": number}, new_audit_id())
                    assert logs[chain].append_all([entry])[0].chain == chain
    assert home.verify() == Report(records=sum(LENGTHS.values()), chains=2, flaws=())
    return home


@pytest.fixture
def home(original: AuditHome, tmp_path: Path) -> AuditHome:
    """A copy of the log, to be tampered with."""
    return original.copy(tmp_path / "home")


def rows(database: sqlite3.Connection) -> dict[tuple[str, int], Row]:
    stored = database.execute(f"SELECT {', '.join(COLUMNS)} FROM audit_records")
    found = [dict(zip(COLUMNS, row, strict=True)) for row in stored]
    return {(row["chain"], row["sequence"]): row for row in found}


def update(database: sqlite3.Connection, record: int, **values: object) -> None:
    assignments = ", ".join(f"{name} = ?" for name in values)
    database.execute(f"UPDATE audit_records SET {assignments} WHERE id = ?", (*values.values(), record))


def insert(database: sqlite3.Connection, row: Row) -> None:
    marks = ", ".join("?" for _ in row)
    database.execute(f"INSERT INTO audit_records ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def first_bad(report: Report) -> tuple[str, int | None]:
    assert report.first is not None, "the tampering was not found"
    return report.first.chain, report.first.sequence


# Each way to tamper edits the database and returns where the first altered record stood.
Tampering = Callable[[sqlite3.Connection, st.DataObject], tuple[str, int]]


def change_a_column(database: sqlite3.Connection, data: st.DataObject) -> tuple[str, int]:
    place = data.draw(positions)
    row = rows(database)[place]
    column = data.draw(st.sampled_from(COLUMNS))
    other = data.draw(other_value(row[column]))
    assume(other != row[column] or type(other) is not type(row[column]))
    try:
        update(database, row["id"], **{column: other})
    except sqlite3.IntegrityError:
        assume(False)  # the table itself refused
    # A number written as text comes to rest as that number.
    assume(rows(database).get(place) != row)
    return place


def change_to_bytes_that_are_no_text(database: sqlite3.Connection, data: st.DataObject) -> tuple[str, int]:
    place = data.draw(positions)
    column = data.draw(st.sampled_from(["audit_id", "time", "kind", "subject", "key_id"]))
    number = rows(database)[place]["id"]
    database.execute(f"UPDATE audit_records SET {column} = CAST(x'ff' || {column} AS TEXT) WHERE id = ?", (number,))
    return place


def remove(database: sqlite3.Connection, data: st.DataObject) -> tuple[str, int]:
    chain, start = data.draw(positions)
    end = data.draw(st.integers(start, LENGTHS[chain]))
    database.execute("DELETE FROM audit_records WHERE chain = ? AND sequence BETWEEN ? AND ?", (chain, start, end))
    return chain, start


def insert_a_copy(database: sqlite3.Connection, data: st.DataObject) -> tuple[str, int]:
    """Make room by moving every later record up, as far as the chain or only in its numbers."""
    chain, place = data.draw(positions)
    stored = rows(database)
    later = [stored[chain, sequence] for sequence in range(place, LENGTHS[chain] + 1)]
    for row in reversed(later):
        update(database, row["id"], sequence=row["sequence"] + 1)
    source = stored[data.draw(positions)]
    insert(database, {**source, "chain": chain, "sequence": place, "id": later[0]["id"] - data.draw(st.integers(1, 3))})
    return chain, place


def append_a_forged_record(database: sqlite3.Connection, data: st.DataObject) -> tuple[str, int]:
    chain = data.draw(st.sampled_from(sorted(LENGTHS)))
    last = rows(database)[chain, LENGTHS[chain]]
    forged = {**last, "sequence": last["sequence"] + 1, "id": last["id"] + 1024, "previous": last["mac"]}
    forged["mac"] = mac_of([forged[name] for name in COLUMNS[:-1]], data.draw(st.binary(min_size=32, max_size=32)))
    insert(database, forged)
    return chain, forged["sequence"]


def swap(database: sqlite3.Connection, data: st.DataObject) -> tuple[str, int]:
    """Exchange two records of a chain: their contents, their numbers, or a column."""
    (chain, one), other = data.draw(positions), data.draw(st.integers(1, max(LENGTHS.values())))
    assume(other != one and other <= LENGTHS[chain])
    columns = data.draw(
        st.sampled_from([("id",), ("sequence",), ("previous", "mac"), ("nonce", "ciphertext"), COLUMNS[1:], ("mac",)])
    )
    stored = rows(database)
    left, right = stored[chain, one], stored[chain, other]
    # The constraints hold at every step, so one of the two steps aside.
    update(database, left["id"], id=-1, sequence=-1)
    update(database, right["id"], **{**right, **{name: left[name] for name in columns}})
    update(database, -1, **{**left, **{name: right[name] for name in columns}})
    return chain, min(one, other)


def chain_anew_without_the_key(database: sqlite3.Connection, data: st.DataObject) -> tuple[str, int]:
    chain, start = data.draw(positions)
    stored = rows(database)
    key, previous = data.draw(st.binary(min_size=32, max_size=32)), stored[chain, start]["previous"]
    for sequence in range(start, LENGTHS[chain] + 1):
        row = {**stored[chain, sequence], "previous": previous}
        if sequence == start:
            row["kind"] = "altered"
        row["mac"] = previous = mac_of([row[name] for name in COLUMNS[:-1]], key)
        update(database, row["id"], **row)
    return chain, start


def double_a_record(database: sqlite3.Connection, data: st.DataObject) -> tuple[str, int]:
    """Take the table's rules away first: they would refuse."""
    chain, sequence = data.draw(positions)
    database.execute("CREATE TABLE lax AS SELECT * FROM audit_records")
    database.execute("DROP TABLE audit_records")
    database.execute("ALTER TABLE lax RENAME TO audit_records")
    insert(database, rows(database)[chain, sequence])
    return chain, sequence


TAMPERINGS: list[Tampering] = [
    change_a_column,
    change_to_bytes_that_are_no_text,
    remove,
    insert_a_copy,
    append_a_forged_record,
    swap,
    chain_anew_without_the_key,
    double_a_record,
]


def other_value(value: object) -> st.SearchStrategy[object]:
    """Something else to stand where a value stood: near it, far from it, or of another type."""
    if isinstance(value, int):
        return st.integers(value - 3, value + 3) | st.integers(-(2**63), 2**63 - 1) | st.just(value + 0.5) | st.text()
    if isinstance(value, str):
        changed = st.integers(0, len(value) - 1).map(lambda i: value[:i] + chr(ord(value[i]) ^ 1) + value[i + 1 :])
        return changed | st.sampled_from([value[:-1], value + "0", value.encode(), value.upper()]) | st.text()
    assert isinstance(value, bytes)
    flipped = st.integers(0, len(value) * 8 - 1).map(lambda bit: flip(value, bit))
    return flipped | st.sampled_from([value[:-1], value + b"\0", b"", value.hex()]) | st.binary()


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_every_tampering_is_found_and_its_first_record_named(
    original: AuditHome, tmp_path_factory: pytest.TempPathFactory, tamper: Tampering
) -> None:
    home = original.copy(tmp_path_factory.mktemp("tampered") / "home")
    image = original.file.read_bytes()

    @settings(max_examples=250, deadline=None, database=None)
    @given(data=st.data())
    def holds(data: st.DataObject) -> None:
        home.file.write_bytes(image)
        with home.raw() as database:
            database.execute("BEGIN")
            chain, sequence = tamper(database, data)
            database.execute("COMMIT")
        report = home.verify()
        assert first_bad(report) == (chain, sequence)
        assert f"record {sequence}:" in str(report)

    holds()


def test_a_record_moved_to_another_chain_is_missed_where_it_was(home: AuditHome) -> None:
    with home.raw() as database:
        update(database, rows(database)["0", 7]["id"], chain="1")

    assert [(flaw.chain, flaw.sequence) for flaw in home.verify().flaws] == [("0", 7), ("1", 7)]


@pytest.mark.parametrize("column", ["audit_id", "chain", "time", "kind", "subject", "key_id"])
def test_a_text_stored_as_bytes_is_an_altered_record(home: AuditHome, column: str) -> None:
    """SQLite takes any type in any column, and a search for the text no longer finds the bytes."""
    with home.raw() as database:
        database.execute(
            f"UPDATE audit_records SET {column} = CAST({column} AS BLOB) WHERE chain = '0' AND sequence = 3"
        )

    assert first_bad(home.verify()) == ("0", 3)


def test_bytes_that_are_no_text_hide_none_of_the_records_after_them(home: AuditHome) -> None:
    with home.raw() as database:
        database.execute("UPDATE audit_records SET kind = CAST(x'ff' AS TEXT) WHERE chain = '0' AND sequence = 3")

    report = home.verify()

    assert [(flaw.chain, flaw.sequence) for flaw in report.flaws] == [("0", 3)]
    assert report.records == sum(LENGTHS.values())


@pytest.mark.parametrize("number", [-5, 0, 2.5, 1000, "five"])
def test_a_record_whose_number_was_changed_is_missed_where_it_was(home: AuditHome, number: object) -> None:
    with home.raw() as database:
        database.execute("UPDATE audit_records SET sequence = ? WHERE chain = '0' AND sequence = 5", (number,))

    assert first_bad(home.verify()) == ("0", 5)


def test_whatever_bit_of_the_file_is_flipped_no_record_changes_unnoticed(original: AuditHome, tmp_path: Path) -> None:
    draw = random.Random(20261120)
    image = original.file.read_bytes()
    with original.raw() as database:
        before = rows(database)
    home, found = original.copy(tmp_path / "home"), 0
    for _ in range(600):
        home.file.write_bytes(flip(image, draw.randrange(len(image) * 8)))
        if not home.verify().ok:
            found += 1
            continue
        with home.raw() as database:
            stored = database.execute(f"SELECT {', '.join(COLUMNS)} FROM audit_records NOT INDEXED")
            assert {(row[2], row[3]): dict(zip(COLUMNS, row, strict=True)) for row in stored} == before

    assert found > 50


def test_a_cut_tail_is_found_by_the_head_outside_the_database(home: AuditHome) -> None:
    with home.raw() as database:
        database.execute("DELETE FROM audit_records WHERE chain = '0' AND sequence >= 8")

    report = home.verify()

    assert first_bad(report) == ("0", 8)
    assert "tail was cut" in str(report)


@pytest.mark.parametrize("vanished", ["table", "file"])
def test_records_that_vanished_as_a_whole_are_missed_from_the_first_on(home: AuditHome, vanished: str) -> None:
    if vanished == "file":
        home.file.unlink()
    else:
        with home.raw() as database:
            database.execute("DROP TABLE audit_records")

    assert [(flaw.chain, flaw.sequence) for flaw in home.verify().flaws[:2]] == [("0", 1), ("1", 1)]


def test_a_whole_chain_that_is_missing_is_found(home: AuditHome) -> None:
    with home.raw() as database:
        database.execute("DELETE FROM audit_records WHERE chain = '1'")

    assert first_bad(home.verify()) == ("1", 1)


def test_a_head_that_is_missing_or_forged_is_found(home: AuditHome) -> None:
    with home.raw() as database:
        database.execute("DELETE FROM audit_records WHERE chain = '0' AND sequence = 9")
        mac = rows(database)["0", 8]["mac"]
    seal = hmac.digest(bytes(32), canonical(("0", 8, mac)), "sha256")
    (home.heads / "0").write_text(f"{8:020d} {mac.hex()} {seal.hex()}\n")
    forged = home.verify()
    (home.heads / "0").unlink()
    missing = home.verify()

    for report in (forged, missing):
        assert report.first is not None
        assert (report.first.chain, report.first.sequence) == ("0", None)
        assert "head is missing or was altered" in str(report)


def test_the_head_of_one_chain_does_not_serve_another(home: AuditHome) -> None:
    shutil.copy(home.heads / "1", home.heads / "0")

    assert first_bad(home.verify()) == ("0", None)


def test_a_log_is_not_verified_with_another_key(home: AuditHome, tmp_path: Path) -> None:
    other = sqlite_home(tmp_path / "other")
    other.folder.mkdir()
    other.write(1)
    shutil.copy(other.folder / "keys" / "audit.key", home.folder / "keys" / "audit.key")
    swapped = home.verify()
    (home.folder / "keys" / "audit.key").unlink()

    assert first_bad(swapped) == ("0", 1)
    with pytest.raises(Conflict, match="missing"):
        home.verify()


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be taken for one" * 40])
def test_a_file_that_is_no_database_is_reported(home: AuditHome, content: bytes) -> None:
    home.file.write_bytes(content)

    assert first_bad(home.verify()) == ("0", 1)


def test_a_damaged_chain_is_never_written_again_so_its_evidence_stays(home: AuditHome) -> None:
    with home.raw() as database:
        database.execute("DELETE FROM audit_records WHERE chain = '0' AND sequence = 9")

    after = home.write(2)
    report = home.verify()

    assert [(record.chain, record.sequence) for record in after] == [("1", 6), ("1", 7)]
    assert [(flaw.chain, flaw.sequence) for flaw in report.flaws] == [("0", 9)]


def test_a_deleted_head_stays_missed_after_the_log_is_written_again(home: AuditHome) -> None:
    """Otherwise the next command would cover up a tail that was cut together with its head."""
    with home.raw() as database:
        database.execute("DELETE FROM audit_records WHERE chain = '0' AND sequence = 9")
    (home.heads / "0").unlink()

    assert {record.chain for record in home.write(2)} == {"1"}
    assert first_bad(home.verify()) == ("0", None)


@pytest.mark.parametrize(("written", "named"), [(2, 11), (1, 10)], ids=["by the next record", "by the head"])
def test_a_record_of_another_history_of_the_chain_is_found(
    home: AuditHome, tmp_path: Path, written: int, named: int
) -> None:
    """After a restore from a backup the key has signed two records of one number; they must not be mixed."""
    other = home.copy(tmp_path / "other")
    other.write(written)
    home.write(written)
    with other.raw() as database:
        foreign = rows(database)["0", 10]
    with home.raw() as database:
        database.execute("DELETE FROM audit_records WHERE chain = '0' AND sequence = 10")
        insert(database, foreign)

    assert first_bad(home.verify()) == ("0", named)


def test_records_of_another_history_are_not_built_upon(home: AuditHome, tmp_path: Path) -> None:
    other = home.copy(tmp_path / "other")
    other.write(1)
    home.write(1)
    home.file.write_bytes(other.file.read_bytes())

    assert {record.chain for record in home.write(1)} == {"1"}
    assert first_bad(home.verify()) == ("0", 10)


def test_a_head_read_while_it_is_being_written_is_read_again(home: AuditHome, monkeypatch: pytest.MonkeyPatch) -> None:
    head = home.heads / "0"
    whole = head.read_bytes()
    head.write_bytes(whole[:60] + b"0" * 30 + whole[90:])
    monkeypatch.setattr("governance.audit.chain.time.sleep", lambda _: head.write_bytes(whole))

    assert home.verify().ok


def test_verifying_while_records_are_written_finds_nothing_wrong(home: AuditHome) -> None:
    with home.log() as log:
        for _ in range(40):
            pending = log.submit([Entry(Kind.SEARCH, ANA, {}, new_audit_id())])
            assert home.verify().ok
            pending.wait()


@pytest.fixture
def postgres_home(postgres_url: str, tmp_path: Path) -> Iterator[AuditHome]:
    engine = sa.create_engine(postgres_url)
    create_schema(engine)
    yield AuditHome(tmp_path, engine)
    engine.dispose()


def test_a_whole_log_is_whole_wherever_postgresql_keeps_its_rows(postgres_home: AuditHome) -> None:
    postgres_home.write(4)
    assert isinstance(postgres_home.database, sa.Engine)
    with postgres_home.database.begin() as connection:
        connection.exec_driver_sql("UPDATE audit_records SET kind = kind WHERE sequence = 2")  # moves it to the end

    assert postgres_home.verify().ok


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE audit_records SET kind = 'show' WHERE sequence = 4", 4),
        ("UPDATE audit_records SET ciphertext = ciphertext || '\\x00'::bytea WHERE sequence = 1", 1),
        ("UPDATE audit_records SET sequence = -sequence WHERE sequence = 5", 5),
        ("UPDATE audit_records SET sequence = 7 - sequence WHERE sequence = 3", 3),
        ("DELETE FROM audit_records WHERE sequence IN (2, 3)", 2),
        ("DELETE FROM audit_records WHERE sequence = 6", 6),
    ],
)
def test_tampering_is_found_and_located_on_postgresql_too(postgres_home: AuditHome, statement: str, place: int) -> None:
    postgres_home.write(6)
    assert postgres_home.verify().ok
    assert isinstance(postgres_home.database, sa.Engine)
    with postgres_home.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_records DROP CONSTRAINT audit_records_chain_sequence_key")
        connection.exec_driver_sql(statement)

    assert first_bad(postgres_home.verify()) == ("0", place)
