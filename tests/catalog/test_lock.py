"""The writer's lock: held by one at a time, who says so while there is room to."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from catalog.lock import writer_lock
from core.errors import Transient


def take(file: Path) -> None:
    with writer_lock(file, "publishing", timedelta()):
        assert "publishing" in file.read_text()


def test_whoever_waits_in_vain_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    file = tmp_path / "writer.lock"
    said = rf"Process {os.getpid()} on .* \(ingesting org, since .*run again"
    with writer_lock(file, "ingesting org", timedelta()), pytest.raises(Transient, match=said):
        take(file)
    take(file)
    assert file.read_text() == ""


def test_the_lock_is_held_on_a_full_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "writer.lock"
    with monkeypatch.context() as patched:
        patched.setattr("catalog.lock.os.write", full)
        with writer_lock(file, "deleting", timedelta()):
            patched.undo()
            with pytest.raises(Transient, match="Another process"):
                take(file)
