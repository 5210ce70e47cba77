"""Follow-up questions become questions that can be searched alone; others stay as they are."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import pytest

from core.answers import Mode
from core.errors import Transient
from generation.answerer import Exchange, Writing
from generation.conversation.follow_up import is_follow_up, standalone
from generation.conversation.model_rewriting import ModelRewriter
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage

LEAVE = "How many days of annual leave do full-time employees have?"


@pytest.mark.parametrize(
    "question",
    [
        "What about part-time staff?",
        "And in Berlin?",
        "Who approves it?",
        "Can they carry it over?",
        "How do I apply?",
        "Why?",
        "Und in Berlin?",
        "Wer genehmigt ihn?",
        "Et pour les stagiaires ?",
        "¿Y en Madrid?",
        "E per i tirocinanti?",
        "А в Берлине?",
        "那兼职员工呢？",
        "その期限はいつですか",
    ],
)
def test_what_leans_on_the_conversation_is_a_follow_up(question: str) -> None:
    assert is_follow_up(question)


@pytest.mark.parametrize(
    "question",
    [
        LEAVE,
        "What is the notice period for senior engineers?",
        "What is the accuracy of the Rime C3 at minus 80 degrees?",
        "Wie viele Tage Urlaub haben Vollzeitbeschäftigte in Berlin?",
        "Combien de jours de congé payé pour les salariés de Lyon ?",
        "¿Cuántos días de vacaciones tienen los empleados de Madrid?",
        "Сколько дней отпуска полагается сотрудникам компании?",
        "全职员工每年有多少天年假？",
    ],
)
def test_what_names_its_subject_stays_as_it_was_asked(question: str) -> None:
    assert standalone(question, ["Which office has bicycles?"]) == question


def test_a_first_question_stays_as_it_was_asked() -> None:
    assert standalone("Who approves it?", []) == "Who approves it?"


def test_a_follow_up_takes_the_telling_words_of_the_question_before_it() -> None:
    assert standalone("Who approves it?", [LEAVE]) == "Who approves it? days annual leave full time employees"


def test_the_latest_question_counts_first_and_only_two_are_looked_back_at() -> None:
    earlier = ["Where is the zeppelin parked?", "How thick is the ice core?", "When does the drill start?"]

    assert standalone("And who guards it?", earlier) == "And who guards it? drill start thick ice core"


def test_a_word_that_the_question_has_already_is_not_added_in_another_form() -> None:
    rewritten = standalone("And do part-timers have leaves?", [LEAVE])

    assert "leave" not in rewritten.removeprefix("And do part-timers have leaves?").split()


def test_a_long_question_brings_its_own_subject() -> None:
    pasted = "And this is what the supplier wrote about it. " * 20

    assert standalone(pasted, [LEAVE]) == pasted


class Scripted:
    """A model that says what it is told to, or fails, and keeps what it was shown."""

    mode: Mode = "vllm"
    model = "scripted"

    def __init__(self, *parts: str, fails: bool = False) -> None:
        self.parts, self.fails = parts, fails
        self.shown: list[ChatMessage] = []

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[TextDelta | Usage, None, None]:
        self.shown = list(messages)
        yield from map(TextDelta, self.parts)
        if self.fails:
            raise Transient("The model is down.")
        yield Usage(10, 5)


def rewriter(model: Scripted) -> ModelRewriter:
    return ModelRewriter(model, patience_s=1, deadline_s=5)


HISTORY = (Exchange(LEAVE, "They have 27 days."),)


def test_a_model_rewrites_what_leans_on_the_conversation_and_nothing_else() -> None:
    model = Scripted("Who approves ", "annual leave?\nIt is the manager.")

    assert rewriter(model)("Who approves it?", Writing(HISTORY)) == "Who approves annual leave?"
    assert "27 days" in model.shown[-1].content
    model.shown = []
    assert rewriter(model)("What is the notice period for engineers?", Writing(HISTORY)).startswith(
        "What is the notice"
    )
    assert model.shown == []


@pytest.mark.parametrize(
    "model", [Scripted("Who app", fails=True), Scripted(""), Scripted("x" * 5_000)], ids=["fails", "silent", "rambles"]
)
def test_where_the_model_gives_no_question_the_words_of_the_conversation_do(model: Scripted) -> None:
    assert rewriter(model)("Who approves it?", Writing(HISTORY)) == standalone("Who approves it?", [LEAVE])


def test_what_a_model_is_shown_of_a_conversation_is_bounded() -> None:
    model = Scripted("Who?")
    long = tuple(Exchange("q" * 10_000, "a" * 10_000) for _ in range(50))

    rewriter(model)("Who approves it?", Writing(long))

    assert sum(len(message.content) for message in model.shown) < 5_000
