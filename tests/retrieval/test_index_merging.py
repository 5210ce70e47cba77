"""Merging in the background: publishes go on beside it, readers wait for nothing, and no ranking changes by a bit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from indexed import ENCODER, rank, ranker, row_of, writer
from pyroaring import BitMap
from whole import assert_whole

from core.errors import IndexDamaged
from retrieval.index import IndexReader, IndexWriter, merging
from retrieval.index import checking as checking_module
from retrieval.index import reader as reader_module
from retrieval.index import writer as writer_module
from retrieval.index.manifest import MERGING, SEGMENTS, SegmentRecord, read_manifest
from retrieval.index.merging import merge_segments
from retrieval.index.segment import Segment
from retrieval.ranking import Ranker

ROWS = BitMap(range(3, 90)) - BitMap([45])


def leaving(folder: Path) -> IndexWriter:
    """A writer whose publishes merge nothing."""
    return IndexWriter(folder, ENCODER.fingerprint, ENCODER.dimension, merged_in_publish=0)


def publish(folder: Path, rows: Iterable[int], dropped: Iterable[int] = ()) -> None:
    leaving(folder).publish(map(row_of, rows), dropped)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    publish(tmp_path / "index", range(40))
    publish(tmp_path / "index", range(40, 70), range(3))
    publish(tmp_path / "index", range(70, 90), [45])
    return tmp_path / "index"


def segments(folder: Path) -> list[str]:
    manifest = read_manifest(folder)
    assert manifest is not None
    return [record.id for record in manifest.segments]


def rankings(of: Ranker, rows: BitMap = ROWS) -> list[object]:
    return [rank(of, question, rows & ROWS, 30).hits for question in ("alpha contract", "notice")]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_publish_leaves_large_merges_and_a_merge_changes_no_ranking(index: Path) -> None:
    assert len(segments(index)) == 3
    before = rankings(ranker(index))

    assert leaving(index).merge()

    assert len(segments(index)) == 1
    snapshot = IndexReader(index).snapshot()
    assert snapshot.rows() == ROWS
    assert_whole(snapshot)
    assert rankings(ranker(index)) == before
    assert not leaving(index).merge(), "nothing is left to be merged"
    assert not (index / MERGING).exists()


def test_publishes_and_drops_beside_a_merge_are_in_what_comes_of_it(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def slowly(sources: list[Segment], scratch: Path | None = None) -> object:
        at_work.set()
        assert go_on.wait(60)
        return merge_segments(sources, scratch)

    monkeypatch.setattr(writer_module, "merge_segments", slowly)
    merge = threading.Thread(target=leaving(index).merge)
    merge.start()
    assert at_work.wait(60)
    publish(index, [200], [10, 75])
    leaving(index).publish([row_of(20)], [11])
    seen = IndexReader(index).snapshot()
    assert seen.rows() == (ROWS | BitMap([200])) - BitMap([10, 11, 75])
    go_on.set()
    merge.join()

    snapshot = IndexReader(index).snapshot()
    assert snapshot.generation == seen.generation + 1
    assert len(snapshot.segments) == 3, "one of three, and two that came meanwhile"
    assert snapshot.rows() == seen.rows()
    assert [row for segment in snapshot.segments for row in segment.live].count(20) == 1
    assert_whole(snapshot)


@pytest.mark.parametrize("meanwhile", ["rebuild", "publish that merges"])
def test_a_merge_of_segments_that_are_gone_meanwhile_changes_nothing(
    index: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    def overtaken(sources: list[Segment], scratch: Path | None = None) -> object:
        monkeypatch.setattr(writer_module, "merge_segments", merge_segments)
        if meanwhile == "rebuild":
            leaving(index).rebuild(map(row_of, range(7)))
        else:
            IndexWriter(index, ENCODER.fingerprint, ENCODER.dimension).publish(map(row_of, range(300, 320)))
        return merge_segments(sources, scratch)

    monkeypatch.setattr(writer_module, "merge_segments", overtaken)
    leaving(index).merge()
    after = BitMap(range(7)) if meanwhile == "rebuild" else ROWS | BitMap(range(300, 320))
    snapshot = IndexReader(index).snapshot()
    assert snapshot.rows() == after
    assert len(snapshot.segments) == 1
    assert_whole(snapshot)
    assert not (index / MERGING).exists()


def test_two_merges_at_once_take_turns(index: Path) -> None:
    merges = [threading.Thread(target=leaving(index).merge) for _ in range(3)]
    for merge in merges:
        merge.start()
    for merge in merges:
        merge.join()
    assert len(segments(index)) == 1
    assert IndexReader(index).snapshot().rows() == ROWS


def test_everything_that_was_dropped_is_merged_to_nothing(index: Path) -> None:
    publish(index, [], range(90))
    leaving(index).merge()
    assert segments(index) == []
    assert IndexReader(index).snapshot().rows() == BitMap()


def test_damage_is_not_merged(index: Path) -> None:
    path = index / SEGMENTS / segments(index)[0] / "frequencies.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    before = read_manifest(index)
    with pytest.raises(IndexDamaged, match=r"frequencies\.npy"):
        leaving(index).merge()
    assert read_manifest(index) == before


def test_merging_part_by_part_is_merging_at_once(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = list(IndexReader(index).snapshot().segments)
    whole = merge_segments(sources)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(merging, "_CHUNKS_AT_ONCE", 7)
    for postings in (1, 10, 100):
        monkeypatch.setattr(merging, "_POSTINGS_AT_ONCE", postings)
        for scratch in (None, tmp_path / "scratch"):
            parts = merge_segments(sources, scratch)
            for name, array in vars(whole).items():
                np.testing.assert_array_equal(getattr(parts, name), array, name)


class Slow:
    """Opening of segments that waits until it may go on, for those that came of a merge."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self.opened: list[str] = []
        self.damaged = False
        self._open = reader_module.open_segment
        monkeypatch.setattr(reader_module, "open_segment", self)
        monkeypatch.setattr(reader_module, "_PREPARED_FROM", 30)

    def __call__(self, folder: Path, record: SegmentRecord, check: Callable[..., None]) -> Segment:
        if record.merged:
            assert self.go_on.wait(60)
            if self.damaged:
                raise IndexDamaged("The merged segment is damaged.")
        self.opened.append(record.id)
        return self._open(folder, record, check)


def test_nobody_waits_for_a_merged_segment_and_what_is_published_is_seen_at_once(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    reader = IndexReader(index)
    before = rankings(Ranker(reader, ENCODER))
    leaving(index).merge()

    generation = reader.snapshot().generation
    assert generation == 4
    assert len(reader.snapshot().segments) == 3, "those it was merged from"
    assert rankings(Ranker(reader, ENCODER)) == before
    publish(index, [200], [10, 75])
    left = (ROWS | BitMap([200])) - BitMap([10, 75])
    assert (reader.snapshot().rows(), reader.snapshot().generation) == (left, 5)
    assert_whole(reader.snapshot())
    publish(index, [201], [11])
    left = (left | BitMap([201])) - BitMap([11])
    assert reader.snapshot().rows() == left
    selection = reader.snapshot().select(BitMap(range(300)))
    assert BitMap(selection.rows_of(selection.slots()).tolist()) == left, (
        "whatever the catalog says of what was dropped"
    )
    assert [thread.name for thread in threading.enumerate()].count("footnote-index-open") == 1

    slow.go_on.set()
    until(lambda: len(reader.snapshot().segments) == 3 and segments(index)[0] in slow.opened)
    assert [segment.record.id for segment in reader.snapshot().segments] == segments(index)
    assert reader.snapshot().rows() == left
    assert_whole(reader.snapshot())
    assert rankings(Ranker(reader, ENCODER), left) == rankings(ranker(index), left)

    assert list(reader._prepared) == segments(index)[:1]
    writer(index).rebuild(map(row_of, range(5)))
    assert reader.snapshot().rows() == BitMap(range(5))
    assert reader._prepared == {}, "what no generation needs is let go"


def test_a_merged_segment_that_is_damaged_is_named_once_it_is_found(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    slow.damaged = True
    reader = IndexReader(index)
    reader.snapshot()
    leaving(index).merge()
    reader.snapshot()
    slow.go_on.set()
    with pytest.raises(IndexDamaged, match="merged segment"):
        until(lambda: not reader.snapshot())


def test_what_decays_in_a_merged_segment_is_told_and_not_taken_from_what_is_open(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking_module, "_REMEMBERED_FROM_BYTES", 0)
    Slow(monkeypatch).go_on.set()
    reader = IndexReader(index)
    reader.snapshot()
    leaving(index).merge()
    until(lambda: [segment.record.id for segment in reader.snapshot().segments] == segments(index))
    path = index / SEGMENTS / segments(index)[0] / "vectors.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    reader.check_remembered()

    with pytest.raises(IndexDamaged, match=r"vectors\.npy"):
        reader.snapshot()


def test_what_was_dropped_before_a_merge_is_dropped_for_who_looks_only_after_it(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The merged segment says nothing of it, and the open ones that it was merged from are older."""
    Slow(monkeypatch).go_on.set()
    reader = IndexReader(index)
    assert reader.snapshot().rows() == ROWS
    publish(index, [], [5, 50])
    leaving(index).merge()

    assert reader.snapshot().rows() == ROWS - BitMap([5, 50])


def test_a_segment_of_which_rows_were_dropped_is_not_opened_again(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    reader = IndexReader(index)
    reader.snapshot()
    slow.opened.clear()
    publish(index, [], [5, 50])
    publish(index, [], [6])
    snapshot = reader.snapshot()
    assert snapshot.rows() == ROWS - BitMap([5, 6, 50])
    assert slow.opened == []
    assert snapshot.rows() == IndexReader(index).snapshot().rows()
    publish(index, [7])
    assert len(reader.snapshot().rows()) == len(ROWS) - 3
    assert len(slow.opened) == 1 + 3, "one for this reader, three for the new one"


def test_what_was_dropped_of_an_open_segment_is_not_read_from_a_damaged_file(index: Path) -> None:
    reader = IndexReader(index)
    reader.snapshot()
    before = set((index / SEGMENTS).rglob("dropped-*"))
    publish(index, [], [50])
    (path,) = set((index / SEGMENTS).rglob("dropped-*")) - before
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(IndexDamaged, match=path.name):
        reader.snapshot()
