"""What is damaged in PostgreSQL is found and named; what is damaged beside a reader is fetched again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from engines_under_test import OTHER_MACHINE, EngineUnderTest, rank, row_of
from pyroaring import BitMap

from core.errors import IndexDamaged, Transient
from retrieval.engines.mirror import Mirror
from retrieval.index import checking
from retrieval.index.manifest import MANIFEST, SEGMENTS
from retrieval.index.storage import FileRecord, sha256_of

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


@pytest.mark.parametrize("hurt", [cut, Path.unlink])
@pytest.mark.parametrize("name", ["manifest.json", "rows.npy", "chunks.npy"])
def test_what_is_cut_or_gone_beside_a_writer_is_fetched_again(
    stored: EngineUnderTest, name: str, hurt: Callable[[Path], None]
) -> None:
    (path,) = (stored.folder / "written").rglob(name)
    hurt(path)
    stored.publish([50])
    assert stored.reader().snapshot().rows() == BitMap([*range(30), 50])
    stored.reader().verify()


def test_what_decays_beside_a_reader_is_found_in_the_background_and_fetched_again(
    stored: EngineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The large files are taken on trust where they stand as they were read: here all are large."""
    monkeypatch.setattr(checking, "_REMEMBERED_FROM_BYTES", 0)
    ranker = stored.ranker()
    expected = rank(ranker, "alpha", range(40), 40).hits
    (path,) = (stored.folder / "read").rglob("chunks.npy")
    sound = path.read_bytes()
    flip(path)

    ranker.reader.check_remembered()

    assert rank(ranker, "alpha", range(40), 40).hits == expected
    assert path.read_bytes() == sound


def test_a_pull_fetches_what_is_missing_or_another_and_removes_what_is_neither(tmp_path: Path) -> None:
    """Also a manifest that is as long as the one before it; it comes last."""
    mirror, rows = Mirror(tmp_path), f"{SEGMENTS}/a/rows.npy"
    fetched: list[bytes] = []

    def pull(**files: bytes) -> list[bytes]:
        fetched.clear()
        named = {MANIFEST: files["manifest"], rows: files["rows"]}
        stored = {hashlib.sha256(content).hexdigest(): content for content in named.values()}
        wanted = {
            name: FileRecord(len(content), hashlib.sha256(content).hexdigest()) for name, content in named.items()
        }

        def fetch(record: FileRecord) -> list[bytes]:
            fetched.append(stored[record.sha256])
            return fetched[-1:]

        mirror.pull(wanted, fetch)
        assert mirror.files() == wanted
        return list(fetched)

    assert pull(manifest=b"one", rows=b"rows") == [b"rows", b"one"]
    assert pull(manifest=b"one", rows=b"rows") == []
    assert pull(manifest=b"two", rows=b"rows") == [b"two"]
    (tmp_path / SEGMENTS / "b").mkdir()
    (tmp_path / SEGMENTS / "b" / "rows.npy").write_bytes(b"rows of nobody")
    assert pull(manifest=b"two", rows=b"more rows") == [b"more rows"]


@pytest.mark.parametrize("differs", ["the file", "its time", "its size"])
def test_one_thing_that_differs_tells_that_a_mirrored_file_is_another(tmp_path: Path, differs: str) -> None:
    """Two manifests that were written in one tick of the clock may be as long as each other."""
    mirror, path = Mirror(tmp_path), tmp_path / MANIFEST
    path.write_bytes(b"one")
    assert mirror.files() == {MANIFEST: FileRecord(3, sha256_of(path))}
    before = path.stat()
    written = path if differs != "the file" else path.with_suffix(".new")
    written.write_bytes(b"three" if differs == "its size" else b"two")
    written.replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + (10**9 if differs == "its time" else 0)))

    assert mirror.files() == {MANIFEST: FileRecord(path.stat().st_size, sha256_of(path))}


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
