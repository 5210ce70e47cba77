"""Follow-up questions: what becomes of retrieval when a question is searched as it was asked, rewritten, or drowned."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import WrongUsage
from core.settings import Settings
from evaluation.corpus import ASKER, ingested
from evaluation.metrics import has_relevant
from evaluation.retrieval import rank_documents, retrieval_figures
from evaluation.sets import Message, Question, read_question_set
from generation.answerer import Exchange, Writing
from generation.conversation.service import Rewriter
from retrieval.search import MAX_QUERY_CHARACTERS
from wiring.home import Home


def evaluate_conversations(folder: Path, settings: Settings) -> dict[str, Any]:
    """Retrieval on a set's questions that have a conversation before them, by how they are searched.

    `changed_subject` gives each question the conversation of another one in place of its own, as when somebody goes on
    to something else: what a rewriting spoils shows there. Raises `WrongUsage` for a set without conversations.
    """
    began = time.monotonic()
    given = read_question_set(folder)
    asked = [one for one in given.questions if one.history and has_relevant(given.judgements.get(one.id, {}))]
    if not asked:
        raise WrongUsage(f"{folder} has no questions with a `conversation` before them.")
    # Half the set away, a conversation is about something else.
    foreign = {one.id: asked[(place + len(asked) // 2) % len(asked)].history for place, one in enumerate(asked)}
    with ingested(given, settings, None) as (home, _):

        def figures(search_as: Callable[[Question], str]) -> Mapping[str, float | None]:
            rankings = {one.id: rank_documents(home.searcher, search_as(one), ASKER) for one in asked}
            return retrieval_figures(asked, rankings, given.judgements)

        own = {
            "last_question": figures(lambda one: one.text),
            "rewritten": figures(lambda one: _rewritten(home, one, one.history)),
            "questions_concatenated": figures(lambda one: _concatenated(one, ("user",))),
            "conversation_concatenated": figures(lambda one: _concatenated(one, ("user", "assistant"))),
        }
        changed = figures(lambda one: _rewritten(home, one, foreign[one.id]))
        left_alone = sum(_rewritten(home, one, one.history) == one.text for one in asked)
    return {
        "set": folder.resolve().name,
        "conversations": {**own, "changed_subject_rewritten": changed, "left_as_asked": left_alone},
        "seconds": round(time.monotonic() - began, 1),
    }


def exchanges(history: Sequence[Message]) -> tuple[Exchange, ...]:
    """Each earlier question with the answer that followed it."""
    found: list[Exchange] = []
    for message in history:
        if message.role == "user":
            found.append(Exchange(message.text, ""))
        elif found:
            found[-1] = Exchange(found[-1].question, message.text)
    return tuple(found)


def _rewritten(home: Home, question: Question, history: Sequence[Message]) -> str:
    rewrite: Rewriter = home.rewrite
    return rewrite(question.text, Writing(exchanges(history)))


def _concatenated(question: Question, roles: Sequence[str]) -> str:
    """The messages of these roles and then the question; of a long conversation its end."""
    lines = [*(message.text for message in question.history if message.role in roles), question.text]
    return "\n".join(lines)[-MAX_QUERY_CHARACTERS:]
