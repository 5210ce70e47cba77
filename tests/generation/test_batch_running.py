"""Rows of a batch: each answered as the person it is asked for, with the rights of its moment, and kept once."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from batch_desk import ANA, BEN, HOW_MUCH_LEAVE, LEAVE, MERGER, WHAT_PRICE, Office
from scripted_chat import ScriptedChat
from sqlalchemy import text

from apps.batches import read_questions
from core.answers import Mode
from core.cancellation import Cancellation
from core.errors import AuditUnavailable, Conflict, LimitExceeded, NotFound, Transient, WrongUsage
from generation.batch import running
from generation.service import AskService
from governance import batches
from governance.batch_results import WITHHELD
from governance.batch_rows import LOST
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage
from wiring.home import Home

CANARY = "zanzibarquokka"


@pytest.fixture
def office(home: Home) -> Office:
    opened = Office(home)
    opened.add("leave.md", LEAVE, "everyone")
    return opened


def test_each_row_is_answered_with_the_rights_of_the_person_it_is_asked_for(office: Office) -> None:
    office.add("merger.md", MERGER, "user:ana")

    said = {}
    for principal in (ANA, BEN):
        batch_id = office.begin([HOW_MUCH_LEAVE, WHAT_PRICE], principal)
        office.run(batch_id)
        said[principal] = office.read(batch_id, principal)

    leave, price = said[ANA]
    assert "27 days" in leave["answer"] and "18 million" in price["answer"]
    assert price["citations"][0]["external_id"] == "merger.md" and "18 million" in price["citations"][0]["quote"]
    assert "27 days" in said[BEN][0]["answer"]
    assert said[BEN][1]["abstained"] and "18 million" not in str(said[BEN])


def test_the_record_names_the_person_and_who_ran_the_batch(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE])
    office.run(batch_id)
    (row,) = office.read(batch_id)

    intent, *_ = office.home.audit_reader.show(row["audit_id"])

    assert intent.content and intent.content["actor"] == "operator:ops"
    assert intent.record.subject == office.home.batches.sealing.sealing.owner(ANA)
    begun = [one for one in office.home.audit_reader.newest(limit=50) if (one.content or {}).get("batch_id")]
    assert [(one.content or {})["action"] for one in begun] == ["read batch results", "begin batch"]


def test_a_right_that_is_lost_between_two_rows_counts_from_the_next_row_on(office: Office) -> None:
    document_id = office.add("merger.md", MERGER, "user:ana")
    batch_id = office.begin([WHAT_PRICE, f"{WHAT_PRICE} Say it again."])
    told: list[int] = []

    def tell() -> None:
        if not told:
            office.revoke(ANA, document_id)
        told.append(1)

    office.home.batch_runner.run(batch_id, 1, Cancellation(), tell)

    first, second = office.read(batch_id)
    assert (first["answer"], first["error"]) == (None, WITHHELD)
    assert second["abstained"]
    assert "18 million" not in str([first, second])
    office.grant(ANA, document_id)
    first, second = office.read(batch_id)
    assert "18 million" in first["answer"] and second["abstained"]


def test_an_answer_is_withheld_once_its_quote_reads_otherwise(office: Office) -> None:
    office.add("merger.md", MERGER, "user:ana")
    batch_id = office.begin([WHAT_PRICE])
    office.run(batch_id)

    office.add("merger.md", MERGER.replace("18", "19"), "user:ana")

    (row,) = office.read(batch_id)
    assert (row["answer"], row["error"]) == (None, WITHHELD)


def test_what_is_read_is_on_record_with_what_was_withheld_and_nothing_leaves_without_one(office: Office) -> None:
    document_id = office.add("merger.md", MERGER, "user:ana")
    batch_id = office.begin([HOW_MUCH_LEAVE, WHAT_PRICE])
    office.run(batch_id)
    ids = [row["audit_id"] for row in office.read(batch_id)]
    office.revoke(ANA, document_id)

    office.read(batch_id)

    evidence, intent = office.home.audit_reader.newest(subject=ANA, limit=2)
    assert intent.content == {"action": "read batch results", "batch_id": batch_id, "actor": "operator:ops"}
    assert evidence.content == {"shown": ids[:1], "withheld": ids[1:]}
    office.home.audit.close()
    with pytest.raises(AuditUnavailable):
        office.read(batch_id)


# A grid of questions and documents


def test_a_grid_asks_every_question_of_each_document_that_fits_and_may_be_read(office: Office) -> None:
    office.add("deals/merger.md", MERGER, "user:ana")
    office.add("deals/leave.md", LEAVE, "user:ana")
    office.add("deals/secret.md", MERGER, "user:ben")

    batch_id = office.begin([WHAT_PRICE, HOW_MUCH_LEAVE], per_document="deals/**")
    office.run(batch_id)

    rows = office.read(batch_id)
    said = [(row["question"], row["document"], row["abstained"]) for row in rows]
    assert said == [
        (WHAT_PRICE, "deals/leave.md", True),
        (WHAT_PRICE, "deals/merger.md", False),
        (HOW_MUCH_LEAVE, "deals/leave.md", False),
        (HOW_MUCH_LEAVE, "deals/merger.md", True),
    ]
    cited = {(row["document"], one["external_id"]) for row in rows for one in row["citations"]}
    assert cited == {("deals/merger.md", "deals/merger.md"), ("deals/leave.md", "deals/leave.md")}


def test_a_document_of_a_grid_that_is_lost_later_is_neither_asked_nor_named(office: Office) -> None:
    document_id = office.add("merger.md", MERGER, "user:ana")
    done, late = (office.begin([WHAT_PRICE], per_document="merger.md") for _ in range(2))
    office.run(done)
    assert "18 million" in office.read(done)[0]["answer"]

    office.revoke(ANA, document_id)
    office.run(late)

    for batch_id in (done, late):
        (row,) = office.read(batch_id)
        assert (row["answer"], row["document"], row["error"]) == (None, "", WITHHELD)


def test_a_grid_of_no_readable_document_is_refused_as_if_there_were_none(office: Office) -> None:
    office.add("merger.md", MERGER, "user:ben")

    for pattern in ("merger.md", "absent.md"):
        with pytest.raises(WrongUsage, match="No document that user:ana may read fits"):
            office.begin([WHAT_PRICE], per_document=pattern)


def test_a_grid_beyond_the_limit_is_refused_before_anything_is_kept(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.add("merger.md", MERGER, "user:ana")
    monkeypatch.setattr(batches, "MAX_ROWS", 3)

    with pytest.raises(LimitExceeded, match="2 questions of 2 documents are 4 rows"):
        office.begin([WHAT_PRICE, HOW_MUCH_LEAVE], per_document="*.md")
    assert office.home.batches.listed(ANA) == []


# One result each


def test_a_row_keeps_its_first_result(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE])
    office.run(batch_id)
    (row,) = office.read(batch_id)
    rows = office.home.batch_runner.rows

    later = office.home.ask.ask(HOW_MUCH_LEAVE, ANA, "test")

    assert not rows.answered(batch_id, 1, later) and not rows.failed(batch_id, 1, "late")
    assert office.read(batch_id) == [row]
    assert rows.begin(batch_id, 1) is None and rows.waiting(batch_id) == []


def test_two_runs_of_one_batch_at_once_lose_and_double_nothing(office: Office) -> None:
    questions = [f"{HOW_MUCH_LEAVE} ({number})" for number in range(12)]
    batch_id = office.begin(questions)

    with ThreadPoolExecutor(2) as pool:
        for run in [pool.submit(office.run, batch_id) for _ in range(2)]:
            run.result()

    rows = office.read(batch_id)
    assert [row["question"] for row in rows] == questions
    assert all("27 days" in row["answer"] for row in rows)


def test_rows_whose_loading_was_interrupted_are_loaded_on_and_none_twice(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_SLICE", 2)
    sheet = read_questions("q.jsonl", b"".join(f'"Question {number}?"\n'.encode() for number in range(5)))
    desk, calls = office.desk(), []
    batch_id = desk.begin("q.jsonl", sheet, None)

    def fail_late(_: object, ordinals: Sequence[int]) -> None:
        calls.append(ordinals)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        office.home.batches.load(ANA, batch_id, sheet.rows, fail_late)
    assert (desk.view(batch_id).state, office.states(batch_id)) == ("loading", ["waiting"] * 2)
    assert desk.view(batch_id).waiting == 5

    for _ in range(2):
        desk.load(batch_id, sheet, with_jobs=False)
    assert (desk.view(batch_id).state, office.states(batch_id)) == ("running", ["waiting"] * 5)
    assert [row["question"] for row in office.read(batch_id)] == [row.question for row in sheet.rows]


# What goes wrong with a row


class Fussy(ScriptedChat):
    """Answers, and fails on the questions that say how to."""

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[TextDelta | Usage, None, None]:
        question = messages[-1].content
        if "a bug" in question:
            raise RuntimeError(CANARY)
        if "a neighbour" in question:
            raise Transient("The model is down.")
        if "a limit" in question:
            raise LimitExceeded("The prompt is too long.")
        return super().stream(messages, request)

    @property
    def mode(self) -> Mode:
        return "vllm"


def fussy() -> Fussy:
    return Fussy(["Full-time employees have 27 days of annual leave. [1]"])


def test_a_row_that_fails_is_told_and_the_others_are_answered(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_PAUSE_SECONDS", 0.01)
    marks = ("", " (a bug)", " (a neighbour)", " (a limit)", "")
    batch_id = office.begin([HOW_MUCH_LEAVE + mark for mark in marks])

    office.run(batch_id, office.runner_with(fussy()))

    rows = office.read(batch_id)
    errors = [row["error"] for row in rows]
    assert errors == [None, "a bug: RuntimeError", "The model is down.", "The prompt is too long.", None]
    assert [row["mode"] for row in rows] == ["vllm", None, None, None, "vllm"]
    failures = office.home.batch_results.failures(ANA, batch_id)
    assert [(one.line, one.error) for one in failures] == list(enumerate(errors[1:4], start=2))
    assert office.asked(f"{HOW_MUCH_LEAVE} (a neighbour)") == 3
    assert CANARY not in str(rows)


def test_rows_that_failed_are_asked_again_and_no_others(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE, f"{HOW_MUCH_LEAVE} (a limit)", ""])
    office.run(batch_id, office.runner_with(fussy()))
    assert office.states(batch_id) == ["answered", "failed", "refused"]

    office.home.batches.reopen(ANA, batch_id)
    office.run(batch_id)

    assert office.states(batch_id) == ["answered", "answered", "refused"]
    assert (office.asked(HOW_MUCH_LEAVE), office.asked(f"{HOW_MUCH_LEAVE} (a limit)")) == (1, 2)


def test_a_row_that_takes_its_process_with_it_is_given_up_and_the_others_go_on(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE, WHAT_PRICE])
    for _ in range(office.home.settings.job_attempts):
        assert office.home.batch_runner.rows.begin(batch_id, 1)

    office.run(batch_id)

    assert office.states(batch_id) == ["failed", "answered"]
    assert office.read(batch_id)[0]["error"] == LOST
    assert office.asked(HOW_MUCH_LEAVE) == 0


def test_rows_that_a_process_died_with_are_asked_last_and_one_at_a_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whatever is answered beside a row that kills its process would be given up along with it."""
    questions = [f"{HOW_MUCH_LEAVE} ({number})" for number in range(8)]
    batch_id = office.begin(questions)
    for ordinal in (2, 3, 4):
        office.home.batch_runner.rows.begin(batch_id, ordinal)
    ask, running, lock = AskService.ask, set[str](), threading.Lock()
    begun: list[str] = []
    beside: dict[str, set[str]] = {}

    def watched(self: AskService, question: str, *arguments: Any) -> Any:
        with lock:
            begun.append(question)
            running.add(question)
            for one in running:
                beside.setdefault(one, set()).update(running - {one})
        try:
            return ask(self, question, *arguments)
        finally:
            with lock:
                running.discard(question)

    monkeypatch.setattr(AskService, "ask", watched)
    office.home.batch_runner.run(batch_id, 4, Cancellation(), lambda: None)

    assert begun[-3:] == questions[1:4]
    assert [beside[question] for question in questions[1:4]] == [set()] * 3
    assert office.states(batch_id) == ["answered"] * 8


def test_without_records_nothing_is_answered_and_nothing_is_lost(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE] * 5)
    office.home.audit.close()

    for _ in range(office.home.settings.job_attempts + 1):
        with pytest.raises(AuditUnavailable):
            office.run(batch_id)

    assert office.states(batch_id) == ["waiting"] * 5
    assert office.home.batch_runner.rows.begin(batch_id, 1)


def test_what_is_cancelled_while_it_is_written_waits_for_the_next_run(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE] * 3)
    cancel = Cancellation()
    chat = ScriptedChat(["Full-time employees have 27 days of annual leave. [1]", cancel.cancel, " And more. [1]"])

    office.runner_with(chat).run(batch_id, 1, cancel, lambda: None)

    assert office.states(batch_id) == ["waiting"] * 3
    office.run(batch_id)
    assert office.states(batch_id) == ["answered"] * 3


# Behind everybody who waits


def test_the_model_is_told_that_nobody_waits_and_nothing_is_given_up_while_it_is_busy(office: Office) -> None:
    chat = fussy()
    batch_id = office.begin([HOW_MUCH_LEAVE])
    runner = office.runner_with(chat)

    runner.run(batch_id, 1, Cancellation(), lambda: None)
    runner.ask.ask(HOW_MUCH_LEAVE, ANA, "test")

    batch, person = (request for _, request in chat.requests)
    assert (batch.priority, batch.patience_s) == (10, 20.0)
    assert (person.priority, person.patience_s) == (0, 1.0)


def test_a_row_begins_once_no_person_is_being_answered(office: Office) -> None:
    written, release = threading.Event(), threading.Event()
    slow = ScriptedChat([written.set, lambda: release.wait(30), "There are 27 days of annual leave. [1]"])
    runner, quick = office.runner_with(slow), fussy()
    batch_id = office.begin([HOW_MUCH_LEAVE])
    behind = replace(runner, ask=replace(runner.ask, answerer=office.runner_with(quick).ask.answerer))

    with ThreadPoolExecutor(2) as pool:
        person = pool.submit(runner.ask.ask, HOW_MUCH_LEAVE, ANA, "test")
        assert written.wait(30)
        batch = pool.submit(behind.run, batch_id, 1, Cancellation(), lambda: None)
        for _ in range(5):
            assert not release.wait(0.1) and quick.requests == []
        release.set()
        assert not person.result().abstained
        batch.result()

    assert len(quick.requests) == 1 and office.states(batch_id) == ["answered"]


# Each for their owner, sealed, and gone when they are to be


def test_somebody_elses_batch_looks_like_one_that_is_not_there(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE])
    office.run(batch_id)
    home = office.home
    said = []
    for name in (batch_id, "0" * 32, "x", "\x00" * 32):
        for attempt in (
            lambda name: home.batches.view(BEN, name),
            lambda name: home.batches.cancel(BEN, name, "test"),
            lambda name: home.batches.delete(BEN, name, "test"),
            lambda name: home.batches.reopen(BEN, name),
            lambda name: home.batch_results.failures(BEN, name),
            lambda name: home.batch_results.read(BEN, name, "test"),
        ):
            with pytest.raises(NotFound) as refused:
                attempt(name)
            said.append(str(refused.value).replace(repr(name), "X"))
    assert len(set(said)) == 1
    assert home.batches.listed(BEN) == []
    assert [view.batch_id for view in home.batches.listed(ANA)] == [batch_id]


def test_a_cancelled_batch_keeps_what_is_answered_and_asks_no_more(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE, WHAT_PRICE, WHAT_PRICE])
    home = office.home
    home.batch_runner.run_row(batch_id, 1)

    home.batches.cancel(ANA, batch_id, "test")
    office.run(batch_id)
    home.batch_runner.run_row(batch_id, 2)

    assert office.states(batch_id) == ["answered", "waiting", "waiting"]
    assert [row["error"] for row in office.read(batch_id)] == [None, *["not answered yet"] * 2]
    assert office.asked(WHAT_PRICE) == 0
    with pytest.raises(Conflict, match="nothing left to cancel"):
        home.batches.cancel(ANA, batch_id, "test")
    home.batches.reopen(ANA, batch_id)
    office.run(batch_id)
    assert office.states(batch_id) == ["answered"] * 3


def test_a_deleted_batch_is_gone_with_its_questions_and_a_late_row_finds_nothing(office: Office) -> None:
    kept, doomed = office.begin([HOW_MUCH_LEAVE]), office.begin([HOW_MUCH_LEAVE])

    office.home.batches.delete(ANA, doomed, "test")
    office.home.batch_runner.run_row(doomed, 1)

    with office.home.catalog.read() as session:
        for table in ("batch_questions", "batch_results"):
            assert session.scalars(text(f"SELECT batch_id FROM {table}")).all() == [kept]
    with pytest.raises(NotFound):
        office.home.batches.view(ANA, doomed)
    assert office.asked(HOW_MUCH_LEAVE) == 0


def test_no_word_of_a_batch_stands_in_the_database_and_with_its_owners_key_it_is_erased(office: Office) -> None:
    office.add(f"{CANARY}.md", MERGER, "user:ana")
    batch_id = office.begin([f"Who is {CANARY}?", f"{CANARY}{'x' * 9000}"])
    office.run(batch_id)
    assert CANARY in str(office.read(batch_id))
    tables = ("batches", "batch_questions", "batch_results")
    with office.home.catalog.read() as session:
        rows = [row for table in tables for row in session.execute(text(f"SELECT * FROM {table}"))]
    stored = b"".join(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for row in rows for v in row)
    assert len(rows) == 5 and batch_id.encode() in stored
    assert CANARY.encode() not in stored and b"jsonl" not in stored
    # Three letters stand among thousands of sealed bytes by chance.
    assert not [value for row in rows for value in row if isinstance(value, str) and "ana" in value]

    late = office.begin([f"Where is {CANARY}?"])
    office.home.key_store.destroy(office.home.batches.sealing.sealing.owner(ANA))
    office.run(late)

    assert office.states(late) == ["failed"] and office.home.batches.view(ANA, batch_id).name == ""
    assert all(row["error"] == "It was erased." for row in office.read(batch_id) + office.read(late))
    assert CANARY not in str(office.read(batch_id))


def test_how_far_a_batch_is_counts_rows_and_tells_the_time_left_from_its_own_pace(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE] * 4 + [""])
    desk = office.desk()
    before = desk.view(batch_id)
    assert (before.state, before.total, before.waiting, before.time_left) == ("running", 5, 4, None)

    for ordinal in (1, 2):
        office.home.batch_runner.run_row(batch_id, ordinal)
    half = desk.view(batch_id)
    assert half.rows == {"answered": 2, "refused": 1, "waiting": 2} and half.waiting == 2
    assert half.time_left is not None and 0 < half.time_left.total_seconds() < 120

    office.run(batch_id)
    after = desk.view(batch_id)
    assert (after.state, after.waiting) == ("done", 0) and not after.time_left
