"""Compaction of an index: what was dropped is in no file, whatever interrupts it, and readers notice nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from breaking_storage import BreakingAt
from indexed import ENCODER, build, publish, rank, writer
from pyroaring import BitMap

from retrieval.index import IndexReader, IndexWriter
from retrieval.index.manifest import SEGMENTS, read_manifest

# Two segments that were merged and are kept for readers of before, and a third of which something was dropped since.
BEFORE = [(range(40), ()), (range(40, 80), range(3)), (range(80, 83), [45])]
LEFT = BitMap(range(3, 83)) - BitMap([45])


class Broken(Exception):
    """A process that ends here."""


def end_here() -> None:
    raise Broken


def there(folder: Path) -> set[Path]:
    return {path for path in (folder / SEGMENTS).rglob("*") if path.is_file()}


def in_use(folder: Path) -> set[Path]:
    manifest = read_manifest(folder)
    assert manifest is not None
    return {folder / SEGMENTS / record.id / name for record in manifest.segments for name in record.files}


def held(folder: Path) -> set[int]:
    """The rows that stand in any file of the index, dropped or not."""
    return {int(row) for segment in IndexReader(folder).snapshot().segments for row in segment.arrays.rows}


def test_what_was_dropped_stands_in_no_file_and_rankings_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    ranker = build(tmp_path, BEFORE)
    old = ranker.reader.snapshot()
    before = rank(ranker, "alpha contract", LEFT, 90).hits
    manifest = read_manifest(tmp_path)
    assert manifest is not None and manifest.retired and held(tmp_path) > set(LEFT), "or there is nothing to compact"

    writer(tmp_path).compact()

    assert held(tmp_path) == set(LEFT)
    assert there(tmp_path) == in_use(tmp_path)
    assert rank(ranker, "alpha contract", LEFT, 90).hits == before
    assert old.rows() == LEFT, "who has the old files open goes on reading them"
    assert [segment.arrays.vectors.sum() for segment in old.segments]
    IndexReader(tmp_path).verify()


def test_an_index_without_anything_dropped_is_left_as_it_is(tmp_path: Path) -> None:
    writer(tmp_path).compact()
    assert IndexReader(tmp_path).snapshot().generation == 0
    publish(tmp_path, range(20))
    before = there(tmp_path)
    writer(tmp_path).compact()
    assert (IndexReader(tmp_path).snapshot().generation, there(tmp_path)) == (1, before)


def test_an_index_of_which_all_was_dropped_is_empty(tmp_path: Path) -> None:
    build(tmp_path, [(range(20), ()), ((), range(20))])
    writer(tmp_path).compact()
    assert there(tmp_path) == set()
    publish(tmp_path, [5])
    assert held(tmp_path) == {5}


def test_broken_off_at_any_step_it_is_whole_and_the_next_one_ends_it(tmp_path: Path) -> None:
    for step in range(100):
        folder = tmp_path / str(step)
        build(folder, BEFORE)
        breaking = IndexWriter(folder, ENCODER.fingerprint, ENCODER.dimension, BreakingAt(step, end_here))
        try:
            breaking.compact()
        except Broken:
            reader = IndexReader(folder)
            assert reader.snapshot().rows() == LEFT
            reader.verify()
            writer(folder).compact()
            assert (held(folder), there(folder)) == (set(LEFT), in_use(folder))
        else:
            assert step > 5
            return
    pytest.fail("it never came to its end")
