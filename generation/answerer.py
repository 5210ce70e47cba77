"""What every answerer offers, whatever writes its sentences: a language model or the built-in extractive one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.answers import AbstentionReason, Mode, Passage
from core.cancellation import Cancellation


@dataclass(frozen=True)
class DraftSentence:
    """One sentence as it was written, nothing of it checked yet; `[n]` in `text` names the n-th passage, from 1.

    `quoted` says that it was copied from a passage: where that sentence is cited already, it says nothing new.
    """

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class Abstention:
    """The answerer says that the passages do not answer."""

    reason: AbstentionReason


@dataclass(frozen=True)
class Prompted:
    """What the model was given, by the SHA-256 of its messages, for the record."""

    sha256: str


@dataclass(frozen=True)
class TokensUsed:
    """Tokens that a model read and wrote."""

    prompt: int
    completion: int


@dataclass(frozen=True)
class TakenOver:
    """The answerer failed: `kind` is a `ModelFailure`, `cause` a sentence. What follows another wrote, of this mode
    and model."""

    kind: str
    cause: str
    mode: Mode
    model: str


Draft = DraftSentence | Abstention | Prompted | TokensUsed | TakenOver


@dataclass(frozen=True)
class Exchange:
    """An earlier question of the conversation and its answer, which the asker may still read."""

    question: str
    answer: str


@dataclass(frozen=True)
class Writing:
    """How an answer is to be written: after what, how urgently, for whose eyes, and until when.

    `query` is the question as it stands without the conversation before it; empty: as it was asked. `priority` is 0
    for a person who waits and 10 for a batch. Nothing that a model caches is shared between two values of
    `cache_salt`.
    """

    history: tuple[Exchange, ...] = ()
    query: str = ""
    priority: int = 0
    cache_salt: str = ""
    cancel: Cancellation = field(default_factory=Cancellation)


class Answerer(Protocol):
    """A question and passages in, draft sentences out, each as soon as it is written."""

    @property
    def mode(self) -> Mode: ...

    @property
    def model(self) -> str:
        """Names the model, as the answer and its audit record will."""
        ...

    def draft(self, question: str, passages: Sequence[Passage], writing: Writing) -> Iterator[Draft]:
        """Sentences in the order of the answer, or a single `Abstention`.

        `passages` come best first. Nothing is promised about what is yielded: grounding decides what is shown. Ends
        early when `writing` is cancelled. Raises `ModelFailed` when the model is down or busy.
        """
        ...
