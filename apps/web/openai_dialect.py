"""OpenAI's chat dialect: what is asked in it becomes a question with what was said before; an answer becomes theirs.

Follows the chat completions API as its client `openai` 3 reads it. What would change the meaning of an answer and is
not offered here is refused by name; what only tunes a model is accepted and left aside.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from apps.rendering import ABSTENTIONS
from apps.web.requests import FiltersBody
from core.answers import Answer, Citation
from core.documents import clean_text
from core.errors import WrongUsage
from generation.answerer import Exchange
from generation.compose import following

MODEL = "footnote"
MAX_MESSAGES = 1_000

# Values that ask for nothing, by parameter; every other value of these is refused.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "prediction": (),
    "response_format": ({"type": "text"},),
    "stop": ([], ""),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "web_search_options": (),
}
# Tuning and book-keeping: how the server's own model writes is the operator's choice.
_LEFT_ASIDE = frozenset(
    """frequency_penalty max_completion_tokens max_tokens metadata parallel_tool_calls presence_penalty
    prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort safety_identifier seed service_tier
    store temperature top_p user verbosity""".split()  # noqa: SIM905
)


class Refused(WrongUsage):
    """A parameter or a message that this dialect does not take; `param` names it, `code` is for programs."""

    def __init__(self, message: str, param: str | None, code: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    type: str
    text: str | None = None


class MessageBody(BaseModel):
    """One message; `content` is text, or parts that are all text."""

    model_config = ConfigDict(extra="allow", frozen=True)
    role: str
    content: str | list[_Part] | None = None


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    include_usage: bool = False


class ChatBody(BaseModel):
    """The body of `POST /v1/chat/completions`; see docs/openai.md for its other parameters."""

    model_config = ConfigDict(extra="allow", frozen=True)
    model: str = Field(max_length=255, description="`footnote`, or the name of the model behind it.")
    messages: list[MessageBody] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    filters: FiltersBody = Field(default_factory=FiltersBody, description="Of this service, as in POST /v1/ask.")

    @property
    def with_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


@dataclass(frozen=True)
class Asked:
    """The last message of the user, and what the client says was said before it.

    The earlier texts are the client's word: they help to understand the question and are evidence of nothing.
    """

    question: str
    history: tuple[Exchange, ...]


def understand(body: ChatBody, models: Sequence[str]) -> Asked:
    """The question of a request; raises `Refused` for what it asks besides."""
    if body.model not in models:
        status = HTTPStatus.NOT_FOUND
        raise Refused(
            f"There is no such model here; there are {', '.join(models)}.", "model", "model_not_found", status
        )
    for name, value in (body.model_extra or {}).items():
        _refuse_unless_harmless(name, value)
    said = [message for message in body.messages if message.role not in ("system", "developer")]
    if not said or said[-1].role != "user":
        raise Refused("The last message must be the user's question.", "messages", "invalid_messages")
    return Asked(_text_of(said[-1]), _exchanges(said[:-1]))


def completion(answer: Answer, model: str, address: str) -> dict[str, Any]:
    """An answer as a chat completion; `address` is where people reach this service, or empty."""
    footnotes = cited(answer, address)
    message = {"role": "assistant", "content": spoken(answer), "refusal": None, "annotations": footnotes}
    return {
        "id": _new_id(),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage_json(answer),
        "footnote": extension(answer),
    }


def spoken(answer: Answer) -> str:
    """The text of the message: of an abstention, the sentence that says so."""
    return ABSTENTIONS[answer.reason or "no_evidence"] if answer.abstained else answer.text


def cited(answer: Answer, address: str) -> list[dict[str, Any]]:
    """One for each citation, in the order of their markers, pointing at the first place of its marker in the text."""
    return [_annotation(citation, answer.text, address) for citation in answer.citations]


def usage_json(answer: Answer) -> dict[str, int]:
    prompt, written = answer.usage.get("prompt_tokens", 0), answer.usage.get("completion_tokens", 0)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def extension(answer: Answer) -> dict[str, Any]:
    """What OpenAI's dialect has no place for."""
    return {
        "audit_id": answer.audit_id,
        "abstained": answer.abstained,
        "reason": answer.reason,
        "mode": answer.mode,
        "model": answer.model,
        "rewritten_question": answer.rewritten_question,
    }


def models_json(models: Sequence[str]) -> dict[str, Any]:
    entries = [{"id": name, "object": "model", "created": 0, "owned_by": "footnote"} for name in models]
    return {"object": "list", "data": entries}


def error_json(message: str, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    """OpenAI's shape of an error."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass
class Chunks:
    """The chunks of one streamed completion; their contents one after the other are the text of the whole."""

    id: str
    model: str
    with_usage: bool
    address: str
    created: int
    text: str = ""
    opened: bool = False

    @classmethod
    def of(cls, body: ChatBody, address: str) -> Chunks:
        return cls(_new_id(), body.model, body.with_usage, address, int(time.time()))

    def opening(self) -> list[dict[str, Any]]:
        """Who speaks; once, however often the passages are looked for."""
        if self.opened:
            return []
        self.opened = True
        return [self._chunk({"role": "assistant", "content": ""})]

    def sentence(self, text: str) -> dict[str, Any]:
        """One checked sentence."""
        piece = following(self.text, text)
        self.text += piece
        return self._chunk({"content": piece})

    def closing(self, answer: Answer) -> list[dict[str, Any]]:
        """What follows the last sentence: of an abstention its sentence, the annotations, and the usage if wanted."""
        said = [self.sentence(spoken(answer))] if answer.abstained else []
        last = self._chunk({"annotations": cited(answer, self.address)}, "stop")
        last["footnote"] = extension(answer)
        usage = {**self._chunk({}), "choices": [], "usage": usage_json(answer)}
        return [*said, last, *([usage] if self.with_usage else [])]

    def _chunk(self, delta: Mapping[str, Any], finish_reason: Literal["stop"] | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
        }
        return {**chunk, "usage": None} if self.with_usage else chunk


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"


def _refuse_unless_harmless(name: str, value: Any) -> None:
    if value is None or name in _LEFT_ASIDE:
        return
    if name not in _NEUTRAL:
        # The name is the caller's own making, so it is not repeated.
        known = name if name.isidentifier() and name.isascii() and len(name) <= 40 else None
        raise Refused("This request has a parameter that is not known here.", known, "unknown_parameter")
    if value not in _NEUTRAL[name]:
        raise Refused(
            f"`{name}` is not offered: an answer is one text, made of checked sentences of your documents.",
            name,
            "unsupported_parameter",
        )


def _exchanges(messages: Sequence[MessageBody]) -> tuple[Exchange, ...]:
    """Each earlier message of the user, with what the assistant said next."""
    exchanges: list[Exchange] = []
    for message in messages:
        if message.role == "user":
            exchanges.append(Exchange(_text_of(message), ""))
        elif message.role == "assistant":
            if exchanges:
                before = exchanges.pop()
                exchanges.append(Exchange(before.question, f"{before.answer} {_text_of(message)}".strip()))
        else:
            raise Refused("Messages are from system, developer, user or assistant.", "messages", "unsupported_role")
    return tuple(exchanges)


def _text_of(message: MessageBody) -> str:
    """A message's text, in the form that stored text has: JSON can hold what no model is able to read."""
    if isinstance(message.content, list):
        if any(part.type != "text" or part.text is None for part in message.content):
            raise Refused("A message may hold text only.", "messages", "unsupported_content")
        return clean_text("\n".join(part.text or "" for part in message.content))
    return clean_text(message.content or "")


def _annotation(citation: Citation, text: str, address: str) -> dict[str, Any]:
    marker = f"[{citation.marker}]"
    at = max(text.find(marker), 0)
    url = f"{address}/v1/documents/{citation.document_id}"
    place = {"start_index": at, "end_index": at + len(marker), "title": citation.title, "url": url}
    return {
        "type": "url_citation",
        "url_citation": place,
        "marker": citation.marker,
        "document_id": citation.document_id,
        "version": citation.version,
        "external_id": citation.external_id,
        "start": citation.start,
        "end": citation.end,
        "quote": citation.quote,
    }
