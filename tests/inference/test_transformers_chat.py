"""The model in our own process: one answer at a time, from weights that cannot run code."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core.cancellation import Cancellation
from core.errors import ModelFailed, WrongUsage
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage
from inference.transformers_chat import TransformersChat

HELLO = [ChatMessage("user", "Hello.")]


@pytest.fixture(scope="module")
def chat(tiny_llama: Path) -> Iterator[TransformersChat]:
    chat = TransformersChat(tiny_llama)
    yield chat
    chat.close()


def asking(**more: object) -> ChatRequest:
    return ChatRequest(**{"max_tokens": 8, "deadline_s": 120, "patience_s": 60, **more})  # type: ignore[arg-type]


def test_the_text_is_what_the_weights_say(chat: TransformersChat, tiny_llama: Path) -> None:
    """Reference: the same weights, the next token taken by hand, eight times."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(tiny_llama, local_files_only=True, dtype=chat._weights.dtype)
    tokens = tokenizer.apply_chat_template([{"role": "user", "content": "Hello."}], add_generation_prompt=True)
    tokens = list(tokens["input_ids"] if hasattr(tokens, "keys") else tokens)
    written: list[int] = []
    with torch.inference_mode():
        for _ in range(8):
            written.append(int(model(torch.tensor([tokens + written])).logits[0, -1].argmax()))

    pieces = chat.stream(HELLO, asking())

    # A character that is not whole at the end is not said.
    said = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert tokenizer.decode(written, skip_special_tokens=True).rstrip("\ufffd").startswith(said.rstrip("\ufffd"))
    assert said


def test_who_waits_for_others_longer_than_their_patience_is_refused(chat: TransformersChat) -> None:
    others = chat.stream(HELLO, asking(max_tokens=4_000))
    next(others)
    began = time.monotonic()
    with pytest.raises(ModelFailed, match="others are before"):
        list(chat.stream(HELLO, asking(patience_s=0.2)))
    assert time.monotonic() - began < 30
    others.close()


def test_who_leaves_while_waiting_for_others_waits_no_longer(chat: TransformersChat) -> None:
    others = chat.stream(HELLO, asking(max_tokens=7_000))
    next(others)
    cancel = Cancellation()
    threading.Timer(0.2, cancel.cancel).start()
    assert list(chat.stream(HELLO, asking(cancel=cancel))) == []
    assert chat._turns._taken  # the others still write
    others.close()


@pytest.mark.parametrize("leaves", [True, False])
def test_a_model_that_stalls_is_given_up_and_told_to_end_and_so_is_one_whose_reader_left(
    chat: TransformersChat, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    ended = threading.Event()

    def stalls(streamer: Any, stopping_criteria: Any, input_ids: torch.Tensor, **_: object) -> None:
        streamer.put(input_ids)
        streamer.put(torch.tensor([65]))
        until = time.monotonic() + 30
        while not stopping_criteria(input_ids, None).all() and time.monotonic() < until:
            time.sleep(0.01)
        if time.monotonic() < until:
            ended.set()

    monkeypatch.setattr(chat._weights, "generate", stalls)
    pieces = chat.stream(HELLO, asking(patience_s=60 if leaves else 1.0))
    assert isinstance(next(pieces), TextDelta)
    if leaves:
        pieces.close()
    else:
        with pytest.raises(ModelFailed, match="in time"):
            next(pieces)

    assert ended.wait(20)


def test_people_go_before_a_batch_and_otherwise_who_came_first(chat: TransformersChat) -> None:
    others = chat.stream(HELLO, asking(max_tokens=4_000))
    next(others)
    order: list[str] = []

    def one(name: str, priority: int) -> None:
        list(chat.stream(HELLO, asking(max_tokens=1, priority=priority)))
        order.append(name)

    threads = []
    for name, priority in (("batch", 10), ("ana", 0), ("ben", 0)):
        threads.append(threading.Thread(target=one, args=(name, priority)))
        threads[-1].start()
        waiting(chat, len(threads))
    others.close()
    for thread in threads:
        thread.join()

    assert order == ["ana", "ben", "batch"]


def waiting(chat: TransformersChat, callers: int) -> None:
    """Return once so many wait for their turn."""
    until = time.monotonic() + 30
    while len(chat._turns._waiting) < callers and time.monotonic() < until:
        time.sleep(0.01)


def test_a_model_that_runs_out_of_memory_is_transient(chat: TransformersChat, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise torch.OutOfMemoryError("an address of a tensor")

    with monkeypatch.context() as patched:
        patched.setattr(chat._weights, "generate", full)
        with pytest.raises(ModelFailed, match=r"failed \(OutOfMemoryError\)"):
            list(chat.stream(HELLO, asking()))
    assert list(chat.stream(HELLO, asking()))


def test_closing_ends_what_is_being_written_and_begins_nothing_more(tiny_llama: Path) -> None:
    chat = TransformersChat(tiny_llama)
    pieces = chat.stream(HELLO, asking(max_tokens=7_000))
    next(pieces)
    began = time.monotonic()
    chat.close()
    assert time.monotonic() - began < 30
    assert not [piece for piece in pieces if isinstance(piece, Usage)]
    for _ in range(2):
        with pytest.raises(ModelFailed, match="closed"):
            list(chat.stream(HELLO, asking()))


# --- what is loaded, and what is not


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="transformers_model"):
        TransformersChat(tmp_path)


def test_pickled_weights_are_refused_because_reading_them_runs_code(tiny_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_llama, folder)
    (folder / "model.safetensors").unlink()
    torch.save({"any": torch.zeros(1)}, folder / "pytorch_model.bin")

    with pytest.raises(WrongUsage, match="cannot be loaded"):
        TransformersChat(folder)


def test_a_tokenizer_without_a_chat_template_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(tiny_llama, folder)
    (folder / "chat_template.jinja").unlink()

    with pytest.raises(WrongUsage, match="chat template"):
        TransformersChat(folder)


def test_8_bits_say_what_they_need_where_it_is_missing(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.transformers_chat.find_spec", lambda _: None)
    with pytest.raises(WrongUsage, match="bitsandbytes: install it, or unset transformers_8bit"):
        TransformersChat(tiny_llama, eight_bit=True)
