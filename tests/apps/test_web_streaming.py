"""Streamed answers of a real server: in what order they come, and who ends them when."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import Request
from live_home import (
    PATIENCE_SECONDS,
    Held,
    LiveHome,
    answers_being_made,
    listening,
    live_home,
    until,
    writes,
)
from web_home import bearer

from apps.web import streaming
from core.cancellation import Cancellation
from core.errors import AuditUnavailable, Transient
from core.principals import parse_principal
from governance.audit import Entry, Kind

LEAVE = b"""# Leave

Full-time employees have 27 days of annual leave. Unused days lapse on 31 March of the next year.
"""
QUESTION = "How many days of annual leave do full-time employees have?"
FIRST = "Full-time employees have 27 days of annual leave [1]."
SECOND = "Unused days lapse on 31 March of the next year [1]."
# A sentence is certain to have ended once a few words follow it.
BEGUN = f"{FIRST} Unused days lapse on "
REST = "31 March of the next year [1]."


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHome]:
    with live_home(tmp_path_factory.mktemp("streaming") / "home") as live:
        yield live


@pytest.fixture
def live(served: LiveHome) -> Iterator[LiveHome]:
    """The served home, in which nothing has been asked of the model yet; afterwards nothing is being written."""
    served.chat.prompts.clear()
    served.chat.ended.clear()
    yield served
    assert until(lambda: not answers_being_made()), answers_being_made()


@pytest.fixture
def document_id(live: LiveHome) -> Iterator[str]:
    """A document that ana may read, whatever the test before took from her; the only one."""
    added = live.web.add("leave.md", LEAVE, "user:ana")
    live.web.administration.grant(parse_principal("user:ana").grantee, added)
    yield added
    others = [one.document_id for one in live.web.administration.documents() if one.document_id != added]
    live.web.administration.delete_documents(others)


@pytest.fixture
def ana(live: LiveHome, document_id: str) -> str:
    """The key of somebody who may read the document."""
    return live.web.key("user:ana")


def sentences(events: Sequence[tuple[str, Any]]) -> list[str]:
    return [data["text"] for name, data in events if name == "sentence"]


# What comes, in which order


def test_passages_come_first_then_each_checked_sentence_then_the_whole(live: LiveHome, ana: str) -> None:
    live.chat.play = writes(f"{FIRST} The pope has 99 boats [1]. ", SECOND)

    with live.asked(ana, QUESTION) as answer:
        events = list(answer)

    assert [name for name, _ in events] == ["passages", "sentence", "sentence", "done"]
    assert [hit["external_id"] for hit in events[0][1]["hits"]] == ["leave.md"]
    assert sentences(events) == [FIRST, SECOND.replace("[1]", "[2]")]
    assert events[1][1]["citations"][0]["quote"] == FIRST.replace(" [1]", "")
    assert events[-1][1]["answer"] == " ".join(sentences(events))


def test_a_sentence_comes_while_the_next_is_still_being_written(live: LiveHome, ana: str) -> None:
    live.chat.play = held = Held(BEGUN, REST)

    with live.asked(ana, QUESTION) as answer:
        before = [next(answer), next(answer)]
        held.go.set()
        after = list(answer)

    assert sentences(before) == [FIRST]
    assert [name for name, _ in after] == ["sentence", "done"]


def test_no_byte_of_a_sentence_leaves_before_its_record_is_written(
    live: LiveHome, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.chat.play = writes(FIRST)
    append, write, asked_to = live.web.home.audit.append_all, threading.Event(), threading.Event()

    def stuck(entries: Sequence[Entry]) -> object:
        if any(entry.kind == Kind.SENTENCE for entry in entries):
            asked_to.set()
            assert write.wait(PATIENCE_SECONDS)
        return append(entries)

    monkeypatch.setattr(live.web.home.audit, "append_all", stuck)
    with live.asked(ana, QUESTION) as answer, ThreadPoolExecutor(1) as reader:
        assert next(answer)[0] == "passages"
        following = reader.submit(next, answer)
        assert asked_to.wait(PATIENCE_SECONDS)
        with pytest.raises(TimeoutError):
            following.result(0.5)
        write.set()
        assert following.result(PATIENCE_SECONDS)[1]["text"] == FIRST
        list(answer)


def test_a_line_comes_now_and_then_while_the_model_thinks(
    live: LiveHome, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.05)
    live.chat.play = held = Held("", FIRST)

    with live.asked(ana, QUESTION) as answer:
        beats = [next(answer)[0] for _ in range(4)]
        held.go.set()
        rest = [name for name, _ in answer if name != ":"]

    assert beats == ["passages", ":", ":", ":"]
    assert rest == ["sentence", "done"]


# Who ends it


def test_who_hangs_up_ends_the_writing(live: LiveHome, ana: str) -> None:
    live.chat.play = Held(BEGUN, REST)

    with live.asked(ana, QUESTION) as answer:
        assert sentences([next(answer), next(answer)]) == [FIRST]

    assert live.chat.ended.wait(PATIENCE_SECONDS / 3)
    assert until(lambda: live.ending() == "left")
    assert [content["sentence"] for kind, content in live.records() if kind == Kind.SENTENCE] == [FIRST]


def test_who_hangs_up_while_the_model_is_silent_ends_the_writing(live: LiveHome, ana: str) -> None:
    live.chat.play = held = Held("")

    with live.begin(ana, QUESTION):
        assert held.waiting.wait(PATIENCE_SECONDS)
        assert not live.chat.ended.is_set()

    assert live.chat.ended.wait(PATIENCE_SECONDS / 3)
    assert until(lambda: live.ending() == "left")


def test_who_waits_for_the_whole_and_hangs_up_ends_the_writing_too(live: LiveHome, ana: str) -> None:
    live.chat.play = held = Held(BEGUN, REST)

    with live.begin(ana, QUESTION, accept="application/json"):
        assert held.waiting.wait(PATIENCE_SECONDS)
        assert not live.chat.ended.is_set()

    assert live.chat.ended.wait(PATIENCE_SECONDS / 3)
    assert until(lambda: live.ending() == "left")


def test_who_reads_nothing_ends_the_writing_and_holds_no_thread(tmp_path: Path) -> None:
    assert streaming.STALL_SECONDS < 1.0
    handbook = [
        f"Rule {number} of the handbook says that desk {number} belongs to team {number}." for number in range(400)
    ]
    with live_home(tmp_path / "home", answer_passages=50) as live:
        live.web.add("handbook.md", "\n\n".join(handbook).encode(), "everyone")
        live.chat.play = writes(*(f"{rule} " for rule in handbook))

        with live.begin(live.web.key("user:ana"), "Which desk belongs to which team?"):
            assert live.chat.ended.wait(PATIENCE_SECONDS)
            assert until(lambda: live.ending() == "left")
            assert until(lambda: not answers_being_made()), answers_being_made()

        assert 0 < len([kind for kind, _ in live.records() if kind == Kind.SENTENCE]) < len(handbook)


@pytest.mark.parametrize("deaf", [False, True], ids=["heeds the end", "writes on"])
def test_a_right_that_is_lost_while_the_model_writes_ends_it_and_nothing_of_the_document_follows(
    live: LiveHome, ana: str, document_id: str, deaf: bool
) -> None:
    live.chat.play = held = Held(BEGUN, f"{REST} And so it has been for years.", deaf=deaf)

    with live.asked(ana, QUESTION) as answer:
        assert sentences([next(answer), next(answer)]) == [FIRST]
        live.web.administration.revoke(parse_principal("user:ana").grantee, document_id)
        assert live.chat.ended.wait(PATIENCE_SECONDS / 3)
        after = list(answer)

    assert not held.go.is_set()
    ((name, done),) = after
    assert (name, done["abstained"], done["reason"]) == ("done", True, "unavailable")
    assert "27 days" not in str(done["answer"]) and "31 March" not in str(done)
    assert live.ending() == "withdrawn"


def test_a_right_that_is_lost_before_anything_was_shown_means_asking_again(
    live: LiveHome, ana: str, document_id: str
) -> None:
    live.web.add("open.md", b"# Canteen\n\nThe canteen has annual leave in August.\n", "everyone")
    live.chat.play = held = Held("")

    with live.asked(ana, QUESTION) as answer:
        assert "leave.md" in [hit["external_id"] for hit in next(answer)[1]["hits"]]
        assert held.waiting.wait(PATIENCE_SECONDS)
        live.chat.play = writes("The canteen has annual leave in August [1].")
        live.web.administration.revoke(parse_principal("user:ana").grantee, document_id)
        events = list(answer)

    assert [hit["external_id"] for hit in events[0][1]["hits"]] == ["open.md"]
    assert [name for name, _ in events] == ["passages", "sentence", "done"]
    assert "27 days" not in str(events)


# What goes wrong


def test_what_fails_before_the_first_event_is_a_problem_document(
    live: LiveHome, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(entries: Sequence[Entry]) -> object:
        raise AuditUnavailable("the disk is full")

    monkeypatch.setattr(live.web.home.audit, "submit", broken)
    response = httpx.post(f"{live.url}/v1/ask", json={"question": QUESTION}, headers=listening(ana))

    assert (response.status_code, response.json()["code"]) == (503, "audit_unavailable")
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(AuditUnavailable("the disk is full"), 503, "audit_unavailable"), (RuntimeError("confidential"), 500, "internal")],
)
def test_what_fails_later_is_told_by_a_last_event(
    live: LiveHome, ana: str, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    live.chat.play = writes(FIRST)
    append = live.web.home.audit.append_all

    def breaking(entries: Sequence[Entry]) -> object:
        if any(entry.kind == Kind.SENTENCE for entry in entries):
            raise error
        return append(entries)

    monkeypatch.setattr(live.web.home.audit, "append_all", breaking)
    with live.asked(ana, QUESTION) as answer:
        heard = [next(answer), next(answer)]

    assert [name for name, _ in heard] == ["passages", "error"]
    assert (heard[1][1]["status"], heard[1][1]["code"]) == (status, code)
    assert "confidential" not in str(heard)
    if code == "internal":
        assert re.search("under request [0-9a-f]{32}", heard[1][1]["detail"])


def test_more_answers_than_there_are_places_for_are_put_off(
    live: LiveHome, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_places", threading.BoundedSemaphore(1))
    live.chat.play = held = Held(BEGUN, REST)

    with live.asked(ana, QUESTION) as answer:
        next(answer)
        for accept in ("text/event-stream", "application/json"):
            headers = {**bearer(ana), "Accept": accept}
            busy = httpx.post(f"{live.url}/v1/ask", json={"question": QUESTION}, headers=headers)
            assert (busy.status_code, busy.json()["code"]) == (503, "try_again")
            assert "Retry-After" in busy.headers
        held.go.set()
        assert list(answer)[-1][0] == "done"
    live.chat.play = writes(FIRST)
    assert until(lambda: not answers_being_made())
    with live.asked(ana, QUESTION) as answer:
        assert list(answer)[-1][0] == "done"


def test_an_answer_for_which_the_system_has_no_thread_is_put_off_and_takes_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def begin() -> None:
        streaming.Making((one for one in ()), Cancellation())

    monkeypatch.setattr(streaming, "_places", places := threading.BoundedSemaphore(1))
    monkeypatch.setattr(threading.Thread, "start", refused)

    with pytest.raises(Transient):
        asyncio.run(begin())
    assert places.acquire(blocking=False)


def test_a_server_that_is_stopped_ends_the_making_of_what_it_waits_for() -> None:
    cancel = Cancellation()

    def nothing_yet() -> Iterator[streaming.ServerEvent]:
        cancel.wait(PATIENCE_SECONDS)
        yield from ()

    async def stop_while_waiting() -> None:
        making = streaming.Making(cast(streaming.Events, nothing_yet()), cancel)
        waiting = asyncio.create_task(streaming.first(making, cast(Request, None)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(stop_while_waiting())

    assert cancel.cancelled
    assert until(lambda: not answers_being_made())


def test_sixty_four_streams_at_once_all_end_with_the_same_answer(live: LiveHome, ana: str) -> None:
    live.chat.play = writes(FIRST, " ", SECOND)
    together = threading.Barrier(64)

    def one(_: int) -> list[tuple[str, Any]]:
        together.wait(PATIENCE_SECONDS)
        with live.asked(ana, QUESTION) as answer:
            return list(answer)

    with ThreadPoolExecutor(64) as people:
        heard = list(people.map(one, range(64)))

    assert {tuple(name for name, _ in events) for events in heard} == {("passages", "sentence", "sentence", "done")}
    assert len({events[-1][1]["answer"] for events in heard}) == 1
    assert len({events[-1][1]["audit_id"] for events in heard}) == 64
