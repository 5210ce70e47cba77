"""A chat model that writes what a test tells it to, behind the same interface as vLLM."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from core.answers import Mode
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage

Step = str | Exception | Callable[[], object]


@dataclass
class ScriptedChat:
    """Writes the strings of its script, raises its errors, and calls its functions, in order."""

    script: Sequence[Step]
    requests: list[tuple[Sequence[ChatMessage], ChatRequest]] = field(default_factory=list)
    closed: int = 0

    @property
    def mode(self) -> Mode:
        return "vllm"

    @property
    def model(self) -> str:
        return "scripted"

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[TextDelta | Usage, None, None]:
        self.requests.append((messages, request))
        try:
            for step in self.script:
                if request.cancel.cancelled:
                    return
                if isinstance(step, str):
                    yield TextDelta(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    step()
            yield Usage(7, 5)
        finally:
            self.closed += 1
