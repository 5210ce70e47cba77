"""What every answerer offers, whatever writes its sentences: a language model or the built-in extractive one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.answers import AbstentionReason, Mode, Passage


@dataclass(frozen=True)
class DraftSentence:
    """One sentence as it was written, nothing of it checked yet; `[n]` in `text` names the n-th passage, from 1."""

    text: str


@dataclass(frozen=True)
class Abstention:
    """The answerer says that the passages do not answer."""

    reason: AbstentionReason


Draft = DraftSentence | Abstention


class Answerer(Protocol):
    """A question and passages in, draft sentences out, each as soon as it is written."""

    @property
    def mode(self) -> Mode: ...

    @property
    def model(self) -> str:
        """Names the model, as the answer and its audit record will."""
        ...

    def draft(self, question: str, passages: Sequence[Passage]) -> Iterator[Draft]:
        """Sentences in the order of the answer, or a single `Abstention`.

        `passages` come best first. Nothing is promised about what is yielded: grounding decides what is shown.
        Raises `Transient` when the model is down or busy.
        """
        ...
