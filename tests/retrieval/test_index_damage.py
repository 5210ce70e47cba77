"""Damage: whatever bit of an index flips is found before anything is answered from it."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from indexed import build, publish, row_of, writer
from pyroaring import BitMap
from whole import assert_whole

from core.errors import Conflict, IndexDamaged
from retrieval.index import IndexReader
from retrieval.index import checking as checking_module
from retrieval.index import segment as segment_module
from retrieval.index.checking import CHECKED, Checks, check_whole, damaged
from retrieval.index.manifest import FORMAT_VERSION, MANIFEST, SEGMENTS, read_manifest, write_manifest
from retrieval.index.segment import CODES, open_segment
from retrieval.index.storage import FileRecord, Storage

# Two segments, one of them with codes, of which something was dropped.
PUBLICATIONS = [(range(60), ()), (range(60, 80), [7, 8])]
LEFT = BitMap(range(80)) - BitMap([7, 8])

FLIPS = [pytest.param(16), pytest.param(1_000, marks=pytest.mark.deep)]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(segment_module, "FEWEST_FOR_CODES", 32)
    build(tmp_path / "index", PUBLICATIONS)
    return tmp_path / "index"


def files_by_kind(folder: Path) -> dict[str, Path]:
    """The largest file of each kind that an index of these publications has."""
    manifest = read_manifest(folder)
    assert manifest is not None
    found = {MANIFEST: folder / MANIFEST}
    for record in sorted(manifest.segments, key=lambda record: record.count):
        for name in record.files:
            kind = "dropped" if name == record.dropped else name
            found[kind] = folder / SEGMENTS / record.id / name
    return found


def flipped(path: Path, flips: int) -> Iterator[int]:
    """Flip one bit of a file, at as many offsets in turn, first and last among them; the file is whole in the end."""
    content = path.read_bytes()
    offsets = random.Random(5).sample(range(len(content)), min(flips, len(content)))
    for number, offset in enumerate({0, len(content) - 1, *offsets}):
        torn = bytearray(content)
        torn[offset] ^= 1 << number % 8
        path.write_bytes(torn)
        yield offset
    path.write_bytes(content)


@pytest.mark.parametrize("flips", FLIPS)
def test_one_flipped_bit_in_any_file_is_named_at_opening_with_what_to_run(index: Path, flips: int) -> None:
    kinds = files_by_kind(index)
    assert {MANIFEST, CODES, "vectors.npy", "rows.npy", "chunks.npy", "dropped"} <= set(kinds)
    for kind, path in kinds.items():
        for offset in flipped(path, flips):
            with pytest.raises(IndexDamaged, match=rf"{path.name}.*footnote index rebuild") as raised:
                IndexReader(index).snapshot()
            assert isinstance(raised.value, Conflict), f"{kind} at {offset}"
        snapshot = IndexReader(index).snapshot()
        assert snapshot.rows() == LEFT
    assert_whole(snapshot)


def test_what_is_left_of_a_damaged_index_are_its_other_segments(index: Path) -> None:
    whole = IndexReader(index).snapshot()
    small = min(whole.segments, key=lambda segment: segment.record.count)
    next(flipped(index / SEGMENTS / small.record.id / "lengths.npy", 1))

    found = IndexReader(index).sound()

    assert found.rows() == LEFT - small.live
    assert len(found.segments) == 1
    assert_whole(found)


def test_nothing_of_a_segment_is_read_by_anyone_before_it_is_checked(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(index)
    assert manifest is not None
    record = max(manifest.segments, key=lambda record: record.count)
    happened: list[str] = []

    def check(path: Path, _: FileRecord) -> None:
        happened.append(f"checked {path.name}")

    def spied(what: str, original: Any) -> Any:
        def reading(*arguments: Any, **named: Any) -> Any:
            happened.append(what)
            return original(*arguments, **named)

        return reading

    monkeypatch.setattr(np, "load", spied("read", np.load))
    monkeypatch.setattr(faiss, "read_index", spied("read", faiss.read_index))
    open_segment(index / SEGMENTS, record, check)
    checks = [f"checked {name}" for name in record.files]
    assert happened[: len(checks)] == checks
    assert set(happened[len(checks) :]) == {"read"}

    def refuse(path: Path, _: FileRecord) -> None:
        if path.name == CODES:
            raise damaged(path)

    happened.clear()
    with pytest.raises(IndexDamaged, match=CODES):
        open_segment(index / SEGMENTS, record, refuse)
    assert happened == []


def test_damage_is_not_merged_into_files_with_new_checksums(index: Path) -> None:
    for path in (index / SEGMENTS).glob("*/frequencies.npy"):
        next(flipped(path, 1))
    before = read_manifest(index)
    with pytest.raises(IndexDamaged, match=r"frequencies\.npy"):
        publish(index, range(100, 115))  # as many as join the two in one segment
    with pytest.raises(IndexDamaged, match=r"frequencies\.npy"):
        writer(index).compact()
    assert read_manifest(index) == before


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every file that may be remembered is, whatever its size and however new; lists what is read whole."""
    monkeypatch.setattr(checking_module, "_REMEMBERED_FROM_BYTES", 0)
    monkeypatch.setattr(checking_module, "_TICK_NS", -1)
    read: list[str] = []

    def sha256_of(path: Path) -> str:
        read.append(path.name)
        return checking_module_sha256(path)

    checking_module_sha256 = checking_module.sha256_of
    monkeypatch.setattr(checking_module, "sha256_of", sha256_of)
    return read


def test_large_files_are_read_once_and_again_when_anything_of_them_changes(index: Path, remembering: list[str]) -> None:
    IndexReader(index).snapshot()
    assert remembering.count("vectors.npy") == 2
    remembering.clear()
    IndexReader(index).snapshot()
    assert not {"vectors.npy", "chunks.npy", "frequencies.npy"} & set(remembering)
    assert {CODES, "rows.npy", "terms.npy", "offsets.npy"} <= set(remembering), "what says which chunk is meant"

    path = files_by_kind(index)["vectors.npy"]
    times = path.stat()
    for _ in flipped(path, 4):
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        with pytest.raises(IndexDamaged, match=r"vectors\.npy"):
            IndexReader(index).snapshot()
    shutil.copy2(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)
    remembering.clear()
    IndexReader(index).snapshot()
    assert remembering.count("vectors.npy") == 1


def test_after_a_restart_of_the_machine_everything_is_read_again(
    index: Path, remembering: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    IndexReader(index).snapshot()
    (tmp_path / "boot_id").write_text("another")
    monkeypatch.setattr(checking_module, "_BOOT", tmp_path / "boot_id")
    remembering.clear()
    IndexReader(index).snapshot()
    assert remembering.count("vectors.npy") == 2


def test_a_file_that_has_only_just_changed_is_not_remembered(
    index: Path, remembering: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking_module, "_TICK_NS", 10**15)
    IndexReader(index).snapshot()
    remembering.clear()
    IndexReader(index).snapshot()
    assert remembering.count("vectors.npy") == 2


@pytest.mark.parametrize("flips", FLIPS)
def test_the_note_of_what_was_read_can_be_damaged_without_harm(index: Path, remembering: list[str], flips: int) -> None:
    IndexReader(index).snapshot()
    note = index / CHECKED
    for _ in flipped(note, flips):
        assert IndexReader(index).snapshot().rows() == LEFT
    for content in (b"", b"[]", b"{", b'{"boot": 1, "files": 3}'):
        note.write_bytes(content)
        assert IndexReader(index).snapshot().rows() == LEFT


@pytest.mark.parametrize("name", ["vectors.npy", "chunks.npy", "frequencies.npy"])
def test_what_decays_without_a_trace_is_found_in_the_background(index: Path, remembering: list[str], name: str) -> None:
    path = files_by_kind(index)[name]
    reader = IndexReader(index)
    reader.snapshot()
    (path.parent / name).write_bytes(decayed(path.read_bytes()))
    note = json.loads((index / CHECKED).read_text())
    key = f"{path.parent.name}/{name}"
    status = path.stat()
    sha256 = note["files"][key].rpartition(":")[2]
    times = f"{status.st_mtime_ns}:{status.st_ctime_ns}"
    note["files"][key] = f"{status.st_dev}:{status.st_ino}:{status.st_size}:{times}:{sha256}"
    (index / CHECKED).write_text(json.dumps(note))
    reader.snapshot()
    IndexReader(index).snapshot()

    reader.check_remembered()

    for who in (reader, IndexReader(index)):
        with pytest.raises(IndexDamaged, match=name):
            who.snapshot()


def decayed(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def test_an_earlier_format_is_rebuilt_and_a_later_one_refused(index: Path) -> None:
    manifest = read_manifest(index)
    assert manifest is not None
    for version, outdated in ((FORMAT_VERSION - 1, True), (FORMAT_VERSION + 1, False)):
        write_manifest(index, type(manifest)(**{**vars(manifest), "format": version}), Storage())
        with pytest.raises(Conflict, match=rf"format {version}.*footnote index rebuild") as raised:
            IndexReader(index).snapshot()
        assert isinstance(raised.value, IndexDamaged) == outdated
    with pytest.raises(Conflict, match="format"):
        writer(index).rebuild(map(row_of, range(3)))


def test_a_later_analysis_of_text_is_refused_and_an_earlier_one_rebuilt(index: Path) -> None:
    manifest = read_manifest(index)
    assert manifest is not None
    for version, outdated in ((manifest.analyzer - 1, True), (manifest.analyzer + 1, False)):
        write_manifest(index, type(manifest)(**{**vars(manifest), "analyzer": version}), Storage())
        with pytest.raises(Conflict, match=rf"version {version}.*footnote index rebuild") as raised:
            IndexReader(index).snapshot()
        assert isinstance(raised.value, IndexDamaged) == outdated


def test_a_check_says_what_is_missing(index: Path) -> None:
    path = files_by_kind(index)["vectors.npy"]
    record = FileRecord(path.stat().st_size + 1, "")
    for check in (check_whole, Checks(index)):
        with pytest.raises(IndexDamaged, match=r"vectors\.npy"):
            check(path, record)
        with pytest.raises(FileNotFoundError):
            check(path.with_name("gone.npy"), record)
