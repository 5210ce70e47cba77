"""What every chat model offers: messages in, text out as it is written."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from core.answers import Mode
from core.cancellation import Cancellation


@dataclass(frozen=True)
class ChatMessage:
    """One message; the model's chat template gives it its form."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class ChatRequest:
    """How one answer is to be written, and who may end it.

    `patience_s` bounds the wait for the first token and between two, `deadline_s` the whole. A lower `priority` goes
    first: 0 for a person who waits, 10 for a batch. Requests with different `cache_salt` share no cached prefix, so
    that the time to the first token tells nothing about other people's passages. `regex` is what the whole text must
    match, where the model can be held to it.
    """

    max_tokens: int
    deadline_s: float
    patience_s: float
    priority: int = 0
    cache_salt: str = ""
    regex: str | None = None
    cancel: Cancellation = field(default_factory=Cancellation)


@dataclass(frozen=True)
class TextDelta:
    """The next piece of text, never empty."""

    text: str


@dataclass(frozen=True)
class Usage:
    """Tokens read and written, once, after the last piece of text."""

    prompt_tokens: int
    completion_tokens: int


class ChatModel(Protocol):
    """Messages in, text out."""

    @property
    def mode(self) -> Mode: ...

    @property
    def model(self) -> str:
        """Names the model, as the answer and its audit record will."""
        ...

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[TextDelta | Usage, None, None]:
        """The text as it is written, then the usage; closing the iterator, or `request.cancel`, ends the writing.

        Ends without `Usage` when cancelled. Raises `ModelFailed` when the model is down, busy, slower than it may be,
        or dies while it writes.
        """
        ...
