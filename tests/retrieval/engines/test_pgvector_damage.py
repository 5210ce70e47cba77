"""What is damaged in PostgreSQL is found and named; what is damaged beside a reader is fetched again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from engines_under_test import OTHER_MACHINE, EngineUnderTest, rank, row_of
from pyroaring import BitMap

from core.errors import IndexDamaged, Transient

DAMAGES: dict[str, tuple[str, str]] = {
    "a vector altered": (
        "UPDATE vectors_1 SET vector = vector + vector WHERE row = 7",
        "row 7 is not what was written",
    ),
    "a vector lost": ("DELETE FROM vectors_1 WHERE row = 7", "row 7 is missing"),
    "a vector too many": (
        "INSERT INTO vectors_1 SELECT 99, born, died, locality, digest, vector FROM vectors_1 LIMIT 1",
        "row 99",
    ),
    "a file lost": ("DELETE FROM file WHERE part = 0", "file.*missing"),
    "a file altered": ("UPDATE file SET content = overlay(content PLACING 'xx' FROM 200)", "not what was written"),
}


@pytest.fixture
def stored(index_database: str, tmp_path: Path) -> EngineUnderTest:
    engine = EngineUnderTest("pgvector", index_database, tmp_path)
    engine.publish(range(30))
    return engine


def execute(engine: EngineUnderTest, statement: str) -> None:
    with psycopg.connect(engine.place.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"SET search_path = {engine.index}, public")
        connection.execute(statement)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_altered_in_the_database_is_named_and_a_rebuild_mends_it(stored: EngineUnderTest, damage: str) -> None:
    stored.reader().verify()
    statement, named = DAMAGES[damage]
    execute(stored, statement)
    with pytest.raises(IndexDamaged, match=rf"(?s){named}.*footnote index rebuild"):
        stored.reader().verify()
    stored.writer().rebuild(map(row_of, range(30)))
    stored.reader().verify()
    assert len(rank(stored.ranker(), "alpha", range(40), 40).hits) == 30


def test_a_lost_vector_is_told_and_not_ranked_as_nothing(stored: EngineUnderTest) -> None:
    ranker = stored.ranker()
    execute(stored, "DELETE FROM vectors_1 WHERE row = 7")
    with pytest.raises(IndexDamaged, match="row 7"):
        rank(ranker, "alpha", range(40), 40)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("hurt", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["manifest.json", "rows.npy", "chunks.npy"])
def test_what_is_damaged_beside_a_reader_is_fetched_again(
    stored: EngineUnderTest, name: str, hurt: Callable[[Path], None]
) -> None:
    expected = rank(stored.ranker(), "alpha", range(40), 40).hits
    (path,) = (stored.folder / "read").rglob(name)
    hurt(path)
    assert rank(stored.ranker(), "alpha", range(40), 40).hits == expected


def test_what_a_writer_left_unfinished_on_its_machine_counts_for_nothing(stored: EngineUnderTest) -> None:
    elsewhere = EngineUnderTest("pgvector", stored.place, stored.folder / OTHER_MACHINE)
    elsewhere.publish([50])
    stored.publish([51])
    assert stored.reader().snapshot().rows() == elsewhere.reader().snapshot().rows() == BitMap([*range(30), 50, 51])


def test_a_database_that_does_not_answer_is_waited_for(stored: EngineUnderTest) -> None:
    away = EngineUnderTest("pgvector", "postgresql+psycopg://127.0.0.1:1/none", stored.folder)
    for ask in (away.reader().snapshot, away.reader().verify, lambda: away.publish([1])):
        with pytest.raises(Transient, match="PostgreSQL does not answer"):
            ask()
