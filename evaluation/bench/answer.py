"""What answering costs beside vLLM alone: the wait for the first sentence, and the throughput of many readers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import Transient
from core.principals import EVERYONE, Principal
from core.settings import Settings
from evaluation.bench.dictation import SENTENCES, Dictated, Heard, question, read_raw, write_documents
from evaluation.bench.report import BenchReport, Claim, Row, this_machine
from evaluation.bench.tiny_vllm import Served, tiny_vllm
from generation.model_answerer import ModelAnswerer, ModelLimits
from generation.service import Answered, AskService, SentenceChecked
from ingest.sync import FolderRequest, sync_folder
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

QUESTIONS = 16
ALTERNATIONS = 40
CLIENTS = 64
ANSWERS_PER_CLIENT = 4
ROUNDS = 3
TARGET_ADDED_MS = 25.0
TARGET_RATIO = 0.9
_ASKER = Principal("local", "bench")
# Far beyond what a queue of so many readers takes: nobody is given up, so that both write the same.
_LIMITS = ModelLimits(max_tokens=600, deadline_s=600, patience_s=600)


def run_answer(served: Served | None = None) -> BenchReport:
    """Answers through `AskService` beside the same requests sent to the same vLLM directly, in turns.

    Both have the model write the same text (`dictation`), so that every sentence is really checked and shown. Without
    `served` a tiny Llama on this processor is started, where a vLLM is installed.
    """
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="footnote-bench-")))
            server = served or stack.enter_context(tiny_vllm(folder))
            if server is None:
                raise Transient("no vLLM here: name one that runs with --url, or install one as `make test` does")
            waits, rates = _measured(server, folder)
    except Transient as error:
        return BenchReport("answer", this_machine(), (Row("vLLM", error=str(error)),), ())
    return _report(waits, rates)


def _measured(server: Served, folder: Path) -> tuple[tuple[Row, Row], tuple[Row, Row]]:
    """The waits and the rates, each of vLLM and of ours."""
    settings = Settings(home=folder / "home", vllm_urls=server.url, vllm_api_key=server.key, vllm_model=server.model)
    init_home(settings)
    with open_home(settings) as home:
        sides = _sides(home, server, folder)
        return _waits(sides), _rates(sides)


def _report(waits: tuple[Row, Row], rates: tuple[Row, Row]) -> BenchReport:
    raw_ms, our_ms = (float(row.figures["first_sentence_ms_p50"]) for row in waits)
    raw_rate, our_rate = (float(row.figures["tokens_per_s"]) for row in rates)
    claims = (
        Claim.at_most("milliseconds that the first sentence comes later, median", our_ms - raw_ms, TARGET_ADDED_MS),
        Claim.at_least(f"tokens a second of {CLIENTS} streams, as a ratio to raw", our_rate / raw_rate, TARGET_RATIO),
    )
    return BenchReport("answer", this_machine(), (*waits, *rates), claims)


@dataclass(frozen=True)
class _Sides:
    """Our path and the raw one, to the same server."""

    service: AskService
    chat: Dictated
    server: Served

    def ours(self, number: int) -> Heard:
        """One streamed answer, its waits without the search: every sentence checked, on record, and shown."""
        began = time.perf_counter()
        shown = 0
        for event in self.service.stream(question(number), _ASKER, "bench"):
            shown += isinstance(event, SentenceChecked)
            if isinstance(event, Answered):
                answer = event.answer
        if shown != SENTENCES:
            raise AssertionError(f"{shown} of {SENTENCES} sentences were supported: nothing of this would be true")
        first = (self.chat.first_at - began) * 1000
        searched = answer.timings_ms["retrieve"]
        return Heard(first - searched, answer.timings_ms["first_token"] - searched, answer.usage["completion_tokens"])

    def raw(self, numbers: Sequence[int], times: int) -> list[Heard]:
        bodies = [self.chat.bodies[number] for number in numbers]
        return read_raw(self.server.url, self.server.key, bodies, times)


def _sides(home: Home, server: Served, folder: Path) -> _Sides:
    """The service as wired, but that its model writes what is dictated, and fails loudly."""
    write_documents(folder / "documents", QUESTIONS)
    request = FolderRequest(folder / "documents", "bench", (EVERYONE,), None, "no")
    sync_folder(home.ingestion, home.layout.folder, request, 10_000_000, lambda *_: None)
    home.warm()
    if home.chat_model is None:
        raise AssertionError("the settings name a server")
    chat = Dictated(home.chat_model)
    sides = _Sides(replace(home.ask, answerer=ModelAnswerer(chat, _LIMITS)), chat, server)
    for number in range(QUESTIONS):  # the first of each compiles its dictation and fills the prefix cache
        sides.ours(number)
    return sides


def _waits(sides: _Sides) -> tuple[Row, Row]:
    """One reader at a time, raw and ours in turns."""
    raw, ours = [], []
    for turn in range(ALTERNATIONS):
        number = turn % QUESTIONS
        ours.append(sides.ours(number))
        raw += sides.raw([number], 1)
    return Row("vLLM, one reader", _wait_figures(raw)), Row("footnote, one reader", _wait_figures(ours))


def _wait_figures(heard: Sequence[Heard]) -> dict[str, float]:
    first, sentences = [one.first_ms for one in heard], [one.sentence_ms for one in heard]
    return {
        "first_token_ms_p50": round(float(np.median(first)), 2),
        "first_sentence_ms_p50": round(float(np.median(sentences)), 2),
        "first_sentence_ms_p95": round(float(np.percentile(sentences, 95)), 2),
    }


def _rates(sides: _Sides) -> tuple[Row, Row]:
    """Many readers at once, raw and ours in turns."""
    numbers = [reader % QUESTIONS for reader in range(CLIENTS)]

    def raw() -> list[Heard]:
        return sides.raw(numbers, ANSWERS_PER_CLIENT)

    def ours() -> list[Heard]:
        with ThreadPoolExecutor(CLIENTS) as readers:
            return [heard for some in readers.map(one_reader, numbers) for heard in some]

    def one_reader(number: int) -> list[Heard]:
        return [sides.ours(number) for _ in range(ANSWERS_PER_CLIENT)]

    rounds = [(_rate(raw), _rate(ours)) for _ in range(ROUNDS)]
    raw_rate, our_rate = (round(float(np.mean(side)), 1) for side in zip(*rounds, strict=True))
    return (
        Row(f"vLLM, {CLIENTS} readers", {"tokens_per_s": raw_rate}),
        Row(f"footnote, {CLIENTS} readers", {"tokens_per_s": our_rate}),
    )


def _rate(run: Callable[[], list[Heard]]) -> float:
    """Tokens a second."""
    began = time.perf_counter()
    tokens = sum(heard.tokens for heard in run())
    return tokens / (time.perf_counter() - began)
