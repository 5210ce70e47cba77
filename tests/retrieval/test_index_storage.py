"""A file of the index is what was written, and little of it at a time is on its way to the disk."""

from __future__ import annotations

import hashlib
import os
from itertools import pairwise
from pathlib import Path

import pytest

from retrieval.index.storage import Storage

MEGABYTE = 1 << 20


@pytest.mark.parametrize("sizes", [[], [0], [1], [8 * MEGABYTE], [3, 20 * MEGABYTE + 7, 5 * MEGABYTE]])
def test_a_file_is_what_was_given_whatever_its_parts(tmp_path: Path, sizes: list[int]) -> None:
    parts = [os.urandom(size) for size in sizes]
    record = Storage().write(tmp_path / "file", map(memoryview, parts))

    whole = b"".join(parts)
    assert (tmp_path / "file").read_bytes() == whole
    assert (record.size, record.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


def test_a_large_file_is_made_durable_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whoever reads from the same disk never waits for hundreds of megabytes."""
    durable, sync = [0], os.fsync

    def synced(descriptor: int) -> None:
        durable.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    size = 30 * MEGABYTE + 5
    Storage().write(tmp_path / "file", [bytes(size)])

    assert durable[-1] == size
    assert max(after - before for before, after in pairwise(durable)) <= 8 * MEGABYTE
