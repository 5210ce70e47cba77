"""A real vLLM that writes what it is told: structured outputs leave its random weights no other choice."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace

from core.answers import Mode
from inference.chat import ChatMessage, ChatModel, ChatRequest, TextDelta, Usage


@dataclass
class DictatedChat:
    """`chat` held to `dictation`, a regular expression, where there is one; what it wrote is in `written`.

    `interrupt` is called once, when more than `interrupt_after` characters have come and before any is passed on: what
    is done with them may take so long that the model comes to its end meanwhile.
    """

    chat: ChatModel
    dictation: str | None = None
    interrupt: Callable[[], None] | None = None
    interrupt_after: int = 0
    written: str = ""
    requests: list[ChatRequest] = field(default_factory=list)

    @property
    def mode(self) -> Mode:
        return self.chat.mode

    @property
    def model(self) -> str:
        return self.chat.model

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[TextDelta | Usage, None, None]:
        self.requests.append(request)
        held: list[TextDelta | Usage] = []
        for piece in self.chat.stream(messages, replace(request, regex=self.dictation or request.regex)):
            held.append(piece)
            if isinstance(piece, TextDelta):
                self.written += piece.text
            if self.interrupt:
                if len(self.written) <= self.interrupt_after:
                    continue
                interrupt, self.interrupt = self.interrupt, None
                interrupt()
            yield from held
            held.clear()
        yield from held
