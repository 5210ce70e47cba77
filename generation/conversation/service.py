"""Asking within a conversation: what was said before is looked at with the asker's rights of this moment."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace

from core.answers import Answer
from core.principals import Principal
from generation.answerer import Exchange, Writing
from generation.conversation.follow_up import standalone
from generation.service import Answered, AskEvent, AskService
from governance.conversations import Conversations
from retrieval.filters import NO_FILTERS, Filters
from retrieval.search import checked_query

Rewriter = Callable[[str, Writing], str]
"""A question and how it is to be answered, history included, in; out the question as it is searched, the same where it
stands alone."""

_TURNS = 5
"""How many turns a question remembers."""


def rewrite_by_words(question: str, writing: Writing) -> str:
    """The rewriting that needs no model (`standalone`)."""
    return standalone(question, [exchange.question for exchange in writing.history])


@dataclass(frozen=True)
class ConversationService:
    """Asks within a conversation of the asker's own, and keeps the answer as its next turn.

    An earlier answer counts only while its owner may read all that it cites; one that is withheld is neither given to
    a model nor used to understand the question. Raises what `AskService` raises, and `NotFound` for a conversation
    that is absent or somebody else's.
    """

    service: AskService
    conversations: Conversations
    rewrite: Rewriter

    def ask(
        self,
        question: str,
        principal: Principal,
        actor: str,
        conversation_id: str,
        filters: Filters = NO_FILTERS,
        writing: Writing | None = None,
    ) -> Answer:
        """As `AskService.ask`; the turn is kept before this returns."""
        continued = self._continued(question, principal, conversation_id, writing or Writing())
        answer = self.service.ask(question, principal, actor, filters, continued)
        return self._kept(principal, conversation_id, answer)

    def stream(
        self,
        question: str,
        principal: Principal,
        actor: str,
        conversation_id: str,
        filters: Filters = NO_FILTERS,
        writing: Writing | None = None,
    ) -> Generator[AskEvent, None, None]:
        """As `AskService.stream`; the turn is kept before `Answered` comes, and not where nobody waits for it."""
        continued = self._continued(question, principal, conversation_id, writing or Writing())
        with closing(self.service.stream(question, principal, actor, filters, continued)) as events:
            for event in events:
                if isinstance(event, Answered):
                    event = Answered(self._kept(principal, conversation_id, event.answer))
                yield event

    def _continued(self, question: str, principal: Principal, conversation_id: str, writing: Writing) -> Writing:
        question = checked_query(question)
        turns = self.conversations.turns(principal, conversation_id, _TURNS)
        history = tuple(Exchange(turn.question, _said(turn.answer)) for turn in turns if turn.answer)
        # The answers in it hold what its owner may read: no other conversation shares a cached prefix with it.
        remembering = replace(writing, history=history, cache_salt=conversation_id)
        return replace(remembering, query=self.rewrite(question, remembering))

    def _kept(self, principal: Principal, conversation_id: str, answer: Answer) -> Answer:
        kept = replace(answer, conversation_id=conversation_id)
        self.conversations.add(principal, conversation_id, kept)
        return kept


def _said(answer: Answer) -> str:
    """An answer's sentences without their markers, which would name other passages in the next prompt."""
    return " ".join(claim.text for claim in answer.claims)
