"""The client against servers that are slow, silent, broken, busy or gone."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from scripted_vllm import DONE, HEAD, USED, Act, Step, answers, chunked, event, refuses, says, scripted_vllm

from core.cancellation import Cancellation
from core.errors import ModelFailed
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage
from inference.vllm import VllmChat
from inference.vllm.endpoints import FAILURES_TO_OPEN, FIRST_PAUSE_S, LAST_PAUSE_S, Endpoint, Endpoints

ROLE = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
ODD = "vLLM sent an event of a shape we do not know."
HELLO = [ChatMessage("user", "Hello.")]
# Far more than any of these waits takes, on a machine that has other things to do.
SOON_S = 20.0


@contextmanager
def client(*urls: str, model: str = "scripted") -> Iterator[VllmChat]:
    chat = VllmChat(urls, model=model)
    try:
        yield chat
    finally:
        chat.close()


def asking(patience_s: float = 30.0, deadline_s: float = 60.0, cancel: Cancellation | None = None) -> ChatRequest:
    return ChatRequest(max_tokens=9, deadline_s=deadline_s, patience_s=patience_s, cancel=cancel or Cancellation())


def text(chat: VllmChat, request: ChatRequest | None = None) -> str:
    pieces = chat.stream(HELLO, request or asking())
    return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))


def until_it_failed(chat: VllmChat, request: ChatRequest) -> tuple[list[str], ModelFailed]:
    """What was said before the failure, and the failure."""
    said: list[str] = []
    with pytest.raises(ModelFailed) as failure:
        said.extend(piece.text for piece in chat.stream(HELLO, request) if isinstance(piece, TextDelta))
    return said, failure.value


def ended(reason: str) -> bytes:
    """The last event of an answer, and why it is the last."""
    return event({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": reason}]})


@pytest.fixture
def nobody() -> str:
    """The URL of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


# --- what is not a fault


def test_rights_a_form_and_a_place_in_line_reach_the_server_and_are_left_out_where_nobody_has_any() -> None:
    asked = {"cache_salt": "people-a", "priority": 10, "structured_outputs": {"regex": "[a-z]"}}
    with scripted_vllm(answers("A")) as server, client(server.url) as chat:
        text(chat, replace(asking(), cache_salt="people-a", priority=10, regex="[a-z]"))
        text(chat)

    with_all, with_none = server.bodies
    assert {name: with_all[name] for name in asked} == asked
    assert not asked.keys() & with_none.keys()


@pytest.mark.parametrize("cut", [1, 2, 3, 7])
def test_text_is_the_same_however_its_bytes_arrive(cut: int) -> None:
    # U+2028, U+0085 and U+000B end a line in some readers of text, and in no stream of events.
    spoken = "Größe 27\u2028Ta\u0085ge\u000b 日本 🙂"
    stream = b"".join(b"data: " + json.dumps(one, ensure_ascii=False).encode() + b"\r\n\r\n" for one in events(spoken))
    stream = b": a comment\n\nevent: message\n" + stream + b"data: [DONE]\n\n"
    pieces = [chunked(stream[at : at + cut]) for at in range(0, len(stream), cut)]
    with scripted_vllm([HEAD, *pieces, chunked(b"")]) as server, client(server.url) as chat:
        assert text(chat) == spoken


def events(spoken: str) -> list[dict[str, object]]:
    said = [{"choices": [{"delta": {"content": one}}]} for one in spoken]
    return [ROLE, *said]


def test_answers_follow_one_another_on_one_connection() -> None:
    with scripted_vllm(answers("A", "B")) as server, client(server.url) as chat:
        assert [text(chat) for _ in range(5)] == ["AB"] * 5
        assert server.connections == 1


def test_an_answer_is_whole_though_the_server_says_nothing_after_its_end() -> None:
    script = (HEAD, says("A"), USED, event("[DONE]"), Act.STALL)
    with scripted_vllm(script) as server, client(server.url) as chat:
        began = time.monotonic()
        pieces = list(chat.stream(HELLO, asking()))
        assert time.monotonic() - began < SOON_S
        assert pieces == [TextDelta("A"), Usage(3, 2)]
        assert server.left.wait(SOON_S)


# --- slow and silent


@pytest.mark.parametrize(
    "script",
    [
        pytest.param((Act.STALL,), id="no head"),
        pytest.param((HEAD, Act.STALL), id="no event"),
        pytest.param((HEAD, event(ROLE), Act.STALL), id="no text"),
        pytest.param((HEAD, *[event(ROLE), 0.05] * 1_000, Act.STALL), id="events without text"),
        pytest.param((HEAD, *[chunked(b": ping\n\n"), 0.05] * 1_000, Act.STALL), id="pings in place of text"),
    ],
)
def test_a_first_token_that_does_not_come_is_waited_for_no_longer_than_the_patience(script: tuple[Step, ...]) -> None:
    with scripted_vllm(script) as server, client(server.url) as chat:
        began = time.monotonic()
        said, failure = until_it_failed(chat, asking(patience_s=0.3))
        assert time.monotonic() - began < SOON_S
        assert (said, str(failure)) == ([], "vLLM did not answer in time.")


@pytest.mark.parametrize("garbage", [(), (b"this is no chunk\r\n",)], ids=["nothing", "garbage for a chunk"])
def test_a_stream_that_stalls_is_given_up_and_its_connection_freed(garbage: tuple[Step, ...]) -> None:
    script = (HEAD, says("A"), 0.1, *garbage, Act.STALL)
    with scripted_vllm(script) as server, client(server.url) as chat:
        said, failure = until_it_failed(chat, asking(patience_s=1.0))
        assert (said, str(failure)) == (["A"], "vLLM did not answer in time.")
        assert server.left.wait(SOON_S)
        assert chat.states()[0].outstanding == 0


def test_a_slow_drip_is_read_while_each_drop_comes_in_time() -> None:
    drip = [step for _ in range(6) for step in (says("a"), 0.2)]
    with scripted_vllm((HEAD, *drip, USED, DONE)) as server, client(server.url) as chat:
        assert text(chat, asking(patience_s=1.0)) == "aaaaaa"


def test_a_drip_that_nobody_would_wait_for_is_given_up_within_the_patience() -> None:
    drip = [step for _ in range(50) for step in (says("a"), 0.6)]
    with scripted_vllm((HEAD, *drip, USED, DONE)) as server, client(server.url) as chat:
        said, failure = until_it_failed(chat, asking(patience_s=1.0))
        assert len(said) < 10 and str(failure) == "vLLM did not answer in time."


def test_no_answer_takes_longer_than_its_deadline_though_it_drips() -> None:
    drip = [step for _ in range(600) for step in (says("a"), 0.1)]
    with scripted_vllm((HEAD, *drip, DONE)) as server, client(server.url) as chat:
        began = time.monotonic()
        said, failure = until_it_failed(chat, asking(patience_s=15, deadline_s=0.5))
        assert time.monotonic() - began < SOON_S
        assert 0 < len(said) < 100
        assert str(failure) == "vLLM did not answer in time."


def test_no_answer_takes_longer_than_its_deadline_though_nothing_comes() -> None:
    with scripted_vllm((HEAD, Act.STALL)) as server, client(server.url) as chat:
        began = time.monotonic()
        until_it_failed(chat, asking(patience_s=50, deadline_s=0.3))
        assert time.monotonic() - began < SOON_S


def test_a_deadline_holds_for_all_servers_together() -> None:
    with scripted_vllm((HEAD, Act.STALL)) as first, scripted_vllm(answers("B")) as second:
        with client(first.url, second.url) as chat:
            for _ in range(FAILURES_TO_OPEN):
                until_it_failed(chat, asking(patience_s=50, deadline_s=0.3))
            # What was too late for the first is no fault of the second.
            assert [(state.open, state.outstanding) for state in chat.states()] == [(True, 0), (False, 0)]
        assert second.bodies == []


# --- broken


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        pytest.param((Act.CUT,), "The connection to vLLM broke.", id="closed inside a chunked body"),
        pytest.param((Act.HALF_CLOSE,), "The connection to vLLM broke.", id="half closed"),
        pytest.param((Act.DROP,), "The connection to vLLM broke.", id="reset"),
        pytest.param((chunked(b""),), "vLLM broke off in the middle of an answer.", id="ended without the last event"),
        pytest.param((event("{nonsense"), Act.STALL), "vLLM sent what is no JSON.", id="garbage for JSON"),
        pytest.param((chunked(b"data: \xff\xfe\n\n"), Act.STALL), "vLLM sent what is no JSON.", id="no UTF-8"),
        pytest.param((event("[1, 2]"), Act.STALL), ODD, id="a list"),
        pytest.param((event({"choices": [{}]}), Act.STALL), ODD, id="no delta"),
        pytest.param((event({"choices": 7}), Act.STALL), ODD, id="no choices"),
        pytest.param(
            (event({"error": {"message": "canary", "code": 500}}), DONE), "vLLM broke off with an error.", id="an error"
        ),
        pytest.param((ended("abort"), DONE), "vLLM broke off in the middle of an answer.", id="told to stop"),
        pytest.param((ended("error"), DONE), "vLLM broke off in the middle of an answer.", id="an error of its own"),
        pytest.param(
            (*[chunked(b"x" * 65_536)] * 400, Act.STALL), "vLLM sent a line that is too long.", id="an endless line"
        ),
    ],
)
def test_a_stream_that_breaks_says_what_it_said_and_then_fails(broken: tuple[Step, ...], cause: str) -> None:
    heard = threading.Event()
    with scripted_vllm((HEAD, says("A"), heard, *broken)) as server, client(server.url) as chat:
        pieces = chat.stream(HELLO, asking())
        assert next(pieces) == TextDelta("A")
        heard.set()
        with pytest.raises(ModelFailed, match=f"^{re.escape(cause)}$"):
            next(pieces)
        assert chat.states()[0].outstanding == 0
        assert len(server.bodies) == 1  # what was said is said: nobody is asked to say it again


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (429, "vLLM is busy (status 429)."),
        (503, "vLLM is busy (status 503)."),
        (500, "vLLM refused with status 500."),
        (404, "vLLM refused with status 404: see vllm_urls and vllm_model."),
        (401, "vLLM refused with status 401: see vllm_api_key."),
        (400, "vLLM refused this request with status 400."),
    ],
)
def test_a_refusal_is_told_in_words_of_ours(status: int, cause: str) -> None:
    # A server's own words may quote what it was sent.
    with scripted_vllm(refuses(status, b'{"error": {"message": "canary"}}')) as server, client(server.url) as chat:
        _, failure = until_it_failed(chat, asking())
        assert str(failure) == cause


def test_a_server_that_is_not_there_is_told(nobody: str) -> None:
    with client(nobody) as chat:
        assert str(until_it_failed(chat, asking())[1]) == "vLLM cannot be reached."


@pytest.mark.parametrize(
    ("listed", "cause"),
    [
        (b'{"data": []}', "vLLM says that it serves no model."),
        (b'{"data": [{}]}', "vLLM did not say which model it serves."),
        (b"[]", "vLLM did not say which model it serves."),
        (b"<html>", "vLLM did not say which model it serves."),
    ],
)
def test_a_server_that_names_no_model_is_told(listed: bytes, cause: str) -> None:
    with scripted_vllm(refuses(200, listed)) as server, client(server.url, model="") as chat:
        assert str(until_it_failed(chat, asking())[1]) == cause


# --- which model is served


def names(model: str) -> tuple[Step, ...]:
    return refuses(200, json.dumps({"data": [{"id": model}]}).encode())


def test_each_server_is_asked_once_for_the_model_it_serves() -> None:
    held = (HEAD, says("A"), Act.STALL)
    with (
        scripted_vllm(names("old"), held) as first,
        scripted_vllm(names("new"), answers("B")) as second,
        client(first.url, second.url, model="") as chat,
    ):
        pieces = chat.stream(HELLO, asking())
        next(pieces)  # so that the other server has the fewest requests under way
        assert [text(chat) for _ in range(2)] == ["B", "B"]
        pieces.close()

    assert [body.get("model") for body in first.bodies] == [None, "old"]
    assert [body.get("model") for body in second.bodies] == [None, "new", "new"]


def test_a_server_that_was_started_anew_with_another_model_is_asked_for_its_name_again() -> None:
    scripts = (names("old"), answers("A"), refuses(404), names("new"), answers("B"))
    with scripted_vllm(*scripts) as server, client(server.url, model="") as chat:
        assert (text(chat), chat.model) == ("A", "old")
        until_it_failed(chat, asking())
        assert (text(chat), chat.model) == ("B", "new")


def test_what_cannot_be_sent_is_no_request_under_way() -> None:
    with scripted_vllm(answers("A")) as server, client(server.url) as chat:
        with pytest.raises(UnicodeEncodeError):
            list(chat.stream([ChatMessage("user", "\ud800")], asking()))
        assert chat.states()[0].outstanding == 0
        assert text(chat) == "A"


# --- leaving


def by_cancelling(chat: VllmChat) -> None:
    cancel = Cancellation()
    pieces = chat.stream(HELLO, asking(cancel=cancel))
    assert next(pieces) == TextDelta("A")
    cancel.cancel()
    assert list(pieces) == []


def by_cancelling_on_another_thread(chat: VllmChat) -> None:
    cancel = Cancellation()
    threading.Timer(0.2, cancel.cancel).start()
    assert list(chat.stream(HELLO, asking(cancel=cancel))) == [TextDelta("A")]


def by_closing(chat: VllmChat) -> None:
    pieces = chat.stream(HELLO, asking())
    next(pieces)
    pieces.close()


@pytest.mark.parametrize("leave", [by_cancelling, by_cancelling_on_another_thread, by_closing])
def test_a_caller_who_leaves_frees_the_connection_and_blames_nobody(leave: Callable[[VllmChat], None]) -> None:
    with scripted_vllm((HEAD, says("A"), Act.STALL)) as server, client(server.url) as chat:
        for _ in range(FAILURES_TO_OPEN + 1):
            server.left.clear()
            leave(chat)
            assert server.left.wait(SOON_S)
        assert settled(lambda: chat.states()[0].outstanding == 0)
        assert not chat.states()[0].open


def test_closing_the_client_ends_what_is_being_written() -> None:
    with scripted_vllm((HEAD, says("A"), Act.STALL)) as server, client(server.url) as chat:
        pieces = chat.stream(HELLO, asking())
        next(pieces)
        ended = threading.Thread(target=lambda: list(pieces), daemon=True)
        ended.start()
        chat.close()
        ended.join(SOON_S)
        assert not ended.is_alive()
        assert server.left.wait(SOON_S)


def settled(condition: Callable[[], bool]) -> bool:
    """Whether it comes to be so in time."""
    until = time.monotonic() + SOON_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


# --- several servers


@pytest.mark.parametrize(
    "first", [(Act.CUT,), refuses(503), refuses(429), (HEAD, Act.DROP), (HEAD, event({"error": {}}), DONE)]
)
def test_before_the_first_token_another_server_answers(first: tuple[Step, ...]) -> None:
    with scripted_vllm(first) as broken, scripted_vllm(answers("B")) as sound:
        with client(broken.url, sound.url) as chat:
            assert text(chat) == "B"
        assert (len(broken.bodies), len(sound.bodies)) == (1, 1)


def test_where_the_first_is_not_there_the_second_answers(nobody: str) -> None:
    with scripted_vllm(answers("B")) as sound, client(nobody, sound.url) as chat:
        assert [text(chat) for _ in range(4)] == ["B"] * 4


def test_after_the_first_token_no_other_server_is_asked() -> None:
    with scripted_vllm((HEAD, says("A"), Act.CUT)) as broken, scripted_vllm(answers("B")) as sound:
        with client(broken.url, sound.url) as chat:
            assert until_it_failed(chat, asking())[0] == ["A"]
        assert sound.bodies == []


def test_a_request_that_one_server_finds_wrong_is_not_sent_to_another() -> None:
    with scripted_vllm(refuses(400)) as strict, scripted_vllm(answers("B")) as other:
        with client(strict.url, other.url) as chat:
            until_it_failed(chat, asking())
        assert other.bodies == []


def test_the_server_with_the_fewest_requests_under_way_is_asked() -> None:
    held = (HEAD, says("A"), Act.STALL)
    with scripted_vllm(held) as first, scripted_vllm(held) as second, client(first.url, second.url) as chat:
        open_ones = []
        for _ in range(6):
            open_ones.append(chat.stream(HELLO, asking()))
            next(open_ones[-1])
        assert [state.outstanding for state in chat.states()] == [3, 3]
        for pieces in open_ones[::2]:  # those of the first server
            pieces.close()
        assert settled(lambda: [state.outstanding for state in chat.states()] == [0, 3])
        for _ in range(3):
            open_ones.append(chat.stream(HELLO, asking()))
            next(open_ones[-1])
        assert (len(first.bodies), len(second.bodies)) == (6, 3)


# --- the circuit breaker


def test_a_server_that_keeps_failing_is_left_out_at_once() -> None:
    with scripted_vllm(refuses(500)) as server, client(server.url) as chat:
        for _ in range(FAILURES_TO_OPEN):
            assert not chat.states()[0].open
            until_it_failed(chat, asking())
        assert chat.states()[0].open
        assert "lately" in str(until_it_failed(chat, asking())[1])
        assert len(server.bodies) == FAILURES_TO_OPEN


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_server_that_is_busy_or_finds_one_request_wrong_is_not_left_out(status: int) -> None:
    script = refuses(status)
    with scripted_vllm(*[script] * 5, answers("A")) as server, client(server.url) as chat:
        for _ in range(5):
            until_it_failed(chat, asking())
        assert not chat.states()[0].open
        assert text(chat) == "A"


def test_after_a_pause_one_request_tries_and_a_success_takes_the_server_back() -> None:
    clock = Clock()
    endpoints = Endpoints(["only"], clock)
    fail(endpoints, FAILURES_TO_OPEN)

    assert endpoints.take() is None
    clock.now = FIRST_PAUSE_S
    probe = taken(endpoints)
    assert endpoints.take() is None  # one tries, the others go on without
    endpoints.succeeded(probe)

    assert not endpoints.states()[0].open
    both = taken(endpoints), taken(endpoints)
    assert [state.outstanding for state in endpoints.states()] == [len(both)]


def test_a_failed_try_doubles_the_pause_up_to_a_limit_and_a_success_forgets_it() -> None:
    clock = Clock()
    endpoints = Endpoints(["only"], clock)
    fail(endpoints, FAILURES_TO_OPEN)
    pauses = []
    for _ in range(8):
        began = clock.now
        while endpoints.take() is None:
            clock.now += FIRST_PAUSE_S / 2
        pauses.append(clock.now - began)
        endpoints.failed(endpoints._all[0])
    assert pauses == [min(LAST_PAUSE_S, FIRST_PAUSE_S * 2**n) for n in range(8)]

    clock.now += LAST_PAUSE_S
    endpoints.succeeded(taken(endpoints))
    fail(endpoints, FAILURES_TO_OPEN)
    clock.now += FIRST_PAUSE_S
    assert endpoints.take() is not None


def test_a_try_whose_caller_left_lets_the_next_one_try() -> None:
    clock = Clock()
    endpoints = Endpoints(["only"], clock)
    fail(endpoints, FAILURES_TO_OPEN)
    clock.now = FIRST_PAUSE_S

    endpoints.left(taken(endpoints))

    assert endpoints.take() is not None


def test_a_success_between_two_failures_counts_as_health() -> None:
    endpoints = Endpoints(["only"], Clock())
    for _ in range(5):
        fail(endpoints, FAILURES_TO_OPEN - 1)
        endpoints.succeeded(taken(endpoints))
    assert not endpoints.states()[0].open


def test_a_sound_server_is_preferred_to_one_that_would_be_tried() -> None:
    clock = Clock()
    endpoints = Endpoints(["failed", "sound"], clock)
    failed = taken(endpoints)
    endpoints.failed(failed)
    busy = [taken(endpoints, besides=[failed]) for _ in range(3)]
    endpoints.failed(taken(endpoints))
    clock.now = FIRST_PAUSE_S

    assert taken(endpoints).url == busy[0].url == "sound"


class Clock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(endpoints: Endpoints, besides: list[Endpoint] | None = None) -> Endpoint:
    endpoint = endpoints.take(besides or [])
    assert endpoint is not None
    return endpoint


def fail(endpoints: Endpoints, times: int) -> None:
    for _ in range(times):
        endpoints.failed(taken(endpoints))
