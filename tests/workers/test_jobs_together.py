"""Documents that one worker brings in together: published at once, and each still answers for itself alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import update

from apps.administration import Administration
from apps.work import Work
from catalog.job_queue import JobQueue
from catalog.job_records import JobView, list_jobs
from catalog.jobs import JobRow
from core.errors import Conflict, LimitExceeded
from core.principals import EVERYONE, parse_grantee, parse_principal
from governance.access.rules import AccessLists
from governance.identity import ADMINISTRATOR
from inference.hashing import HashingEncoder
from ingest.indexing import IndexPublisher
from retrieval.index import IndexWriter
from wiring.home import Home
from workers import run
from workers.run import run_next

ANA = parse_principal("user:ana")
BEN = parse_principal("user:ben")
FOR_ANA = AccessLists(frozenset({parse_grantee("user:ana")}))
QUEUES = ["ingest", "batch", "upkeep"]
NAMES = [f"{number}.md" for number in range(5)]


@pytest.fixture
def work(home: Home) -> Work:
    return Work(Administration(home, ADMINISTRATOR, "test"))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the parser takes longer to start than documents wait for each other."""
    monkeypatch.setattr(run, "_TOGETHER_SECONDS", 600.0)


@pytest.fixture
def generations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each generation of the index has added."""
    added: list[int] = []
    publish = IndexWriter.publish

    def counted(self: IndexWriter, rows: Any, dropped: Any = ()) -> int:
        listed = list(rows)
        added.append(len(listed))
        return publish(self, listed, dropped)

    monkeypatch.setattr(IndexWriter, "publish", counted)
    return added


def upload(work: Work, *names: str, source: str = "uploads", text: str = "about leave") -> list[str]:
    return [work.upload_later(source, name, f"# {name}\n\n{name} is {text}.\n".encode(), FOR_ANA) for name in names]


def readable(home: Home) -> dict[str, int]:
    return {view.external_id: view.version for view in home.gate.documents(ANA) if view.version}


def jobs(home: Home) -> dict[str, JobView]:
    return {view.id: view for view in list_jobs(home.catalog, 100)}


def end_pauses(home: Home) -> None:
    with home.catalog.write() as session:
        session.execute(update(JobRow).values(not_before=JobRow.created_at))


def assert_the_index_is_the_catalog(home: Home, names: Sequence[str]) -> None:
    assert sorted(readable(home)) == sorted(names)
    assert len(home.index_reader.snapshot().rows()) == len(names)


def test_documents_that_wait_are_published_in_one_generation(work: Work, home: Home, generations: list[int]) -> None:
    ids = upload(work, *NAMES)

    assert run_next(home, QUEUES)

    assert generations == [len(NAMES)]
    assert {(job.state, job.attempts) for job in jobs(home).values()} == {("done", 1)}
    assert len(ids) == len(NAMES)
    assert_the_index_is_the_catalog(home, NAMES)
    assert not run_next(home, QUEUES)


def test_of_many_so_many_are_published_that_nobody_waits_long(
    work: Work, home: Home, generations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_TOGETHER_JOBS", 2)
    upload(work, *NAMES)

    while run_next(home, QUEUES):
        pass

    assert generations == [2, 2, 1]


def test_who_is_told_to_stop_takes_no_more(work: Work, home: Home, generations: list[int]) -> None:
    upload(work, *NAMES)

    assert run_next(home, QUEUES, lambda: False)

    assert generations == [1]


def test_each_source_has_a_generation_of_its_own(work: Work, home: Home, generations: list[int]) -> None:
    upload(work, *NAMES[:2])
    upload(work, *NAMES[2:], source="others")

    assert run_next(home, QUEUES)

    assert sorted(generations) == [2, 3]
    assert_the_index_is_the_catalog(home, NAMES)


def test_what_cannot_be_read_takes_nobody_along(work: Work, home: Home, generations: list[int]) -> None:
    upload(work, *NAMES[:3])
    empty = work.upload_later("uploads", "empty.md", b" \n", FOR_ANA)
    upload(work, *NAMES[3:])

    run_next(home, QUEUES)

    assert (jobs(home)[empty].state, jobs(home)[empty].attempts) == ("dead", 1)
    assert generations == [len(NAMES)]
    assert_the_index_is_the_catalog(home, NAMES)


def test_a_bug_in_one_document_is_its_own_and_the_others_come_in(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = HashingEncoder.encode

    def fragile(self: HashingEncoder, texts: Sequence[str]) -> Any:
        if any("a poisoned text" in text for text in texts):
            raise ZeroDivisionError
        return encode(self, texts)

    monkeypatch.setattr(HashingEncoder, "encode", fragile)
    upload(work, *NAMES[:3])
    [poison] = upload(work, "poison.md", text="a poisoned text")
    upload(work, *NAMES[3:])

    run_next(home, QUEUES)

    view = jobs(home)[poison]
    assert (view.state, view.attempts, view.cause) == ("queued", 1, "a bug: ZeroDivisionError")
    assert {job.state for job in jobs(home).values() if job.id != poison} == {"done"}
    assert_the_index_is_the_catalog(home, NAMES)


@pytest.mark.parametrize("tried", [1, len(NAMES)])
def test_a_job_that_was_tried_before_is_done_alone(work: Work, home: Home, generations: list[int], tried: int) -> None:
    """Else what takes its worker down would take the same company down three times."""
    ids = upload(work, *NAMES)
    with home.catalog.write() as session:
        session.execute(update(JobRow).where(JobRow.id.in_(ids[:tried])).values(attempts=1))

    while run_next(home, QUEUES):
        pass

    assert generations == [1] * tried + ([len(NAMES) - tried] if tried < len(NAMES) else [])


def test_a_job_that_is_called_off_meanwhile_is_the_only_one_not_published(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = upload(work, *NAMES)
    encode = HashingEncoder.encode

    def called_off(self: HashingEncoder, texts: Sequence[str]) -> Any:
        monkeypatch.undo()
        work.cancel_job(ids[2])
        return encode(self, texts)

    monkeypatch.setattr(HashingEncoder, "encode", called_off)
    run_next(home, QUEUES)

    assert jobs(home)[ids[2]].state == "cancelled"
    assert {job.state for job in jobs(home).values() if job.id != ids[2]} == {"done"}
    assert_the_index_is_the_catalog(home, [name for name in NAMES if name != NAMES[2]])


def test_a_job_lost_after_staging_leaves_no_row_in_the_index(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = upload(work, *NAMES)
    publish = IndexPublisher.publish

    def called_off(self: IndexPublisher, added: Any, dropped: Any) -> None:
        publish(self, added, dropped)
        monkeypatch.undo()
        work.cancel_job(ids[0])

    monkeypatch.setattr(IndexPublisher, "publish", called_off)
    run_next(home, QUEUES)

    assert_the_index_is_the_catalog(home, NAMES[1:])


def test_what_another_worker_staged_before_it_was_killed_leaves_the_index(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(work, *NAMES)
    publish = IndexPublisher.publish

    def killed(self: IndexPublisher, added: Any, dropped: Any) -> None:
        publish(self, added, dropped)
        raise KeyboardInterrupt

    monkeypatch.setattr(IndexPublisher, "publish", killed)
    with pytest.raises(KeyboardInterrupt):
        run_next(home, QUEUES)
    monkeypatch.undo()
    with home.catalog.write() as session:
        session.execute(update(JobRow).values(lease_until=JobRow.created_at))
    assert len(home.jobs.sweep()) == len(NAMES)
    end_pauses(home)

    while run_next(home, QUEUES):
        pass

    assert {(job.state, job.attempts) for job in jobs(home).values()} == {("done", 2)}
    assert_the_index_is_the_catalog(home, NAMES)


def test_a_full_disk_costs_none_of_them_an_attempt(work: Work, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(work, *NAMES)

    def full(*_: object) -> None:
        raise LimitExceeded("no space left")

    monkeypatch.setattr(IndexPublisher, "publish", full)
    run_next(home, QUEUES)
    assert {(job.state, job.attempts, job.cause) for job in jobs(home).values()} == {("queued", 0, "no space left")}
    monkeypatch.undo()
    end_pauses(home)
    while run_next(home, QUEUES):
        pass

    assert_the_index_is_the_catalog(home, NAMES)


def test_where_the_catalog_names_no_more_jobs_what_was_begun_is_published(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(work, *NAMES)
    claim = JobQueue.claim

    def first_only(self: JobQueue, *arguments: Any, **more: Any) -> Any:
        if more.get("like") is not None:
            raise Conflict("the catalog is away")
        return claim(self, *arguments, **more)

    monkeypatch.setattr(JobQueue, "claim", first_only)
    run_next(home, QUEUES)

    assert_the_index_is_the_catalog(home, NAMES[:1])


def test_a_document_whose_place_an_attachment_has_taken_meanwhile_does_not_get_its_readers(
    work: Work, home: Home
) -> None:
    parts = (
        "Content-Type: text/plain\n\nThe pier moved.\n",
        ('Content-Type: text/plain\nContent-Disposition: attachment; filename="0.md"\n\nFor everybody.\n'),
    )
    head = 'From: a@example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    mail = f"{head}--b\n{parts[0]}--b\n{parts[1]}--b--\n"
    upload(work, "mail.eml/0.md", text="for Ana only")
    work.upload_later("uploads", "mail.eml", mail.encode(), AccessLists(frozenset({EVERYONE})))

    while run_next(home, QUEUES):
        end_pauses(home)

    texts = {
        who.subject: [home.disclosure.text(who, view.document_id, "test")[1] for view in home.gate.documents(who)]
        for who in (ANA, BEN)
    }
    assert any("for Ana only" in text for text in texts["ana"])
    assert len(texts["ben"]) == 1
    assert "The pier moved" in texts["ben"][0]
