"""Whatever a system call answers, or the process ends there: the index is as before a change of it or as after it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from breaking_storage import BreakingAt
from indexed import ENCODER, publish, row_of
from pyroaring import BitMap
from whole import assert_whole

from core.errors import LimitExceeded
from retrieval.index import IndexReader, IndexWriter
from retrieval.index.storage import Storage

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["retrieval.index", "retrieval.ranking", "inference.hashing"])

# Dropped rows, segments that were merged and retired ones, and what a publish leaves to `merge`.
BEFORE = [(range(40), ()), (range(40, 50), range(3)), (range(50, 55), [45]), (range(55, 77), ())]


def merge(index: IndexWriter) -> None:
    assert index.merge()


CHANGES: dict[str, Callable[[IndexWriter], object]] = {
    "publish": lambda index: index.publish(map(row_of, range(80, 100)), [5, 51]),
    "delete": lambda index: index.publish((), [5, 6, 51]),
    "merge": merge,
    "compact": lambda index: index.compact(),
    "rebuild": lambda index: index.rebuild(map(row_of, range(2, 50))),
}

# What changes or reads files; `strace` counts each of them by itself.
CALLS = "%file,%desc"
EVERY = 1
"""Of the calls of one kind, each so many-th is broken at."""
# Those that a full or failing disk answers with an error.
FAILING = {"openat", "mkdir", "write", "fsync", "rename", "unlink", "unlinkat", "rmdir", "read"}


def writer(folder: Path, storage: Storage | None = None) -> IndexWriter:
    return IndexWriter(folder, ENCODER.fingerprint, ENCODER.dimension, storage, merged_in_publish=20)


@pytest.fixture
def before(tmp_path: Path) -> Path:
    for added, dropped in BEFORE:
        writer(tmp_path / "before").publish(map(row_of, added), dropped)
    return tmp_path / "before"


@pytest.fixture
def outcomes(before: Path, tmp_path: Path, request: pytest.FixtureRequest) -> list[BitMap]:
    """The rows before the change of this test and after it."""
    shutil.copytree(before, tmp_path / "after")
    CHANGES[request.getfixturevalue("change")](writer(tmp_path / "after"))
    return [IndexReader(tmp_path / name).snapshot().rows() for name in ("before", "after")]


def assert_sound(folder: Path, outcomes: list[BitMap]) -> None:
    """It is one of the outcomes, all of it is what was written, and it can be written to."""
    reader = IndexReader(folder)
    rows = reader.snapshot().rows()
    assert rows in outcomes
    reader.verify()
    assert_whole(reader.snapshot())
    publish(folder, [200])
    assert reader.snapshot().rows() == rows | BitMap([200])


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.deep)])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("change", CHANGES)
def test_a_disk_that_fails_at_any_step_leaves_the_state_before_or_after(
    before: Path, tmp_path: Path, outcomes: list[BitMap], change: str, number: int, every: int
) -> None:
    for step in range(0, 1_000, every):
        folder = tmp_path / str(step)
        shutil.copytree(before, folder)
        storage = BreakingAt(step, partial(fail, number), once=True)
        try:
            CHANGES[change](writer(folder, storage))
        except LimitExceeded:
            assert number == errno.ENOSPC
        except OSError as error:
            assert (number, error.errno) == (errno.EIO, errno.EIO)
        assert_sound(folder, outcomes)
        shutil.rmtree(folder)
        if storage.left >= 0:
            return
    pytest.fail("it never came to its end")


def change_when_told(folder: Path, change: str, ready: Event, go: Event) -> None:
    ready.set()
    go.wait(60)
    CHANGES[change](writer(folder))


@contextmanager
def traced(folder: Path, change: str, log: Path, *injected: str) -> Iterator[multiprocessing.process.BaseProcess]:
    """A process that makes the change under `strace`, which begins when everything is imported."""
    ready, go = PROCESSES.Event(), PROCESSES.Event()
    child = PROCESSES.Process(target=change_when_told, args=(folder, change, ready, go))
    child.start()
    assert ready.wait(60)
    command = ["strace", "-f", "-p", str(child.pid), "-o", str(log), "-e", f"trace={CALLS}", *injected]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        first = strace.stderr.readline()
        if "attached" not in first:
            child.kill()
            pytest.skip(f"strace may not attach here: {first.strip()}")
        go.set()
        child.join(60)
        yield child
        strace.wait(60)


def calls_of(before: Path, tmp_path: Path, change: str) -> Counter[str]:
    """How often a change makes each call."""
    shutil.copytree(before, tmp_path / "counted")
    with traced(tmp_path / "counted", change, tmp_path / "log") as child:
        assert child.exitcode == 0
    return Counter(re.findall(r"^\d+ +(\w+)\(", (tmp_path / "log").read_text(), re.MULTILINE))


@pytest.mark.deep
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("change", CHANGES)
def test_killed_at_any_system_call_it_is_the_state_before_or_after(
    before: Path, tmp_path: Path, outcomes: list[BitMap], change: str
) -> None:
    calls = calls_of(before, tmp_path, change)
    assert calls["fsync"] and calls["rename"]
    seen = []
    for call, count in calls.items():
        for number in range(1, count + 1, EVERY):
            folder = tmp_path / f"{call}-{number}"
            shutil.copytree(before, folder)
            with traced(folder, change, tmp_path / "log", "-e", f"inject={call}:signal=KILL:when={number}") as child:
                assert child.exitcode in (-signal.SIGKILL, 0)
            seen.append(IndexReader(folder).snapshot().rows() == outcomes[1])
            assert_sound(folder, outcomes)
            shutil.rmtree(folder)
    assert EVERY > 1 or outcomes[0] == outcomes[1] or set(seen) == {False, True}


@pytest.mark.deep
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("change", CHANGES)
def test_an_error_of_any_system_call_leaves_the_state_before_or_after(
    before: Path, tmp_path: Path, outcomes: list[BitMap], change: str, error: str
) -> None:
    for call, count in calls_of(before, tmp_path, change).items():
        for number in range(1, count + 1 if call in FAILING else 0, EVERY):
            folder = tmp_path / f"{call}-{number}"
            shutil.copytree(before, folder)
            with traced(folder, change, tmp_path / "log", "-e", f"inject={call}:error={error}:when={number}"):
                pass
            assert_sound(folder, outcomes)
            shutil.rmtree(folder)
