"""Power loss: whatever a disk has kept of a change of the index, it is as before the change or as after it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from indexed import ENCODER, publish, row_of
from power_loss import Tree, lay_out, recorded, states, tree_of
from pyroaring import BitMap
from whole import assert_whole

from core.errors import IndexDamaged
from retrieval.index import IndexReader, IndexWriter
from retrieval.index import segment as segment_module
from retrieval.index.storage import FileRecord, Storage

# Dropped rows, segments that were merged and retired ones.
BEFORE = [(range(40), ()), (range(40, 50), range(3)), (range(50, 55), [45])]
# What a publish leaves to `merge`.
UNMERGED = [*BEFORE, (range(55, 77), ())]


def writer_with(folder: Path, storage: Storage) -> IndexWriter:
    return IndexWriter(folder, ENCODER.fingerprint, ENCODER.dimension, storage, merged_in_publish=20)


Change = Callable[[IndexWriter], object]


def merge(index: IndexWriter) -> None:
    assert index.merge()


CHANGES: dict[str, Change] = {
    "publish": lambda index: index.publish(map(row_of, range(60, 90)), [5, 51]),
    "delete": lambda index: index.publish((), [5, 6, 51]),
    "merge": merge,
    "compact": lambda index: index.compact(),
    "rebuild": lambda index: index.rebuild(map(row_of, range(2, 50))),
}
"""What changes an index of `UNMERGED`."""


def states_after(folder: Path, change: Change, every: int) -> tuple[Iterator[tuple[int, Tree]], list[BitMap]]:
    """What the power's going during a change may leave, each so many-th call, and the rows before and after."""
    before, rows = tree_of(folder), [IndexReader(folder).snapshot().rows()]
    with recorded(folder) as calls:
        change(writer_with(folder, Storage()))
    rows.append(IndexReader(folder).snapshot().rows())
    return states(before, calls, range(0, len(calls) + 1, every)), rows


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(segment_module, "FEWEST_FOR_CODES", 16)
    for added, dropped in UNMERGED:
        writer_with(tmp_path / "index", Storage()).publish(map(row_of, added), dropped)
    return tmp_path / "index"


@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.deep)])
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_the_disk_has_kept_is_the_state_before_or_after(
    index: Path, tmp_path: Path, change: str, every: int
) -> None:
    left, (before, after) = states_after(index, CHANGES[change], every)
    outcomes = []
    for number, (made, tree) in enumerate(left):
        folder = tmp_path / str(number)
        lay_out(tree, folder)
        snapshot = IndexReader(folder).snapshot()
        IndexReader(folder).verify()
        assert_whole(snapshot)
        assert snapshot.rows() in (before, after), f"after {made} calls"
        outcomes.append(snapshot.rows() == after)
        if number % 10 == 0:
            publish(folder, [200])
            assert IndexReader(folder).snapshot().rows() == snapshot.rows() | BitMap([200])
        shutil.rmtree(folder)
    assert every > 1 or before == after or set(outcomes) == {False, True}


@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.deep)])
def test_the_first_publish_leaves_nothing_or_all_of_it(tmp_path: Path, every: int) -> None:
    (tmp_path / "index").mkdir()
    left, (_, after) = states_after(tmp_path / "index", lambda index: index.publish(map(row_of, range(30))), every)
    for number, (_, tree) in enumerate(left):
        lay_out(tree, tmp_path / str(number))
        snapshot = IndexReader(tmp_path / str(number)).snapshot()
        assert_whole(snapshot)
        assert snapshot.rows() in (BitMap(), after)


def test_what_was_published_stays_whatever_happens_then(index: Path, tmp_path: Path) -> None:
    before = tree_of(index)
    with recorded(index) as calls:
        publish(index, range(60, 70))
    rows = IndexReader(index).snapshot().rows()
    left = states(before, calls, [len(calls)])
    for number, (_, tree) in enumerate(left):
        lay_out(tree, tmp_path / str(number))
        assert IndexReader(tmp_path / str(number)).snapshot().rows() == rows
    assert number >= 0


class NoFileIsSynced(Storage):
    """Forgets to make contents durable."""

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> FileRecord:
        content = b"".join(parts)
        path.write_bytes(content)
        return FileRecord(len(content), hashlib.sha256(content).hexdigest())


class NoFolderIsSynced(Storage):
    """Forgets to make names durable."""

    def sync_folder(self, path: Path) -> None:
        pass


class RenamesAreNotSynced(Storage):
    """Forgets to make the new name durable, though the names within a folder are."""

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)


@pytest.mark.parametrize("storage", [NoFileIsSynced, NoFolderIsSynced, RenamesAreNotSynced])
def test_a_sync_that_is_missing_is_noticed(index: Path, tmp_path: Path, storage: type[Storage]) -> None:
    """Of the tests above, that they can fail."""
    before, rows = tree_of(index), [IndexReader(index).snapshot().rows()]
    with recorded(index) as calls:
        CHANGES["publish"](writer_with(index, storage()))
    rows.append(IndexReader(index).snapshot().rows())
    for number, (_, tree) in enumerate(states(before, calls, [len(calls)])):
        lay_out(tree, tmp_path / str(number))
        try:
            assert IndexReader(tmp_path / str(number)).snapshot().rows() in rows
        except (IndexDamaged, AssertionError):
            return
        shutil.rmtree(tmp_path / str(number))
    pytest.fail("no state shows it")
