"""An index moves between engines while questions go on, and only where it is the same afterwards."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from apps.cli.main import invoke
from core.principals import parse_principal
from retrieval.engines.switching import SIGNPOST, Place, Signpost, SwitchingReader, SwitchingWriter, Whereabouts
from retrieval.index import IndexReader, IndexRow, IndexWriter
from wiring.home import Home
from wiring.lifecycle import open_home
from wiring.settings import load_settings

Footnote = Callable[..., Any]
ANA = parse_principal("user:ana")
SUBJECTS = ("leave", "travel", "notice", "invoice", "contract")
QUERIES = ("annual leave", "notice of travel 7", "invoice", "contract 3")


@pytest.fixture
def footnote(
    tmp_path: Path,
    postgres_url: str,
    milvus_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Footnote:
    """Runs one command on a home of this test's own, with PostgreSQL and Milvus beside it, and reads what it prints."""
    monkeypatch.setenv("FOOTNOTE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hashing")
    monkeypatch.setenv("FOOTNOTE_PGVECTOR_URL", postgres_url)
    monkeypatch.setenv("FOOTNOTE_MILVUS_URL", milvus_server)
    monkeypatch.chdir(tmp_path)

    def ran(*arguments: str, code: int = 0) -> Any:
        capfd.readouterr()
        assert invoke([*arguments, "--json"]) == code
        return json.loads(capfd.readouterr().out)

    return ran


def write(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        subject = SUBJECTS[number % len(SUBJECTS)]
        text = f"# {subject.title()} {number}\n\nWhat holds for {subject}, number {number}: annual rules.\n"
        (folder / f"{number:03}.md").write_text(text)
    return folder


@pytest.fixture
def filled(footnote: Footnote, tmp_path: Path) -> Footnote:
    footnote("init")
    footnote("ingest", str(write(tmp_path / "org", range(40))), "--allow", "everyone")
    return footnote


def answers(home: Home) -> list[list[tuple[int, float]]]:
    return [[(hit.passage.row, hit.score) for hit in home.searcher.search(query, ANA, 20).hits] for query in QUERIES]


def opened() -> Home:
    return open_home(load_settings({}).settings)


@pytest.mark.parametrize("engine", ["pgvector", "milvus"])
def test_questions_go_on_while_the_index_moves_there_and_back(filled: Footnote, engine: str, tmp_path: Path) -> None:
    with opened() as home:
        expected = answers(home)
        done, wrong, asked = threading.Event(), [], [0]

        def ask() -> None:
            while not done.is_set():
                try:
                    if answers(home) != expected:
                        wrong.append("another answer")
                except BaseException as error:
                    wrong.append(error)
                    raise
                asked[0] += 1

        asking = threading.Thread(target=ask)
        asking.start()
        there = filled("index", "move", "--to", engine)
        before = asked[0]
        while asked[0] < before + 2 and asking.is_alive():
            done.wait(0.01)
        back = filled("index", "move", "--to", "faiss")
        done.set()
        asking.join(60)
        assert not wrong
        assert answers(home) == expected
    assert (there["switched"], there["from"]["engine"], there["to"]["engine"]) == (True, "faiss", engine)
    assert there["from"]["checksum"] == there["to"]["checksum"] == back["to"]["checksum"]
    assert there["to"]["chunks"] == 40
    assert back["from"]["engine"] == engine


@pytest.mark.parametrize("engine", ["pgvector", "milvus"])
def test_after_a_move_documents_come_and_go_in_the_new_engine(filled: Footnote, engine: str, tmp_path: Path) -> None:
    filled("index", "move", "--to", engine)
    filled("ingest", str(write(tmp_path / "org", range(40, 45))), "--allow", "everyone")
    status = filled("index", "status")
    assert (status["engine"], status["chunks"]) == (engine, 45)
    assert filled("index", "verify") == {"ok": True, "chunks": 45}
    assert filled("index", "rebuild")["chunks"] == 45
    with opened() as home:
        assert len(answers(home)[0]) == 20


def places(home: Path, url: str) -> tuple[bool, int]:
    """Whether the home holds segments of its own, and how many indexes are in PostgreSQL."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'footnote_%'").fetchone()
    return (home / "index" / "manifest.json").exists(), row[0] if row else 0


def test_compaction_empties_the_place_that_was_left(filled: Footnote, tmp_path: Path, postgres_url: str) -> None:
    home = tmp_path / "home"
    assert places(home, postgres_url) == (True, 0)
    filled("index", "move", "--to", "pgvector")
    assert places(home, postgres_url) == (True, 1), "questions under way are answered from there"
    filled("compact")
    assert places(home, postgres_url) == (False, 1)
    filled("index", "move", "--to", "faiss")
    filled("compact")
    assert places(home, postgres_url) == (False, 0)
    assert filled("index", "status") == {"generation": 1, "chunks": 40, "engine": "faiss"}


def test_an_index_that_is_not_what_the_catalog_says_is_not_moved(
    filled: Footnote, tmp_path: Path, postgres_url: str
) -> None:
    catalog = tmp_path / "home" / "catalog.db"
    with closing(sqlite3.connect(catalog)) as connection, connection:
        (row, hash_, data) = connection.execute(
            "SELECT chunks.id, vectors.hash, vectors.data FROM chunks JOIN vectors ON hash = vector_hash "
            "ORDER BY chunks.id LIMIT 1 OFFSET 5"
        ).fetchone()
        other = np.roll(np.frombuffer(data, "<f2"), 1).tobytes()
        connection.execute("UPDATE vectors SET data = ? WHERE hash = ?", [other, hash_])
    report = filled("index", "move", "--to", "pgvector", code=1)
    assert (report["switched"], report["differing_rows"]) == (False, [row])
    assert report["from"]["checksum"] != report["to"]["checksum"]
    assert filled("index", "status")["engine"] == "faiss"
    assert places(tmp_path / "home", postgres_url) == (True, 0)


def test_a_home_may_begin_in_another_engine(
    footnote: Footnote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_INDEX_ENGINE", "pgvector")
    footnote("init")
    assert footnote("index", "status") == {"generation": 0, "chunks": 0, "engine": "pgvector"}
    footnote("ingest", str(write(tmp_path / "org", range(5))), "--allow", "everyone")
    assert footnote("index", "status")["chunks"] == 5
    assert not (tmp_path / "home" / "index" / "manifest.json").exists()
    monkeypatch.setenv("FOOTNOTE_INDEX_ENGINE", "faiss")
    assert footnote("index", "status") == {"generation": 1, "chunks": 5, "engine": "pgvector"}, "where it is, it stays"


@pytest.mark.parametrize(
    ("to", "words"),
    [("faiss", "in faiss already"), ("oracle", "no engine.*faiss, pgvector"), ("pgvector", "pgvector_url")],
)
def test_what_cannot_be_moved_to_is_said(
    filled: Footnote, to: str, words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FOOTNOTE_PGVECTOR_URL")
    assert invoke(["index", "move", "--to", to]) != 0
    assert re.search(words, capfd.readouterr().err.replace("\n", " "))


@pytest.mark.parametrize("differs", ["the file", "its time", "its size"])
def test_one_thing_that_differs_tells_that_the_index_has_moved(tmp_path: Path, differs: str) -> None:
    signpost, path = Signpost(tmp_path, lambda: Place("faiss")), tmp_path / SIGNPOST
    Signpost(tmp_path, lambda: Place("faiss")).write(Whereabouts(Place("milvus", "one")))
    assert signpost.read().present.name == "one"
    before = path.stat()
    Signpost(tmp_path / "beside", lambda: Place("faiss")).write(Whereabouts(Place("milvus", "two")))
    written = tmp_path / "beside" / SIGNPOST
    if differs == "the file":
        written.replace(path)
    else:
        path.write_bytes(written.read_bytes() + (b"\n" if differs == "its size" else b""))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + (10**9 if differs == "its time" else 0)))

    assert signpost.read().present.name == "two"


def test_whoever_follows_the_signpost_reads_and_writes_where_the_index_is_now(tmp_path: Path) -> None:
    """What was opened is kept for its place, which is an engine and a name."""
    signpost = Signpost(tmp_path, lambda: Place("faiss"))
    opened: list[Place] = []

    def open_at(place: Place) -> IndexWriter:
        opened.append(place)
        return IndexWriter(tmp_path / place.engine / place.name, "any", 2)

    def read_at(place: Place) -> IndexReader:
        return IndexReader(tmp_path / place.engine / place.name)

    writer, reader = SwitchingWriter(signpost, open_at, lambda _: None), SwitchingReader(signpost, read_at)
    places = [
        Place("faiss"),
        Place("milvus", "one"),
        Place("pgvector", "one"),
        Place("pgvector", "two"),
        Place("faiss"),
    ]
    for place in places:
        signpost.write(Whereabouts(place))
        before = reader.snapshot().rows()
        for _ in range(2):
            writer.publish([IndexRow(1 + max(before, default=0), np.ones(2, np.float32), "text", "en", 0)])
            assert len(reader.snapshot().rows() - before) == 1

    assert opened == places
    assert [reader.snapshot().generation, read_at(places[2]).snapshot().generation] == [4, 2]
