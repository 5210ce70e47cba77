"""Answers written by a chat model, sentence by sentence; and what answers in its place when it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import regex

from core.answers import Mode, Passage
from core.errors import ModelFailed
from generation.answerer import (
    Abstention,
    Answerer,
    Draft,
    DraftSentence,
    Prompted,
    TakenOver,
    TokensUsed,
    Writing,
)
from generation.cutting import SentenceCutter
from generation.prompt import NO_ANSWER, Prompt, build_prompt, marked_regex
from inference.chat import ChatModel, ChatRequest, TextDelta

_MARKER = regex.compile(r"\s*\[(\d{1,3})\]")


@dataclass(frozen=True)
class ModelLimits:
    """How much one answer may take; see the settings of these names."""

    max_tokens: int
    deadline_s: float
    patience_s: float


@dataclass(frozen=True)
class ModelAnswerer:
    """Has a chat model write, and passes each sentence on as soon as it ends."""

    chat: ChatModel
    limits: ModelLimits
    enforce_markers: bool = False

    @property
    def mode(self) -> Mode:
        return self.chat.mode

    @property
    def model(self) -> str:
        return self.chat.model

    def draft(self, question: str, passages: Sequence[Passage], writing: Writing) -> Iterator[Draft]:
        prompt = build_prompt(question, passages, writing.history)
        yield Prompted(prompt.sha256)
        cutter, cut_off = SentenceCutter(), False
        with closing(self.chat.stream(prompt.messages, self._request(prompt, writing))) as written:
            for piece in written:
                if isinstance(piece, TextDelta):
                    yield from _drafts(cutter.feed(piece.text), prompt)
                else:
                    # Half a sentence can mean its opposite.
                    cut_off = piece.completion_tokens >= self.limits.max_tokens
                    yield TokensUsed(piece.prompt_tokens, piece.completion_tokens)
        if not writing.cancel.cancelled:
            yield from _drafts(cutter.rest(cut_off=cut_off), prompt)

    def _request(self, prompt: Prompt, writing: Writing) -> ChatRequest:
        return ChatRequest(
            max_tokens=self.limits.max_tokens,
            deadline_s=self.limits.deadline_s,
            # Nobody waits for a batch, so it waits its turn in the model's queue.
            patience_s=self.limits.deadline_s if writing.priority else self.limits.patience_s,
            priority=writing.priority,
            cache_salt=writing.cache_salt,
            regex=marked_regex(len(prompt.order)) if self.enforce_markers else None,
            cancel=writing.cancel,
        )


@dataclass(frozen=True)
class WithFallback:
    """The first answerer; from the moment it fails, the second, which says nothing that was said."""

    first: Answerer
    second: Answerer

    @property
    def mode(self) -> Mode:
        return self.first.mode

    @property
    def model(self) -> str:
        return self.first.model

    def draft(self, question: str, passages: Sequence[Passage], writing: Writing) -> Iterator[Draft]:
        try:
            yield from self.first.draft(question, passages, writing)
        except ModelFailed as failure:
            if not writing.cancel.cancelled:
                yield TakenOver(failure.kind, str(failure), self.second.mode, self.second.model)
                yield from self.second.draft(question, passages, writing)


def _drafts(sentences: Iterator[str], prompt: Prompt) -> Iterator[Draft]:
    for sentence in sentences:
        if sentence.strip(" .*\"'") == NO_ANSWER:
            yield Abstention("no_evidence")
        else:
            yield DraftSentence(_renumbered(sentence, prompt))


def _renumbered(sentence: str, prompt: Prompt) -> str:
    """The sentence with the prompt's numbers become those of the passages given; one that names none is dropped."""

    def place(marker: regex.Match[str]) -> str:
        number = int(marker[1])
        return f" [{prompt.order[number - 1] + 1}]" if 1 <= number <= len(prompt.order) else ""

    return str(_MARKER.sub(place, sentence))
