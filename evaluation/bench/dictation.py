"""A model that writes a known text, by structured outputs, so that what it costs to check that text can be measured
on any weights; and the same requests sent to vLLM with nothing between."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import regex

from core.answers import Mode
from generation.cutting import SentenceCutter
from inference.chat import ChatMessage, ChatModel, ChatRequest, TextDelta, Usage

SENTENCES = 3
# Of one read: nobody is given up in a bench.
_LONGEST_S = 600.0
# As our client does: vLLM closes what is idle for 5 s.
_KEPT_S = 3.0
_NUMBER = regex.compile(r"branch (\d+) open")


def facts(number: int) -> list[str]:
    """What the document of this number says."""
    return [
        f"Branch {number} opens at {6 + number % 4} in the morning.",
        f"Branch {number} keeps its keys in room {100 + number}.",
        f"Branch {number} is led by team {20 + number}.",
    ]


def question(number: int) -> str:
    """What that document answers."""
    return f"When does branch {number} open, where are its keys, and who leads it?"


def write_documents(folder: Path, count: int) -> None:
    """One small document for each question."""
    folder.mkdir()
    for number in range(count):
        (folder / f"branch-{number}.txt").write_text(" ".join(facts(number)))


@dataclass(frozen=True)
class Heard:
    """One answer as it came from vLLM itself: milliseconds until its first token and until its first sentence was
    certain (`SentenceCutter`), and its tokens."""

    first_ms: float
    sentence_ms: float
    tokens: int


@dataclass
class Dictated:
    """`chat`, made to write the facts that are asked for, each with the number of the passage that states them."""

    chat: ChatModel
    bodies: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What was sent for each question, as a raw request."""
    first_at: float = 0.0
    """When the first token of the newest answer came, by `time.perf_counter`."""

    @property
    def mode(self) -> Mode:
        return self.chat.mode

    @property
    def model(self) -> str:
        return self.chat.model

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[TextDelta | Usage, None, None]:
        """As `ChatModel.stream`."""
        number, text = _dictation(messages)
        request = replace(request, regex=regex.escape(text, literal_spaces=True))
        begun = False
        for piece in self.chat.stream(messages, request):
            if not begun:
                begun, self.first_at = True, time.perf_counter()
            yield piece
        self.bodies[number] = _body(self.model, messages, request)


def _dictation(messages: Sequence[ChatMessage]) -> tuple[int, str]:
    """The number that a prompt asks about, and what the model shall write."""
    prompt = messages[-1].content
    passages, _, asked = prompt.rpartition("Question: ")
    found = _NUMBER.search(asked)
    number = int(found[1]) if found else 0
    place = regex.search(rf"<passage (\d+):[^<]*{regex.escape(facts(number)[0])}", passages)
    if place is None:
        raise AssertionError(f"the search did not find the document of question {number}")
    return number, " ".join(f"{fact[:-1]} [{place[1]}]." for fact in facts(number))


def _body(model: str, messages: Sequence[ChatMessage], request: ChatRequest) -> dict[str, Any]:
    """The same request in vLLM's own words."""
    return {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": request.max_tokens,
        "temperature": 0,
        "seed": 0,
        "cache_salt": request.cache_salt,
        "structured_outputs": {"regex": request.regex},
    }


def read_raw(url: str, key: str | None, bodies: Sequence[dict[str, Any]], times: int) -> list[Heard]:
    """Each body sent so many times, one after the other; all bodies at once, on one event loop."""
    return asyncio.run(_read_all(url, key, bodies, times))


async def _read_all(url: str, key: str | None, bodies: Sequence[dict[str, Any]], times: int) -> list[Heard]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=len(bodies), keepalive_expiry=_KEPT_S)
    async with httpx.AsyncClient(trust_env=False, timeout=_LONGEST_S, limits=limits, headers=headers) as client:

        async def one(body: dict[str, Any]) -> list[Heard]:
            certain = _certain_at(_dictation([ChatMessage("user", body["messages"][-1]["content"])])[1])
            return [await _heard(client, f"{url}/chat/completions", body, certain) for _ in range(times)]

        return [heard for some in await asyncio.gather(*map(one, bodies)) for heard in some]


def _certain_at(text: str) -> int:
    """How much of a text must have come until its first sentence is certain."""
    cutter = SentenceCutter()
    for length, character in enumerate(text, start=1):
        if list(cutter.feed(character)):
            return length
    return len(text)


async def _heard(client: httpx.AsyncClient, url: str, body: dict[str, Any], certain: int) -> Heard:
    began = time.perf_counter()
    first = sentence = 0.0
    length = tokens = 0
    async with client.stream("POST", url, json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            length += sum(len(choice["delta"].get("content") or "") for choice in event["choices"])
            now = (time.perf_counter() - began) * 1000
            first = first or (now if length else 0.0)
            sentence = sentence or (now if length >= certain else 0.0)
            if usage := event.get("usage"):
                tokens = usage["completion_tokens"]
    return Heard(first, sentence, tokens)
