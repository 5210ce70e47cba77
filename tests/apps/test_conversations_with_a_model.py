"""Asking on where a model rewrites and writes: what it is told of a conversation, and who may end it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_home import PATIENCE_SECONDS, Held, LiveHome, live_home, until, writes
from web_home import bearer

from core.principals import parse_principal
from generation.conversation.model_rewriting import ModelRewriter
from inference.chat import ChatMessage, ChatRequest

LEAVE = b"# Leave\n\nFull-time employees have 27 days of annual leave. They are asked for in the portal.\n"
QUESTION = "How many days of annual leave do full-time employees have?"
FOLLOW_UP = "Who approves it?"
# Without a marker a sentence is compared with every passage, in whichever order they stand in the prompt.
FIRST = "Full-time employees have 27 days of annual leave."
ANA = parse_principal("user:ana").grantee


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveHome]:
    with live_home(tmp_path / "home", rewrite_follow_ups=True) as opened:
        opened.web.add("open.md", b"# Canteen\n\nThe canteen approves every order of lunch.\n", "everyone")
        yield opened


@pytest.fixture
def document_id(live: LiveHome) -> str:
    return live.web.add("leave.md", LEAVE, "user:ana")


@pytest.fixture
def ana(live: LiveHome, document_id: str) -> str:
    return live.web.key("user:ana")


def begin(live: LiveHome, key: str) -> str:
    return str(httpx.post(f"{live.url}/v1/conversations", json={}, headers=bearer(key)).json()["conversation_id"])


def ask(live: LiveHome, key: str, question: str, conversation_id: str) -> Any:
    body = {"question": question, "conversation_id": conversation_id}
    return httpx.post(f"{live.url}/v1/ask", json=body, headers=bearer(key), timeout=PATIENCE_SECONDS).json()


def told(prompts: Sequence[Sequence[ChatMessage]]) -> list[str]:
    return ["\n".join(message.content for message in prompt) for prompt in prompts]


def test_the_model_is_told_what_was_said_and_what_is_searched_is_what_it_made_of_the_question(
    live: LiveHome, ana: str
) -> None:
    live.chat.play = writes(FIRST)
    conversation_id = begin(live, ana)
    ask(live, ana, QUESTION, conversation_id)
    live.chat.prompts.clear()
    live.chat.play = writes("Who approves annual leave?")

    answer = ask(live, ana, FOLLOW_UP, conversation_id)

    assert answer["rewritten_question"] == "Who approves annual leave?"
    rewriting, writing = told(live.chat.prompts)
    assert "27 days" in rewriting and "[1]" not in rewriting
    assert f"They asked: {QUESTION}" in writing and "Question: Who approves annual leave?" in writing


def test_a_silent_model_is_given_up_twice_within_two_seconds(live: LiveHome) -> None:
    rewrite, settings = live.web.home.rewrite, live.web.home.settings

    assert isinstance(rewrite, ModelRewriter)
    assert rewrite.patience_s + settings.model_patience_s < 2
    assert rewrite.deadline_s <= settings.model_patience_s


def test_half_a_character_is_told_to_no_model(live: LiveHome, ana: str) -> None:
    """JSON may hold one half of a surrogate pair (RFC 8259, 8.2), which no request to a model could."""
    half = "And \ud83c who approves it?"
    live.chat.play = writes(FIRST)
    conversation_id = begin(live, ana)
    ask(live, ana, QUESTION, conversation_id)
    dialect = {"model": "footnote", "messages": [{"role": "user", "content": half} for _ in range(2)]}
    asked = {"/v1/ask": {"question": half, "conversation_id": conversation_id}, "/v1/chat/completions": dialect}
    headers = {**bearer(ana), "Content-Type": "application/json"}

    for path, body in asked.items():
        live.chat.prompts.clear()
        response = httpx.post(f"{live.url}{path}", content=json.dumps(body), headers=headers, timeout=PATIENCE_SECONDS)

        assert response.status_code == 200, response.text
        rewriting, writing = told(live.chat.prompts)
        assert (rewriting + writing).encode() and "And \ufffd who" in rewriting


def test_an_answer_whose_document_was_revoked_is_told_to_no_model_again(
    live: LiveHome, ana: str, document_id: str
) -> None:
    live.chat.play = writes(FIRST)
    conversation_id = begin(live, ana)
    assert "27 days" in ask(live, ana, QUESTION, conversation_id)["answer"]
    live.web.administration.revoke(ANA, document_id)
    live.chat.prompts.clear()

    answer = ask(live, ana, FOLLOW_UP, conversation_id)
    live.web.administration.grant(ANA, document_id)
    ask(live, ana, "Who approves an order of lunch, and how?", conversation_id)

    assert answer["rewritten_question"] is None
    revoked, granted = told(live.chat.prompts)
    assert "27" not in revoked and "annual" not in revoked
    assert "27 days" in granted


def test_a_turn_that_was_withdrawn_while_it_was_written_is_remembered_without_its_sentences(
    live: LiveHome, ana: str, document_id: str
) -> None:
    live.chat.play = Held(f"{FIRST} They are asked for ")
    conversation_id = begin(live, ana)
    with live.asked(ana, QUESTION, conversation_id=conversation_id) as answer:
        assert [next(answer)[0], next(answer)[0]] == ["passages", "sentence"]
        live.web.administration.revoke(ANA, document_id)
        assert [name for name, _ in answer] == ["done"]

    shown = httpx.get(f"{live.url}/v1/conversations/{conversation_id}", headers=bearer(ana)).json()

    assert [turn["question"] for turn in shown["turns"]] == [QUESTION]
    assert "27 days" not in str(shown)


def test_what_was_said_in_a_conversation_shares_no_cached_prefix_with_another(live: LiveHome, ana: str) -> None:
    salts: list[str] = []

    def play(request: ChatRequest) -> Iterator[str]:
        salts.append(request.cache_salt)
        yield FIRST

    live.chat.play = play
    for conversation_id in (begin(live, ana), begin(live, ana)):
        ask(live, ana, QUESTION, conversation_id)
        ask(live, ana, FOLLOW_UP, conversation_id)

    # Of each conversation: the first answer, of which nothing was said before; the rewriting; the second answer.
    (first, rewriting, second), (other_first, other_rewriting, other_second) = salts[:3], salts[3:]
    assert all(salts) and first == other_first
    assert len({first, rewriting, second, other_rewriting, other_second}) == 5


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_who_leaves_while_the_question_is_being_rewritten_ends_that(live: LiveHome, ana: str, accept: str) -> None:
    live.chat.play = writes(FIRST)
    conversation_id = begin(live, ana)
    ask(live, ana, QUESTION, conversation_id)
    live.chat.ended.clear()
    live.chat.play = held = Held("")

    with live.begin(ana, FOLLOW_UP, accept, conversation_id=conversation_id):
        assert held.waiting.wait(PATIENCE_SECONDS)
        assert not live.chat.ended.is_set()

    assert live.chat.ended.wait(PATIENCE_SECONDS / 3)
    assert until(lambda: live.ending() == "left")
