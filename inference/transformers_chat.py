"""A chat model in this process: local weights through `transformers`, one answer at a time."""

from __future__ import annotations

import bisect
import itertools
import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.utils import logging as transformers_logging

from core.answers import Mode
from core.cancellation import Cancellation
from core.errors import ModelFailed, WrongUsage
from core.telemetry import span
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage
from inference.processor import processor_flags

Piece = TextDelta | Usage

_LATE = "The model in this process did not answer in time."


class TransformersChat:
    """A model whose weights lie in a folder of this machine; nothing is downloaded and no code of theirs is run.

    One answer is written at a time: whoever waits longer than their patience is refused, the urgent go first. It
    cannot be held to a regular expression, and shares no cache between requests.
    """

    def __init__(self, folder: Path, eight_bit: bool = False) -> None:
        """Load the weights; raises `WrongUsage` when they, or what 8 bits need, are not there."""
        self._folder = folder
        self._tokenizer, self._weights = _loaded(folder, eight_bit)
        self._turns = _Turns()
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="footnote-transformers")

    @property
    def mode(self) -> Mode:
        return "transformers"

    @property
    def model(self) -> str:
        return self._folder.name

    def close(self) -> None:
        """End what is being written."""
        self._closed.set()
        self._thread.shutdown()

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[Piece, None, None]:
        """As `ChatModel.stream`. A generation that is given up ends at its next token; only then the next begins."""
        prompt = self._prompt(messages, request.max_tokens)
        began = time.monotonic()
        with span("model"):
            if not self._turns.take(request.priority, began + request.patience_s, request.cancel):
                if request.cancel.cancelled:
                    return
                raise ModelFailed("busy", "The model in this process writes one answer at a time; others are before.")
            stop = threading.Event()
            pieces: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()

            def ended(_: Future[None]) -> None:
                self._turns.give_back()
                pieces.put(None)

            def leave() -> None:
                stop.set()
                pieces.put(None)

            try:
                written = self._thread.submit(self._write, prompt, request.max_tokens, stop, pieces.put)
            except RuntimeError as error:
                self._turns.give_back()
                raise ModelFailed("left_out", "The model in this process is being closed.") from error
            written.add_done_callback(ended)
            request.cancel.on_cancel(leave)
            try:
                yield from _in_time(pieces, request, began)
            finally:
                stop.set()
            if not request.cancel.cancelled:
                written.result()

    def _prompt(self, messages: Sequence[ChatMessage], max_tokens: int) -> torch.Tensor:
        """The tokens of the conversation in the model's own form, shape (1, n)."""
        told = [{"role": message.role, "content": message.content} for message in messages]
        text = self._tokenizer.apply_chat_template(told, add_generation_prompt=True, tokenize=False)
        tokens: torch.Tensor = self._tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        room: int = self._weights.config.max_position_embeddings
        if tokens.shape[1] + max_tokens > room:
            raise ModelFailed("unfit", f"{tokens.shape[1]} tokens and {max_tokens} for the answer exceed {room}.")
        return tokens.to(self._weights.device)

    def _write(
        self, prompt: torch.Tensor, max_tokens: int, stop: threading.Event, put: Callable[[Piece], None]
    ) -> None:
        """Generate on this thread, until the end, the last token that may be, or `stop`."""
        heard = _Decoding(self._tokenizer.backend_tokenizer, put)
        config = GenerationConfig(
            max_new_tokens=max_tokens,
            do_sample=False,
            eos_token_id=self._weights.generation_config.eos_token_id,
            pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
        )
        try:
            with torch.inference_mode():
                self._weights.generate(
                    input_ids=prompt,
                    attention_mask=torch.ones_like(prompt),
                    generation_config=config,
                    streamer=heard,
                    stopping_criteria=StoppingCriteriaList([_Stopped(stop, self._closed)]),
                )
        except (RuntimeError, MemoryError) as error:  # torch says so when memory does not suffice
            raise ModelFailed("broken", f"The model in this process failed ({type(error).__name__}).") from error
        if not self._closed.is_set():
            put(Usage(prompt.shape[1], heard.tokens))


def _loaded(folder: Path, eight_bit: bool) -> tuple[Any, Any]:
    """Tokenizer and weights from a folder. Pickled weights are refused: reading them would run what they say."""
    if not (folder / "config.json").is_file():
        raise WrongUsage(f"{folder} holds no model (no config.json): transformers_model names a folder with weights.")
    options: dict[str, Any] = {"dtype": _dtype()}
    if eight_bit:
        if find_spec("bitsandbytes") is None:
            raise WrongUsage("8-bit weights need the package bitsandbytes: install it, or unset transformers_8bit.")
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        weights = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, **options
        )
    except (OSError, ValueError, ImportError) as error:
        raise WrongUsage(f"The model in {folder} cannot be loaded: {error}") from error
    if tokenizer.chat_template is None or not tokenizer.is_fast:
        raise WrongUsage(f"The tokenizer in {folder} has no chat template: take weights that were tuned for chat.")
    if torch.cuda.is_available() and not eight_bit:
        weights = weights.to("cuda")
    return tokenizer, weights.eval()


def _dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, else float32, which is then faster and as good."""
    native = torch.cuda.is_available() or {"amx_bf16", "avx512_bf16", "bf16"} & set(processor_flags())
    return torch.bfloat16 if native else torch.float32


def _in_time(
    pieces: queue.SimpleQueue[Piece | None], request: ChatRequest, began: float
) -> Generator[Piece, None, None]:
    """The pieces, each within the patience and all within the deadline; ends at None."""
    deadline = began + request.deadline_s
    until = began + request.patience_s
    while True:
        limit = min(until, deadline)
        try:
            piece = pieces.get(timeout=max(0.0, limit - time.monotonic()))
        except queue.Empty:
            raise ModelFailed("late", _LATE) from None
        if piece is None:
            return
        if time.monotonic() > limit:
            # On a busy machine the wait may end long after its time, with the piece there.
            raise ModelFailed("late", _LATE)
        yield piece
        until = time.monotonic() + request.patience_s


class _Decoding:
    """What `generate` tells its streamer, as text: a character whose bytes are several tokens comes whole."""

    def __init__(self, tokenizer: Any, put: Callable[[Piece], None]) -> None:
        self.tokens = 0
        self._tokenizer = tokenizer
        self._put = put
        self._decoded = DecodeStream(skip_special_tokens=True)
        self._prompt_passed = False

    def put(self, value: torch.Tensor) -> None:
        if not self._prompt_passed:
            self._prompt_passed = True
            return
        for token in value.flatten().tolist():
            self.tokens += 1
            if text := self._decoded.step(self._tokenizer, token):
                self._put(TextDelta(text))

    def end(self) -> None:
        """Nothing is held back."""


class _Stopped(StoppingCriteria):  # type: ignore[misc]
    """True from the moment one of the events is set."""

    def __init__(self, *events: threading.Event) -> None:
        self._events = events

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        stopped = any(event.is_set() for event in self._events)
        return torch.full((input_ids.shape[0],), stopped, dtype=torch.bool, device=input_ids.device)


class _Turns:
    """One at a time: the most urgent who waits, and of these the first who came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._arrivals = itertools.count()
        self._taken = False

    def take(self, priority: int, until: float, cancel: Cancellation) -> bool:
        """Wait for a turn until then, on the monotonic clock; False when it did not come, or nobody waits any more."""
        cancel.on_cancel(self._wake)
        with self._changed:
            place = (priority, next(self._arrivals))
            bisect.insort(self._waiting, place)
            try:
                self._changed.wait_for(
                    lambda: cancel.cancelled or (not self._taken and self._waiting[0] == place),
                    until - time.monotonic(),
                )
                if cancel.cancelled or self._taken or self._waiting[0] != place:
                    return False
                self._taken = True
                return True
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()

    def give_back(self) -> None:
        with self._changed:
            self._taken = False
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
