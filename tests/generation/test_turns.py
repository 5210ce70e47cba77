"""Whoever waits for an answer comes before a batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from core.cancellation import Cancellation
from generation.answerer import Writing
from generation.turns import Turns


def in_thread(turns: Turns, writing: Writing) -> tuple[threading.Thread, threading.Event]:
    """A question that takes its turn on a thread; the event tells when it has it."""
    begun = threading.Event()

    def ask() -> None:
        with turns.taken(writing):
            begun.set()

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, begun


def test_a_batch_waits_for_every_person_and_people_wait_for_nobody() -> None:
    turns = Turns(patience_s=60)
    with turns.taken(Writing()):
        with turns.taken(Writing()):
            thread, begun = in_thread(turns, Writing(priority=10))
            assert not begun.wait(0.3)
        assert not begun.wait(0.3)
    assert begun.wait(30)
    thread.join()


def test_one_row_of_a_batch_does_not_hold_up_another_nor_a_person() -> None:
    turns = Turns(patience_s=60)
    with turns.taken(Writing(priority=10)):
        for priority in (0, 10):
            thread, begun = in_thread(turns, Writing(priority=priority))
            assert begun.wait(30)
            thread.join()


def test_a_person_whose_question_fails_holds_up_nobody() -> None:
    turns = Turns(patience_s=60)
    try:
        with turns.taken(Writing()):
            raise ValueError
    except ValueError:
        pass
    thread, begun = in_thread(turns, Writing(priority=10))
    assert begun.wait(30)
    thread.join()


def test_a_busy_day_slows_a_batch_down_and_does_not_stop_it() -> None:
    def waited(turns: Turns, cancel: Callable[[Cancellation], None] = lambda _: None) -> float:
        cancellation = Cancellation()
        with turns.taken(Writing()):
            began = time.monotonic()
            thread, begun = in_thread(turns, Writing(priority=10, cancel=cancellation))
            cancel(cancellation)
            assert begun.wait(30)
            thread.join()
            return time.monotonic() - began

    assert waited(Turns(patience_s=0.3)) >= 0.3
    assert waited(Turns(patience_s=60), Cancellation.cancel) < 30
