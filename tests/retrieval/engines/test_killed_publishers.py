"""A publisher that is killed leaves the generation before or the one after, whole, on every engine."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from engines_under_test import ENCODER, EngineUnderTest, rank, row_of
from pyroaring import BitMap

from retrieval.dense import similarity
from retrieval.index.storage import FileRecord, Storage

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["retrieval.engines.pgvector_writing", "retrieval.ranking", "inference.hashing"])

BEFORE, ADDED, DROPPED, REPLACED = range(40), range(50, 80), (5, 7), 9
AFTER = BitMap(BEFORE) - BitMap(DROPPED) | BitMap(ADDED)


class DyingAt(Storage):
    """Kills its process at the n-th step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self, path: Path, parts: Sequence[bytes | memoryview]) -> FileRecord:
        self._step()
        return super().write(path, parts)

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)


def publish_and_die(engine: EngineUnderTest, step: int, rebuilding: bool) -> None:
    writer = engine.writer(storage=DyingAt(step))
    rows = [row_of(REPLACED, "giraffe giraffe"), *map(row_of, ADDED)]
    if rebuilding:
        writer.rebuild([*rows, *(row_of(row) for row in AFTER - BitMap(ADDED) - BitMap([REPLACED]))])
    else:
        writer.publish(rows, DROPPED)


def killed(engine: EngineUnderTest, step: int, rebuilding: bool) -> bool:
    child = PROCESSES.Process(target=publish_and_die, args=(engine, step, rebuilding))
    child.start()
    child.join(60)
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


def check(engine: EngineUnderTest) -> int:
    """What is there is one of both, and can be written on; returns its generation."""
    reader = engine.reader()
    snapshot = reader.snapshot()
    reader.verify()
    whole = {1: BitMap(BEFORE), 2: AFTER}[snapshot.generation]
    assert snapshot.rows() == whole
    selection = snapshot.select(BitMap([REPLACED]))
    likeness = similarity(selection, ENCODER.encode_query("giraffe"), selection.slots())[0]
    assert (likeness > 0.99) == (snapshot.generation == 2)
    engine.publish([90], [1])
    reader.verify()
    assert reader.snapshot().rows() == (whole | BitMap([90])) - BitMap([1])
    assert len(rank(engine.ranker(), "alpha", range(100), 100).hits) == len(whole)
    return snapshot.generation


def test_killed_in_the_middle_the_generation_before_is_whole(engine: EngineUnderTest) -> None:
    engine.publish(BEFORE)
    assert killed(engine, 4, rebuilding=False)
    assert killed(engine, 11, rebuilding=True), "and again, over what the first left"
    assert check(engine) == 1


@pytest.mark.deep
@pytest.mark.parametrize("rebuilding", [False, True])
def test_killed_at_any_step_one_of_both_generations_is_whole(
    engine: EngineUnderTest, rebuilding: bool, tmp_path: Path
) -> None:
    found = set()
    for step in range(200):
        one = engine.anew(f"{tmp_path.name}-{step}")
        one.publish(BEFORE)
        survived = not killed(one, step, rebuilding)
        found.add(check(one))
        if survived:
            break
    assert found == {1, 2}
