"""Work done ahead: everything in order, never more than there is room for, and an end to it whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from ingest.ahead import Ahead


def one(_: int) -> int:
    return 1


def test_every_entry_comes_in_its_order() -> None:
    with Ahead((number for number in range(500)), one, 8, "test") as ahead:
        assert list(ahead) == list(range(500))


def test_no_more_lies_ready_than_there_is_room_for() -> None:
    drawn = threading.Semaphore(0)

    def source() -> Generator[int]:
        for number in range(9):
            drawn.release()
            yield number

    with Ahead(source(), lambda _: 10, 30, "test") as ahead:
        # Three lie ready and a fourth waits for room.
        assert all(drawn.acquire(timeout=10) for _ in range(4))
        assert not drawn.acquire(timeout=0.05)
        assert list(ahead) == list(range(9))


def test_an_entry_that_outweighs_the_room_passes_alone() -> None:
    with Ahead((number for number in (5, 1_000, 7)), lambda weight: weight, 100, "test") as ahead:
        assert list(ahead) == [5, 1_000, 7]


def test_what_breaks_the_source_is_raised_after_the_entries_before_it() -> None:
    def source() -> Generator[int]:
        yield 1
        yield 2
        raise LookupError("the third")

    taken = []
    with pytest.raises(LookupError, match="the third"), Ahead(source(), one, 8, "test") as ahead:
        for entry in ahead:
            taken.append(entry)
    assert taken == [1, 2]


def test_whoever_leaves_early_ends_everything_behind() -> None:
    """The first source would wait for ever; the second waits for it."""
    forever, closed = threading.Event(), []

    def first() -> Generator[int]:
        try:
            yield 1
            forever.wait(30)
            yield 2
        finally:
            closed.append("first")

    def second(before: Ahead[int]) -> Generator[int]:
        try:
            yield from before
        finally:
            closed.append("second")

    with Ahead(first(), one, 8, "first") as before, Ahead(second(before), one, 8, "second", behind=before) as after:
        assert next(iter(after)) == 1
        after.__exit__(None, None, None)
        assert closed == ["second"]
        forever.set()
    assert closed == ["second", "first"]
