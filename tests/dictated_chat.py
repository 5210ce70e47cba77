"""A real vLLM that writes what it is told: structured outputs leave its random weights no other choice."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

from core.answers import Mode
from inference.chat import ChatMessage, ChatModel, ChatRequest, TextDelta, Usage


@dataclass
class DictatedChat:
    """`chat` held to `dictation`, a regular expression, where there is one; what it wrote is in `written`."""

    chat: ChatModel
    dictation: str | None = None
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
        for piece in self.chat.stream(messages, replace(request, regex=self.dictation or request.regex)):
            if isinstance(piece, TextDelta):
                self.written += piece.text
            yield piece
