"""The client against a real vLLM on the CPU, serving a tiny LLaMA."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from vllm_server import MODEL, VllmServer

from core.cancellation import Cancellation
from core.errors import Transient
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage
from inference.vllm import VllmChat

RUNNING = "vllm:num_requests_running"
HITS = "vllm:prefix_cache_hits_total"
WRITTEN = "vllm:generation_tokens_total"
# Minutes of writing: on a busy machine a server writes far ahead of whoever reads.
LONG = 60_000


@pytest.fixture
def chat(vllm_server: VllmServer) -> Iterator[VllmChat]:
    chat = VllmChat([vllm_server.url], vllm_server.key)
    yield chat
    chat.close()


def asking(**more: object) -> ChatRequest:
    return ChatRequest(**{"max_tokens": 48, "deadline_s": 120, "patience_s": 60, **more})  # type: ignore[arg-type]


def hello(text: str = "Hello.") -> list[ChatMessage]:
    return [ChatMessage("user", text)]


def test_text_comes_in_pieces_and_its_tokens_are_counted(chat: VllmChat) -> None:
    *text, usage = chat.stream(hello(), asking())

    assert len(text) > 1 and all(isinstance(piece, TextDelta) for piece in text)
    assert isinstance(usage, Usage) and usage.completion_tokens == 48 and usage.prompt_tokens > 0
    assert (chat.mode, chat.model) == ("vllm", MODEL)


def by_cancelling(chat: VllmChat) -> None:
    cancel = Cancellation()
    pieces = chat.stream(hello(), asking(max_tokens=LONG, cancel=cancel))
    next(pieces)
    cancel.cancel()
    assert list(pieces) == [] or not isinstance(list(pieces), Usage)


def by_closing(chat: VllmChat) -> None:
    pieces = chat.stream(hello(), asking(max_tokens=LONG))
    next(pieces)
    pieces.close()


@pytest.mark.parametrize("leave", [by_cancelling, by_closing])
def test_vllm_stops_writing_when_the_caller_leaves(
    chat: VllmChat, vllm_server: VllmServer, leave: Callable[[VllmChat], None]
) -> None:
    assert vllm_server.settled(RUNNING, 0)
    before = vllm_server.gauge(WRITTEN)

    leave(chat)

    # Counted in tokens, which no busy machine changes as it changes seconds.
    assert vllm_server.settled(RUNNING, 0, seconds=100)
    assert vllm_server.gauge(WRITTEN) - before < LONG / 2


def test_text_can_be_held_to_a_form(chat: VllmChat) -> None:
    form = r"([A-Z][a-z ]{5,20} \[[1-3]\]\. ){1,2}"

    text = "".join(
        piece.text for piece in chat.stream(hello(), asking(max_tokens=99, regex=form)) if isinstance(piece, TextDelta)
    )

    assert re.fullmatch(form, text)


def test_what_questions_share_is_read_once_and_never_across_rights(chat: VllmChat, vllm_server: VllmServer) -> None:
    rules = "All questions begin with the same rules. " * 20
    hits = []
    for salt in ("people-a", "people-a", "people-b"):
        before = vllm_server.gauge(HITS)
        list(chat.stream(hello(rules), asking(max_tokens=2, cache_salt=salt)))
        hits.append(vllm_server.gauge(HITS) - before)

    assert hits[0] == hits[2] == 0 and hits[1] > 400


def test_64_callers_at_once_are_all_answered(chat: VllmChat) -> None:
    ends: list[object] = []

    def one() -> None:
        ends.append(list(chat.stream(hello(), asking(max_tokens=24)))[-1])

    threads = [threading.Thread(target=one) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ends) == 64 and all(isinstance(end, Usage) for end in ends)
    assert chat.states()[0].outstanding == 0


def test_a_stopped_server_is_given_up_within_the_patience_and_taken_back_when_it_goes_on(
    chat: VllmChat, vllm_server: VllmServer
) -> None:
    list(chat.stream(hello(), asking(max_tokens=2)))
    vllm_server.stop()
    try:
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(Transient, match="in time"):
                list(chat.stream(hello(), asking(patience_s=0.5)))
        # On a slow machine it is tried again by now.
        with pytest.raises(Transient, match=r"lately|in time"):
            list(chat.stream(hello(), asking(patience_s=0.5)))
        assert time.monotonic() - began < 30
        assert chat.states()[0].open
    finally:
        vllm_server.go_on()
    until = time.monotonic() + 60
    while chat.states()[0].open and time.monotonic() < until:
        time.sleep(0.5)
        try:
            list(chat.stream(hello(), asking(max_tokens=2)))
        except Transient:
            continue
    assert not chat.states()[0].open


def test_a_server_that_stops_in_the_middle_of_an_answer_is_given_up(chat: VllmChat, vllm_server: VllmServer) -> None:
    pieces = chat.stream(hello(), asking(max_tokens=LONG, patience_s=1))
    next(pieces)
    vllm_server.stop()
    try:
        with pytest.raises(Transient):
            list(pieces)
    finally:
        vllm_server.go_on()
