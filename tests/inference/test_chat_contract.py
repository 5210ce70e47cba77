"""What every chat model promises, kept by each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from core.answers import Mode
from core.cancellation import Cancellation
from core.errors import ModelFailed
from inference.chat import ChatMessage, ChatModel, ChatRequest, TextDelta, Usage

HELLO = [ChatMessage("system", "Be short."), ChatMessage("user", "Grüezi, wie lange gilt die Vereinbarung?")]
SOON_S = 60.0
"""Far less than the longest answer takes here, and far more than a token."""


@pytest.fixture(scope="module", params=["vllm", "transformers"])
def chat(request: pytest.FixtureRequest) -> Iterator[ChatModel]:
    if request.param == "vllm":
        from inference.vllm import VllmChat

        server = request.getfixturevalue("vllm_server")
        model: VllmChat | TransformersChat = VllmChat([server.url], server.key)
    else:
        from inference.transformers_chat import TransformersChat

        folder: Path = request.getfixturevalue("tiny_llama")
        model = TransformersChat(folder)
    yield model
    model.close()


def asking(**more: object) -> ChatRequest:
    return ChatRequest(**{"max_tokens": 24, "deadline_s": 120, "patience_s": 60, **more})  # type: ignore[arg-type]


def test_text_comes_in_pieces_and_then_its_tokens_are_counted(chat: ChatModel) -> None:
    *text, usage = chat.stream(HELLO, asking())

    assert len(text) > 1 and all(isinstance(piece, TextDelta) and piece.text for piece in text)
    assert isinstance(usage, Usage) and 0 < usage.completion_tokens <= 24
    # A token is a byte of this tokenizer's, but for those that say who speaks.
    assert usage.prompt_tokens >= sum(len(message.content.encode()) for message in HELLO)


def test_a_model_has_a_mode_and_a_name(chat: ChatModel) -> None:
    assert chat.mode in get_args(Mode)
    assert chat.model == "tiny-llama"


def test_the_same_messages_give_the_same_text(chat: ChatModel) -> None:
    first, second = (list(chat.stream(HELLO, asking())) for _ in range(2))

    assert "".join(p.text for p in first if isinstance(p, TextDelta)) == "".join(
        p.text for p in second if isinstance(p, TextDelta)
    )


# A server writes far ahead of who reads: so much that it is still writing when it is left.
LONG = 60_000


def by_cancelling(chat: ChatModel) -> None:
    cancel = Cancellation()
    pieces = chat.stream(HELLO, asking(max_tokens=LONG, cancel=cancel))
    next(pieces)
    cancel.cancel()
    assert not [piece for piece in pieces if isinstance(piece, Usage)]


def by_cancelling_before(chat: ChatModel) -> None:
    cancel = Cancellation()
    cancel.cancel()
    assert list(chat.stream(HELLO, asking(max_tokens=LONG, cancel=cancel))) == []


def by_closing(chat: ChatModel) -> None:
    pieces = chat.stream(HELLO, asking(max_tokens=LONG))
    next(pieces)
    pieces.close()


@pytest.mark.parametrize("leave", [by_cancelling, by_cancelling_before, by_closing])
def test_who_leaves_keeps_nobody_waiting(chat: ChatModel, leave: Callable[[ChatModel], None]) -> None:
    began = time.monotonic()
    leave(chat)
    assert isinstance(list(chat.stream(HELLO, asking(max_tokens=2)))[-1], Usage)
    assert time.monotonic() - began < SOON_S


def test_a_first_token_that_does_not_come_in_time_is_transient(chat: ChatModel) -> None:
    with pytest.raises(ModelFailed):
        next(chat.stream(HELLO, asking(patience_s=1e-4)))
    assert isinstance(list(chat.stream(HELLO, asking(max_tokens=2)))[-1], Usage)


def test_an_answer_that_takes_too_long_is_transient(chat: ChatModel) -> None:
    began = time.monotonic()
    with pytest.raises(ModelFailed):
        list(chat.stream(HELLO, asking(max_tokens=7_000, deadline_s=0.3)))
    assert time.monotonic() - began < SOON_S
    assert isinstance(list(chat.stream(HELLO, asking(max_tokens=2)))[-1], Usage)


def test_more_than_the_model_can_read_is_transient_and_harms_nobody_else(chat: ChatModel) -> None:
    for _ in range(3):
        with pytest.raises(ModelFailed):
            list(chat.stream([ChatMessage("user", "word " * 30_000)], asking()))
    assert isinstance(list(chat.stream(HELLO, asking(max_tokens=2)))[-1], Usage)


def test_callers_at_once_are_all_answered(chat: ChatModel) -> None:
    ends: list[object] = []
    threads = [
        threading.Thread(target=lambda: ends.append(list(chat.stream(HELLO, asking(max_tokens=4)))[-1]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ends) == 8 and all(isinstance(end, Usage) for end in ends)
