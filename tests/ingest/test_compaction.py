"""A deleted document is gone at once for everybody, and after compaction from every file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from organization import ANA, bring_in, found, write_files
from prose import page, prose
from sqlalchemy import delete, event, select, text, update

from apps.cli.main import invoke
from catalog import compaction
from catalog.connections import ConnectionRow
from catalog.database import bump_epoch, open_engine, sqlite_url
from catalog.job_queue import ClaimedJob, NewJob
from catalog.job_records import list_jobs
from catalog.jobs import JobRow
from catalog.models import ChunkRow, Document, Source, Vector, now
from catalog.signatures import SignatureRow
from core.errors import Transient
from ingest.compaction import compact
from retrieval.index import IndexReader
from retrieval.index.postings import term_key
from wiring.home import Home
from workers.functions import JOB_FUNCTIONS
from workers.sweeping import sweep

# Words that stand in the deleted document alone: in its title, its text and its name.
CANARY, TITLE, NAME = "zanzibarquokka", "Wombatodontics", "platypusgram.md"
EVERY_FORM = (CANARY, CANARY.upper(), TITLE, TITLE.lower())


def fill(home: Home, folder: Path) -> str:
    """A home with other documents before and after the canary's, which has had an earlier version; its id."""
    many = {f"{n:02}.md": page(f"Page {n}", prose(n)) for n in range(4)}
    canary = page(TITLE, [*prose(50), f"The {CANARY} sleeps in the {CANARY} house."])
    bring_in(home, write_files(folder, {NAME: canary, "00.md": many["00.md"]}))
    bring_in(home, write_files(folder, {NAME: canary.replace("sleeps", "wakes"), **many}))
    with home.catalog.read() as session:
        return session.scalars(select(Document.id).where(Document.external_id == NAME)).one()


def traces(home: Home, document_id: str) -> list[bytes]:
    """The bytes that would show what the document said: its words, and what was made of them."""
    words = [word.encode() for word in EVERY_FORM]
    keys = [term_key(kind + CANARY).to_bytes(8, "little") for kind in "fs"]
    with home.catalog.read() as session:
        version = session.get_one(Document, document_id).version_id
        hashes = session.scalars(select(ChunkRow.vector_hash).where(ChunkRow.version_id == version)).all()
        halves = session.scalars(select(Vector.data).where(Vector.hash.in_(hashes))).all()
        signature = session.scalars(select(SignatureRow.data).where(SignatureRow.version_id == version)).one()
    rows = home.index_reader.snapshot()
    exact = []
    for segment in rows.segments:
        for half in halves:
            whole = np.frombuffer(half, "<f2").astype(np.float32)
            whole /= np.linalg.norm(whole)
            near = np.abs(segment.arrays.vectors - whole).max(axis=1)
            exact += [segment.arrays.vectors[at].tobytes() for at in np.flatnonzero(near < 1e-6)]
    assert halves and exact
    return [*words, *keys, *halves, *exact, signature]


def files(home: Home) -> Iterable[Path]:
    return (file for file in home.layout.folder.rglob("*") if file.is_file())


def holding(home: Home, wanted: list[bytes]) -> set[str]:
    """The files of the home that hold any of these bytes, by where they stand."""
    return {
        file.relative_to(home.layout.folder).parts[0]
        for file in files(home)
        if any(one in data for data in [file.read_bytes()] for one in wanted)
    }


@pytest.fixture
def deleted(home: Home, tmp_path: Path) -> list[bytes]:
    """The traces of a document that was brought in and deleted, with an SQLite that overwrites nothing by itself."""
    sqlite = home.settings.database_url is None
    if sqlite:
        # Some builds of it do; then its pages would tell nothing of ours.
        event.listen(home.catalog.engine, "connect", lambda made, _: made.execute("PRAGMA secure_delete = OFF"))
        home.catalog.engine.dispose()
    document_id = fill(home, tmp_path / "org")
    if sqlite:
        with home.catalog.engine.connect().execution_options(footnote_no_transaction=True) as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    wanted = traces(home, document_id)
    assert found(home, CANARY, 1) == [NAME]
    assert holding(home, wanted) >= {"blobs", "index"}
    home.ingestion.delete([document_id])
    return wanted


def in_postgresql(home: Home, wanted: list[bytes]) -> list[str]:
    """The files of the home's own database that hold any of these bytes."""
    with home.catalog.write() as session:
        session.execute(text("CHECKPOINT"))  # after which files are as the memory is, and those that are gone are gone
        data = Path(session.execute(text("SHOW data_directory")).scalar_one())
        own = session.execute(text("SELECT oid FROM pg_database WHERE datname = current_database()")).scalar_one()
    pages = [file for file in (data / "base" / str(own)).iterdir() if file.is_file()]
    return [file.name for file in pages if any(one in file.read_bytes() for one in wanted)]


def test_what_is_deleted_is_gone_for_everybody_at_once_and_after_compaction_from_every_file(
    home: Home, deleted: list[bytes]
) -> None:
    for k in (1, 5, 100):
        assert NAME not in found(home, CANARY, k)
    assert NAME not in [view.external_id for view in home.gate.documents(ANA)]
    left, other = holding(home, deleted), " ".join(prose(3)[0].split()[:5])
    assert "blobs" not in left, "its bytes as they came are gone with it"
    assert "index" in left, "or this test proves nothing"
    assert in_postgresql(home, deleted) if home.settings.database_url else "catalog.db" in left
    before = found(home, other)  # somebody has the old files open

    compact(home.ingestion, home.layout.source_caches, in_full=True)

    assert holding(home, deleted) == set()
    assert not home.settings.database_url or in_postgresql(home, deleted) == []
    assert found(home, other) == before
    IndexReader(home.layout.index).verify()
    with home.catalog.read() as session:
        rows = set(session.scalars(select(ChunkRow.id)))
    assert set(IndexReader(home.layout.index).snapshot().rows()) == rows


def test_a_home_that_was_compacted_goes_on(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {NAME: page(TITLE, prose(1)), "a.md": page("A", prose(2))})
    bring_in(home, folder)
    (folder / NAME).unlink()
    bring_in(home, folder, prune="force")
    for _ in range(2):
        compact(home.ingestion, home.layout.source_caches, in_full=True)
    generation = home.index_reader.snapshot().generation
    compact(home.ingestion, home.layout.source_caches, in_full=False)
    assert home.index_reader.snapshot().generation == generation, "nothing was left to do"

    bring_in(home, write_files(tmp_path / "more", {NAME: f"# Back\n\nThe {CANARY} is back.\n"}), source="more")
    assert found(home, CANARY, 1) == [NAME]


def test_copies_that_connectors_keep_are_removed_with_their_source_and_by_a_full_compaction(home: Home) -> None:
    cache = home.layout.source_caches
    (cache / "7").mkdir(parents=True)
    compact(home.ingestion, cache, in_full=False)
    assert not (cache / "7").exists()
    with home.catalog.write() as session:
        session.add(Source(id=7, name="repository", uri="git:"))
        session.flush()
        session.add(ConnectionRow(source_id=7, kind="git", settings={}))
    (cache / "7").mkdir()
    compact(home.ingestion, cache, in_full=False)
    assert (cache / "7").exists(), "a source that stands would only have to be copied again"
    compact(home.ingestion, cache, in_full=True)
    assert not (cache / "7").exists()


def test_a_reader_who_stays_does_not_let_compaction_say_that_it_is_done(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home.catalog.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has a log of its own")
    monkeypatch.setattr("catalog.database.BUSY_WAIT_SECONDS", 0.01)
    impatient = open_engine(sqlite_url(home.layout.catalog))
    with home.catalog.read() as reading:
        reading.scalars(select(Document.id)).all()
        with home.catalog.write() as session:
            bump_epoch(session)
        log = home.layout.catalog.with_name("catalog.db-wal").stat().st_size
        with pytest.raises(Transient, match="again later"):
            compaction.compact(impatient, in_full=True)
        assert home.layout.catalog.with_name("catalog.db-wal").stat().st_size == log, "it was told before the long part"
    compaction.compact(impatient, in_full=True)
    impatient.dispose()


def test_the_sweep_compacts_where_something_was_deleted_and_only_then(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {NAME: page(TITLE, [f"The {CANARY} sleeps."])})
    bring_in(home, folder)

    def due() -> int:
        with home.catalog.write() as session:
            session.execute(text("DELETE FROM jobs WHERE kind = 'upkeep'"))
        sweep(home)
        return sum(job.kind == "compaction" for job in list_jobs(home.catalog, 100, ["queued"]))

    assert due() == 0
    (folder / NAME).unlink()
    bring_in(home, folder, prune="force")
    assert due() == 1
    sweep(home)
    assert due() == 1, "one waits already"
    never = Home(home.settings.model_copy(update={"compact_every_h": 0.0}))
    with home.catalog.write() as session:
        session.execute(text("DELETE FROM jobs"))
    sweep(never)
    assert not [job for job in list_jobs(home.catalog, 100, ["queued"]) if job.kind == "compaction"]
    never.close()

    JOB_FUNCTIONS["compaction"](home, ClaimedJob("", "compaction", "upkeep", "home", None, 1, 1))
    assert holding(home, [CANARY.encode()]) == set()

    for deleted_days_ago, wanted in ((3, 0), (1, 1)):
        with home.catalog.write() as session:
            session.execute(delete(JobRow))
            home.jobs.add(session, [NewJob("compaction", "upkeep", "home")])
            session.execute(update(JobRow).values(state="done", created_at=now() - timedelta(days=2)))
            session.execute(update(Document).values(updated_at=now() - timedelta(days=deleted_days_ago)))
        assert due() == wanted, "only what was deleted since the last time"


def test_the_command_says_how_much_room_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOTNOTE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hashing")
    folder = write_files(tmp_path / "org", {"a.md": page("A", prose(1)), NAME: page(TITLE, prose(2, 3000))})
    assert invoke(["init"]) == 0
    assert invoke(["ingest", str(folder), "--source", "org", "--allow", "everyone"]) == 0
    assert invoke(["documents", "delete", NAME]) == 0
    capfd.readouterr()

    assert invoke(["compact"]) == 0

    said = capfd.readouterr().out
    assert said.startswith("The home takes ")
    now, before = (float(word) for word in said.replace(",", "").split() if word[0].isdigit())
    assert now < before
