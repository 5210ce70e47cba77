"""Generations: whole or absent, seen at once, and never torn."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
from breaking_storage import BreakingAt
from indexed import ENCODER, build, publish, rank, ranker, row_of, writer
from pyroaring import BitMap

from core.errors import Conflict, LimitExceeded
from retrieval.index import IndexReader, IndexRow, IndexWriter
from retrieval.index.manifest import MANIFEST, SEGMENTS, read_manifest, write_manifest
from retrieval.index.storage import Storage

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["retrieval.index", "retrieval.ranking", "inference.hashing"])

# Dropped rows, a merge of two segments and a retired one: every kind of step a publish has.
BEFORE = [(range(40), ()), (range(40, 50), range(3)), (range(50, 53), [45])]
ADDED, DROPPED = range(60, 90), [5, 51]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill_the_disk() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def publish_and_die(folder: Path, step: int) -> None:
    dying = IndexWriter(folder, ENCODER.fingerprint, ENCODER.dimension, BreakingAt(step, die))
    dying.publish(map(row_of, ADDED), DROPPED)


def files_in_use(folder: Path) -> set[Path]:
    manifest = read_manifest(folder)
    assert manifest is not None
    return {folder / SEGMENTS / record.id / name for record in manifest.segments for name in record.files}


def files_there(folder: Path) -> set[Path]:
    return {path for path in (folder / SEGMENTS).rglob("*") if path.is_file()}


def test_killed_at_any_step_the_old_generation_or_the_new_one_is_whole(tmp_path: Path) -> None:
    old = build(tmp_path / "model", BEFORE).reader.snapshot()
    publish(tmp_path / "model", ADDED, DROPPED)
    new = ranker(tmp_path / "model").reader.snapshot().rows()
    outcomes = []
    for step in range(1_000):
        folder = tmp_path / str(step)
        build(folder, BEFORE)
        child = PROCESSES.Process(target=publish_and_die, args=(folder, step))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL

        reader = IndexReader(folder)
        found = reader.snapshot()
        reader.verify()
        outcomes.append((found.generation, found.rows()))

        publish(folder, [200], [])
        assert reader.snapshot().rows() == found.rows() | BitMap([200])
        assert rank(ranker(folder), "alpha", BitMap([200]), 5).hits[0][0] == 200
        for row in range(4):  # the leavings of the killed writer go with those of the last generations
            publish(folder, [300 + row], [])
        assert not [path for path in files_there(folder) - files_in_use(folder) if path.name.endswith(".new")]

    assert {(old.generation, tuple(old.rows())), (old.generation + 1, tuple(new))} == {
        (generation, tuple(rows)) for generation, rows in outcomes
    }
    assert len(outcomes) > 20


@pytest.mark.parametrize("step", [0, 1, 5, 12])
def test_a_full_disk_is_named_and_changes_nothing(tmp_path: Path, step: int) -> None:
    before = build(tmp_path, BEFORE).reader.snapshot()
    full = IndexWriter(tmp_path, ENCODER.fingerprint, ENCODER.dimension, BreakingAt(step, fill_the_disk))
    with pytest.raises(LimitExceeded, match=r"disk.*full.*free space"):
        full.publish(map(row_of, ADDED), DROPPED)
    reader = IndexReader(tmp_path)
    assert reader.snapshot().generation == before.generation
    publish(tmp_path, ADDED, DROPPED)
    assert reader.snapshot().rows() == (before.rows() - BitMap(DROPPED)) | BitMap(ADDED)
    reader.verify()


def test_old_files_are_removed_once_no_recent_generation_uses_them(tmp_path: Path) -> None:
    for row in range(30):
        publish(tmp_path, range(row * 10, row * 10 + 10), [row * 5])
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert len(manifest.segments) <= 8
    retired = {path.split("/")[0] for path in (item.path for item in manifest.retired)}
    folders = {path.name for path in (tmp_path / SEGMENTS).iterdir()}
    assert folders <= retired | {record.id for record in manifest.segments}
    assert len(folders) <= 12


def test_a_reader_keeps_its_generation_while_ten_others_are_published(tmp_path: Path) -> None:
    publish(tmp_path, range(50))
    held = IndexReader(tmp_path).snapshot()
    for row in range(10):
        publish(tmp_path, [100 + row], range(row * 5, row * 5 + 5))

    selection = held.select(BitMap(range(50)))

    slots = selection.slots()
    rows = selection.rows_of(slots).tolist()
    assert sorted(rows) == list(range(50))
    np.testing.assert_allclose(selection.vectors(slots), [row_of(row).vector for row in rows], atol=1e-6)


def test_a_row_that_is_published_again_is_replaced(tmp_path: Path) -> None:
    publish(tmp_path, range(5))
    writer(tmp_path).publish([row_of(3, "an unmistakable giraffe")])
    ranking = rank(ranker(tmp_path), "giraffe", BitMap(range(5)), 5)
    assert ranking.hits[0][0] == 3
    assert sorted(row for row, _ in ranking.hits) == list(range(5))


def test_what_is_dropped_is_gone_and_an_index_may_become_empty(tmp_path: Path) -> None:
    publish(tmp_path, range(5))
    publish(tmp_path, [], [1, 2, 77])
    found = ranker(tmp_path)
    assert found.reader.snapshot().rows() == BitMap([0, 3, 4])
    assert {row for row, _ in rank(found, "alpha", BitMap(range(5)), 9).hits} == {0, 3, 4}
    publish(tmp_path, [], range(5))
    assert rank(found, "alpha", BitMap(range(5)), 9).hits == ()
    publish(tmp_path, [9])
    assert [row for row, _ in rank(found, "alpha", BitMap(range(10)), 9).hits] == [9]


@pytest.mark.parametrize("differs", ["the file", "its time", "its size"])
def test_one_thing_that_differs_tells_a_new_manifest(tmp_path: Path, differs: str) -> None:
    """Two publishes may fall into one tick of the clock, and be as long as each other."""
    publish(tmp_path, range(5))
    reader, path = IndexReader(tmp_path), tmp_path / MANIFEST
    assert reader.snapshot().generation == 1
    before, manifest = path.stat(), read_manifest(tmp_path)
    assert manifest is not None
    write_manifest(tmp_path / SEGMENTS, replace(manifest, generation=2), Storage())
    written = tmp_path / SEGMENTS / MANIFEST
    if differs == "the file":
        written.replace(path)
    else:
        path.write_bytes(written.read_bytes() + (b"\n" if differs == "its size" else b""))
    later = 10**9 if differs == "its time" else 0
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + later))
    now = path.stat()
    assert [now.st_ino != before.st_ino, now.st_mtime_ns != before.st_mtime_ns, now.st_size != before.st_size] == [
        differs == one for one in ("the file", "its time", "its size")
    ]

    assert reader.snapshot().generation == 2


def test_chunks_of_equal_locality_lie_together_after_a_merge(tmp_path: Path) -> None:
    publish(tmp_path, range(30))
    publish(tmp_path, range(30, 60))
    (segment,) = IndexReader(tmp_path).snapshot().segments
    locality = segment.arrays.locality.tolist()
    assert locality == sorted(locality)
    assert set(locality) == {0, 1, 2}


def report_generations(folder: Path, ready: Event, found: multiprocessing.Queue[tuple[int, float]]) -> None:
    reader = IndexReader(folder)
    seen = reader.snapshot().generation
    ready.set()
    while seen < 4:
        snapshot = reader.snapshot()
        if snapshot.generation > seen:
            seen = snapshot.generation
            assert BitMap([1000 + seen]).issubset(snapshot.rows())
            found.put((seen, time.time()))
        time.sleep(0.01)


def test_another_process_sees_a_generation_within_a_second(tmp_path: Path) -> None:
    publish(tmp_path, [1001])
    ready, found = PROCESSES.Event(), PROCESSES.Queue()
    child = PROCESSES.Process(target=report_generations, args=(tmp_path, ready, found), daemon=True)
    child.start()
    assert ready.wait(60)
    for generation in (2, 3, 4):
        publish(tmp_path, [1000 + generation])
        published = time.time()
        seen, at = found.get(timeout=30)
        assert seen == generation
        assert at - published < 1
    child.join()


def publish_many(folder: Path, first: int) -> None:
    for row in range(first, first + 10):
        publish(folder, [row])


def test_writers_in_several_processes_wait_for_each_other_and_lose_nothing(tmp_path: Path) -> None:
    children = [PROCESSES.Process(target=publish_many, args=(tmp_path, first)) for first in (0, 100, 200)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    snapshot = IndexReader(tmp_path).snapshot()
    assert snapshot.generation == 30
    assert snapshot.rows() == BitMap([*range(10), *range(100, 110), *range(200, 210)])


@pytest.mark.parametrize("name", ["vectors.npy", "rows.npy", "chunks.npy", "terms.npy"])
def test_a_damaged_file_is_named_with_what_to_run(tmp_path: Path, name: str) -> None:
    publish(tmp_path, range(50))
    (path,) = (tmp_path / SEGMENTS).glob(f"*/{name}")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(Conflict, match=rf"{name}.*footnote index rebuild"):
        IndexReader(tmp_path).verify()
    path.write_bytes(content[:-1])
    with pytest.raises(Conflict, match=rf"{name}.*footnote index rebuild"):
        IndexReader(tmp_path).snapshot()
    path.unlink()
    with pytest.raises(Conflict, match=rf"{name}.*footnote index rebuild"):
        IndexReader(tmp_path).snapshot()
    writer(tmp_path).rebuild(map(row_of, range(50)))
    IndexReader(tmp_path).verify()
    assert IndexReader(tmp_path).snapshot().rows() == BitMap(range(50))


def test_a_damaged_manifest_is_named_and_a_rebuild_mends_it(tmp_path: Path) -> None:
    publish(tmp_path, range(5))
    path = tmp_path / MANIFEST
    document = json.loads(path.read_text())
    document["manifest"]["segments"][0]["count"] = 4
    for content in (json.dumps(document), "", "[]", "{", json.dumps({"manifest": {}, "sha256": ""})):
        path.write_text(content)
        with pytest.raises(Conflict, match=r"manifest\.json.*footnote index rebuild"):
            IndexReader(tmp_path).snapshot()
    writer(tmp_path).rebuild(map(row_of, range(7)))
    assert IndexReader(tmp_path).snapshot().rows() == BitMap(range(7))


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (np.full(32, np.nan, np.float32), "NaN"),
        (np.full(32, np.inf, np.float32), "infinite"),
        (np.zeros(32, np.float32), "zero"),
        (np.ones(31, np.float32), "32"),
        (np.ones((1, 32), np.float32), "32"),
    ],
)
def test_a_vector_that_means_nothing_is_refused_and_nothing_changes(
    tmp_path: Path, vector: np.ndarray[tuple[int, ...], np.dtype[np.float32]], reason: str
) -> None:
    publish(tmp_path, range(5))
    with pytest.raises(Conflict, match=reason):
        writer(tmp_path).publish([row_of(7), IndexRow(8, vector, "alpha", "en", 0)], [1])
    snapshot = IndexReader(tmp_path).snapshot()
    assert (snapshot.generation, snapshot.rows()) == (1, BitMap(range(5)))


def test_a_row_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="twice"):
        publish(tmp_path, [1, 2, 1])


def test_another_model_is_refused_until_the_index_is_rebuilt(tmp_path: Path) -> None:
    publish(tmp_path, range(5))
    other = IndexWriter(tmp_path, "another-model", ENCODER.dimension)
    with pytest.raises(Conflict, match=r"hashing-words-32.*another-model.*footnote index rebuild"):
        other.publish([row_of(7)])
    assert other.rebuild([row_of(7)]) == 2
    snapshot = IndexReader(tmp_path).snapshot()
    assert (snapshot.fingerprint, snapshot.rows()) == ("another-model", BitMap([7]))
