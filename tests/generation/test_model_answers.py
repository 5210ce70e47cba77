"""Answers that a model writes: every sentence checked, on record and readable before it leaves, whatever fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from scripted_chat import ScriptedChat, Step

from apps.administration import Administration
from core.answers import Answer
from core.cancellation import Cancellation
from core.errors import AuditUnavailable, ModelFailed
from core.principals import parse_grantee, parse_principal
from generation import rights
from generation.answerer import Writing
from generation.model_answerer import ModelAnswerer, ModelLimits, WithFallback
from generation.service import Answered, AskService, PassagesFound, SentenceChecked
from governance.access.rules import AccessLists
from governance.audit import Entry, Kind
from governance.doors import Gate
from governance.identity import ADMINISTRATOR
from wiring.home import Home

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")
LEAVE = b"""# Leave

Full-time employees have 27 days of annual leave. Unused days lapse on 31 March of the next year.
"""
QUESTION = "How many days of annual leave do full-time employees have?"
FIRST = "Full-time employees have 27 days of annual leave [1]."
SECOND = "Unused days lapse on 31 March of the next year [1]."


@dataclass
class Desk:
    """A home with one document that ana may read, and its service with a scripted model."""

    home: Home
    document_id: str

    def service(self, *script: Step) -> tuple[AskService, ScriptedChat]:
        chat = ScriptedChat(script)
        model = ModelAnswerer(chat, ModelLimits(100, 10, 10))
        return replace(self.home.ask, answerer=WithFallback(model, self.home.answerer)), chat

    @property
    def administration(self) -> Administration:
        return Administration(self.home, ADMINISTRATOR, "test")

    def records(self, audit_id: str) -> list[tuple[str, dict[str, Any]]]:
        return [(entry.record.kind, dict(entry.content or {})) for entry in self.home.audit_reader.show(audit_id)]


@pytest.fixture
def desk(home: Home) -> Desk:
    lists = AccessLists(frozenset({parse_grantee("user:ana")}))
    report, document_id = Administration(home, ADMINISTRATOR, "test").upload("handbook", "leave.md", LEAVE, lists)
    assert not report.failures and document_id
    return Desk(home, document_id)


def test_a_models_sentences_are_cited_where_they_are_supported_and_dropped_where_not(desk: Desk) -> None:
    service, chat = desk.service(f"{FIRST} The pope has 99 days of leave and a boat [1]. {SECOND}")

    answer = service.ask(QUESTION, ANA, "test")

    assert answer.text == f"{FIRST} {SECOND.replace('[1]', '[2]')}"
    assert [citation.quote for citation in answer.citations] == [
        "Full-time employees have 27 days of annual leave.",
        "Unused days lapse on 31 March of the next year.",
    ]
    assert (answer.mode, answer.model, answer.degraded) == ("vllm", "scripted", None)
    assert answer.usage == {"prompt_tokens": 7, "completion_tokens": 5}
    assert chat.closed == 1


@pytest.mark.parametrize(("most_tokens", "shown"), [(5, 1), (6, 2)])
def test_a_sentence_that_the_limit_of_tokens_cut_off_is_not_shown(desk: Desk, most_tokens: int, shown: int) -> None:
    """The scripted model counts five tokens, whatever it writes."""
    service, chat = desk.service(f"{FIRST} Unused days lapse on 31 March")
    model = ModelAnswerer(chat, ModelLimits(most_tokens, 10, 10))

    answer = replace(service, answerer=model).ask(QUESTION, ANA, "test")

    assert len(answer.claims) == shown


def test_when_nothing_a_model_wrote_is_supported_there_is_no_answer(desk: Desk) -> None:
    service, _ = desk.service("The pope has 99 days of leave and a boat [1].")

    answer = service.ask(QUESTION, ANA, "test")

    assert (answer.abstained, answer.reason, answer.mode) == (True, "low_support", "vllm")


def test_a_model_may_say_that_the_passages_do_not_answer(desk: Desk) -> None:
    service, _ = desk.service("NO ", "ANSWER")

    assert service.ask(QUESTION, ANA, "test").reason == "no_evidence"


def test_who_may_read_nothing_gives_the_model_nothing_to_read(desk: Desk) -> None:
    service, chat = desk.service(FIRST)

    assert service.ask(QUESTION, BEN, "test").reason == "no_evidence"
    assert chat.requests == []
    assert not service.ask(QUESTION, ANA, "test").abstained
    assert len(chat.requests) == 1


def test_people_with_other_rights_share_no_cached_prefix(desk: Desk) -> None:
    desk.administration.upload("handbook", "open.md", LEAVE, AccessLists(frozenset({parse_grantee("everyone")})))
    service, chat = desk.service(FIRST)

    for person in (ANA, BEN, parse_principal("user:cem")):
        service.ask(QUESTION, person, "test")

    ana, ben, cem = [request.cache_salt for _, request in chat.requests]
    assert ana and ben and ana != ben and ben == cem

    desk.administration.set_group(parse_grantee("group:guests"), [BEN.grantee])
    desk.administration.set_redaction(parse_grantee("group:guests"), "strict")
    for person in (BEN, parse_principal("user:cem")):
        service.ask(QUESTION, person, "test")

    masked, cem = [request.cache_salt for _, request in chat.requests[3:]]
    assert masked != cem == ben, "who reads the same documents with more of them masked"


@pytest.mark.parametrize(
    "spoken",
    ["", f"{FIRST} And then it said that ", "Annual leave is 27 days for full-time employees [1]. And then it said "],
)
def test_a_model_that_fails_is_followed_by_quotes_that_repeat_nothing(desk: Desk, spoken: str) -> None:
    service, _ = desk.service(*([spoken] if spoken else []), ModelFailed("unreachable", "vLLM cannot be reached."))

    answer = service.ask(QUESTION, ANA, "test")

    assert answer.text.count("27 days") == 1
    assert len({(citation.start, citation.end) for citation in answer.citations}) == len(answer.citations)
    assert answer.mode == ("vllm" if spoken else "extractive")
    assert answer.degraded == {
        "mode": "vllm",
        "model": "scripted",
        "kind": "unreachable",
        "cause": "vLLM cannot be reached.",
    }


def test_a_stream_gives_passages_then_sentences_then_the_same_answer(desk: Desk) -> None:
    service, _ = desk.service(FIRST, " ", SECOND)

    events = list(service.stream(QUESTION, ANA, "test"))

    assert [type(event) for event in events] == [PassagesFound, SentenceChecked, SentenceChecked, Answered]
    answer = done(events)
    assert " ".join(event.text for event in events if isinstance(event, SentenceChecked)) == answer.text
    assert answer.text == service.ask(QUESTION, ANA, "test").text
    kinds = [kind for kind, _ in desk.records(answer.audit_id)]
    assert kinds == ["intent", "evidence", "sentence", "sentence", "receipt"]
    assert desk.records(answer.audit_id)[-1][1]["ending"] == "answered"


@pytest.mark.parametrize("allowed", range(5))
def test_nothing_leaves_before_its_record(desk: Desk, monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    service, _ = desk.service(FIRST, " ", SECOND)
    written: list[Entry] = []
    append = service.audit.append_all

    def failing(entries: list[Entry]) -> object:
        if len(written) == allowed:
            raise AuditUnavailable("the disk is full")
        written.extend(entries)
        return append(entries)

    monkeypatch.setattr(service.audit, "append_all", failing)
    left = []
    try:
        for event in service.stream(QUESTION, ANA, "test"):
            left.append(event)
    except AuditUnavailable:
        assert allowed < 4
    # Evidence, two sentences, the receipt: each event but the last needs exactly the records before it.
    assert len(left) == allowed
    assert [entry.kind for entry in written] == [Kind.EVIDENCE, Kind.SENTENCE, Kind.SENTENCE, Kind.RECEIPT][:allowed]


def revoking(desk: Desk) -> Callable[[], object]:
    return lambda: desk.administration.revoke(parse_grantee("user:ana"), desk.document_id)


def test_a_right_revoked_before_the_first_sentence_means_that_none_leaves(desk: Desk) -> None:
    service, _ = desk.service(revoking(desk), FIRST)

    events = list(service.stream(QUESTION, ANA, "test"))

    assert not [event for event in events if isinstance(event, SentenceChecked)]
    assert done(events).abstained and done(events).nearest == ()


def test_a_right_revoked_between_two_sentences_ends_the_stream_and_repeats_nothing(desk: Desk) -> None:
    service, _ = desk.service(f"{FIRST} Unused days lapse on ", revoking(desk), "31 March of the next year [1].")

    events = list(service.stream(QUESTION, ANA, "test"))

    assert [event.text for event in events if isinstance(event, SentenceChecked)] == [FIRST]
    answer = done(events)
    assert (answer.abstained, answer.reason, answer.text, answer.citations) == (True, "unavailable", "", ())
    receipt = desk.records(answer.audit_id)[-1][1]
    assert (receipt["ending"], receipt["answer"]) == ("withdrawn", FIRST)


def test_a_right_revoked_while_the_model_is_silent_ends_its_writing(desk: Desk) -> None:
    cancelled = threading.Event()

    def silent() -> None:
        service_chat.requests[-1][1].cancel.on_cancel(cancelled.set)
        revoking(desk)()
        assert cancelled.wait(20)

    service, service_chat = desk.service(silent, FIRST)

    assert done(list(service.stream(QUESTION, ANA, "test"))).abstained


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_rights_that_cannot_be_looked_up_while_the_model_is_silent_end_its_writing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Gate.readable

    def fails_while_watching(*arguments: Any) -> Any:
        if threading.current_thread().name == "footnote-rights":
            raise OSError("the database is away")
        return look(*arguments)

    def silent() -> None:
        assert chat.requests[-1][1].cancel.wait(20)

    monkeypatch.setattr(rights, "RECHECK_SECONDS", 0.05)
    monkeypatch.setattr(Gate, "readable", fails_while_watching)
    service, chat = desk.service(silent, FIRST)

    answer = done(list(service.stream(QUESTION, ANA, "test")))

    assert (answer.abstained, answer.reason) == (True, "unavailable")


def test_who_leaves_ends_the_writing_and_the_record_says_what_was_shown(desk: Desk) -> None:
    service, chat = desk.service(f"{FIRST} Unused days lapse on 31 March ", "of the next year [1]. And on and on.")
    stream = service.stream(QUESTION, ANA, "test")
    shown = [next(stream), next(stream)]

    stream.close()

    assert isinstance(shown[1], SentenceChecked) and chat.closed == 1
    receipt = last_receipt(desk)
    assert (receipt["ending"], receipt["answer"]) == ("left", FIRST)


def test_a_cancelled_stream_ends_without_an_answer(desk: Desk) -> None:
    cancel = Cancellation()
    service, chat = desk.service(FIRST, " ", cancel.cancel, SECOND)

    events = list(service.stream(QUESTION, ANA, "test", writing=Writing(cancel=cancel)))

    assert not [event for event in events if isinstance(event, Answered)]
    assert chat.closed == 1 and last_receipt(desk)["ending"] == "left"


def done(events: list[Any]) -> Answer:
    assert isinstance(events[-1], Answered)
    return events[-1].answer


def last_receipt(desk: Desk) -> dict[str, Any]:
    return dict(desk.home.audit_reader.newest(kind=Kind.RECEIPT)[0].content or {})
