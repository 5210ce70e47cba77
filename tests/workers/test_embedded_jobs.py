"""Documents brought in by jobs on threads of the process itself, on both databases."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from apps.administration import Administration
from apps.work import Work
from catalog.job_queue import ClaimedJob, JobQueue, NewJob
from catalog.job_records import find_job, list_jobs
from catalog.jobs import JobRow, ScheduleRow
from catalog.models import now
from core.documents import content_hash
from core.errors import (
    AuditUnavailable,
    Conflict,
    LeaseLost,
    LimitExceeded,
    Transient,
    UnreadableDocument,
    WrongUsage,
)
from core.principals import parse_grantee, parse_principal
from governance.access.rules import AccessLists
from governance.identity import ADMINISTRATOR
from inference.hashing import HashingEncoder
from ingest.arrivals import take_off
from ingest.connectors import local_folder
from ingest.indexing import IndexPublisher
from ingest.parsing.sandbox import SandboxedParser
from ingest.sources import SourceRequest
from wiring.home import Home
from workers import ingesting
from workers.embedded import embedded_workers
from workers.functions import JOB_FUNCTIONS
from workers.run import run_claimed, run_next
from workers.sweeping import sweep

ANA = parse_principal("user:ana")
BEN = parse_principal("user:ben")
FOR_ANA = AccessLists(frozenset({parse_grantee("user:ana")}))
FOR_BEN = AccessLists(frozenset({parse_grantee("user:ben")}))
QUEUES = ["ingest", "batch", "upkeep"]

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def work(home: Home) -> Work:
    return Work(Administration(home, ADMINISTRATOR, "test"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.md").write_text(f"# Document {number}\n\nThis is about leave {number}.\n")
    return folder


def do_all(home: Home) -> None:
    while run_next(home, QUEUES):
        pass


def claimed(home: Home) -> ClaimedJob:
    job = home.jobs.claim("test", QUEUES)
    assert job is not None
    return job


def readable(home: Home, principal: Any = ANA) -> dict[str, int]:
    return {view.external_id: view.version for view in home.gate.documents(principal)}


def text_of(home: Home, external_id: str) -> str:
    [view] = [view for view in home.gate.documents(ANA) if view.external_id == external_id]
    return home.disclosure.text(ANA, view.document_id, "test")[1]


def add(work: Work, folder: Path, **more: Any) -> str:
    chosen = {"name": "folder", "path": folder, "allow": [parse_grantee("user:ana")], "access_file": None}
    request = SourceRequest(**{**chosen, "every": None, "prune": False, **more})
    return work.add_source(request)[1]


def test_an_upload_that_is_not_waited_for_is_brought_in_by_a_thread(work: Work, home: Home) -> None:
    job_id = work.upload_later("uploads", "leave.md", b"# Leave\n\n27 days of leave.\n", FOR_ANA)
    assert readable(home) == {}

    with embedded_workers(home, grace_s=30):
        wait(lambda: find_job(home.catalog, job_id).state == "done")

    assert readable(home) == {"leave.md": 1}
    assert readable(home, BEN) == {}
    assert [hit.passage.external_id for hit in home.searcher.search("leave", ANA, 5).hits] == ["leave.md"]


def test_workers_that_are_stopped_finish_what_they_do_and_begin_nothing_more(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    encode = HashingEncoder.encode

    def slow(self: HashingEncoder, texts: Any) -> Any:
        reached.set()
        assert go_on.wait(30)
        return encode(self, texts)

    monkeypatch.setattr(HashingEncoder, "encode", slow)
    first = work.upload_later("uploads", "a.md", b"# A\n\nAbout leave.\n", FOR_ANA)
    one_thread = home.settings.model_copy(update={"job_threads": 1})
    with Home(one_thread) as serving, embedded_workers(serving, grace_s=30):
        assert reached.wait(30)
        second = work.upload_later("uploads", "b.md", b"# B\n\nAbout leave.\n", FOR_ANA)
        threading.Timer(0.3, go_on.set).start()

    assert find_job(home.catalog, first).state == "done"
    assert find_job(home.catalog, second).state == "queued"


def test_a_standing_source_is_brought_in_a_job_for_each_document_and_then_only_what_changed(
    work: Work, home: Home, folder: Path
) -> None:
    first = add(work, folder)
    do_all(home)
    assert readable(home) == {"0.md": 1, "1.md": 1, "2.md": 1}
    progress = work.job(first)[1]
    assert progress is not None
    assert progress.states == {"done": 3}

    (folder / "1.md").write_text("# Changed\n\nIt says something else about leave.\n")
    (folder / "2.md").rename(folder / "moved.md")
    second = work.sync_source("folder")
    assert work.sync_source("folder") == second  # one at a time
    do_all(home)

    assert readable(home) == {"0.md": 1, "1.md": 2, "moved.md": 1}
    progress = work.job(second)[1]
    assert progress is not None
    assert progress.states == {"done": 1}


def test_rules_that_changed_hold_before_any_document_is_read_again(work: Work, home: Home, folder: Path) -> None:
    add(work, folder)
    do_all(home)
    (folder / "0.md").write_text("# New\n\nThis is what only Ben may read of leave.\n")
    (folder / "access.yaml").write_text('default: {allow: ["user:ben"]}\n')
    work.sync_source("folder")

    assert run_next(home, QUEUES)  # the sync; its documents wait

    assert readable(home) == {}
    do_all(home)
    assert readable(home, BEN) == {"0.md": 2, "1.md": 1, "2.md": 1}


def test_a_source_that_prunes_deletes_what_went_and_refuses_when_all_of_it_did(
    work: Work, home: Home, folder: Path
) -> None:
    add(work, folder, prune=True)
    do_all(home)
    (folder / "2.md").unlink()
    work.sync_source("folder")
    do_all(home)
    assert set(readable(home)) == {"0.md", "1.md"}

    for path in folder.iterdir():
        path.unlink()
    emptied = work.sync_source("folder")
    run_next(home, QUEUES)

    assert set(readable(home)) == {"0.md", "1.md"}
    assert "holds no files" in (find_job(home.catalog, emptied).cause or "")


def test_a_removed_source_takes_its_documents_along_unless_they_are_to_stay(
    work: Work, home: Home, folder: Path
) -> None:
    add(work, folder)
    do_all(home)
    (folder / "3.md").write_text("# Three\n\nOn its way when the source is removed.\n")
    work.sync_source("folder")
    run_next(home, QUEUES)

    work.remove_source("folder", keep_documents=True)
    do_all(home)
    assert set(readable(home)) == {"0.md", "1.md", "2.md"}
    with pytest.raises(WrongUsage, match="no standing source"):
        work.sync_source("folder")

    work.remove_source("folder", keep_documents=False)
    assert readable(home) == {}


def test_a_source_removed_while_it_is_synced_brings_nothing_in_any_more(
    work: Work, home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = add(work, folder)
    hash_of = local_folder.content_hash

    def removed_meanwhile(data: bytes) -> str:
        monkeypatch.undo()
        work.remove_source("folder", keep_documents=False)
        return hash_of(data)

    monkeypatch.setattr(local_folder, "content_hash", removed_meanwhile)
    do_all(home)

    assert (readable(home), home.arrivals.waiting("folder")) == ({}, set())
    assert find_job(home.catalog, sync).state == "cancelled"


@on_sqlite
def test_a_removed_source_leaves_no_dead_letter(work: Work, home: Home, folder: Path) -> None:
    (folder / "empty.md").write_bytes(b" \n")
    add(work, folder)
    do_all(home)
    assert len(list_jobs(home.catalog, 10, ["dead"])) == 1

    work.remove_source("folder", keep_documents=False)

    assert list_jobs(home.catalog, 10, ["dead"]) == []


def test_sources_by_the_clock_are_synced_when_due_and_not_while_documents_are_on_their_way(
    work: Work, home: Home, folder: Path
) -> None:
    add(work, folder, every=timedelta(hours=1))
    run_next(home, QUEUES)

    def make_due() -> None:
        with home.catalog.write() as session:
            session.execute(update(ScheduleRow).values(due_at=now() - timedelta(seconds=5)))

    make_due()
    sweep(home)
    assert [job for job in list_jobs(home.catalog, 100, ["queued"]) if job.kind == "source-sync"] == []
    do_all(home)
    sweep(home)
    assert len([job for job in list_jobs(home.catalog, 100, ["queued"]) if job.kind == "source-sync"]) == 1
    do_all(home)
    sweep(home)
    assert [job for job in list_jobs(home.catalog, 100, ["queued"]) if job.kind == "source-sync"] == []


def test_a_newer_upload_supersedes_an_older_one_that_a_worker_already_has(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = work.upload_later("uploads", "leave.md", b"# Leave\n\nThe old rule is 20 days of leave.\n", FOR_ANA)
    job = claimed(home)
    newer: list[str] = []
    encode = HashingEncoder.encode

    def overtaken(self: HashingEncoder, texts: Any) -> Any:
        if not newer:
            newer.append(
                work.upload_later("uploads", "leave.md", b"# Leave\n\nThe new rule is 27 days of leave.\n", FOR_ANA)
            )
        return encode(self, texts)

    monkeypatch.setattr(HashingEncoder, "encode", overtaken)

    run_claimed(home, job)
    assert readable(home) == {}
    assert find_job(home.catalog, older).state == "cancelled"
    do_all(home)

    assert readable(home) == {"leave.md": 1}
    assert "27 days" in text_of(home, "leave.md")


def test_an_upload_that_comes_while_an_older_one_is_published_waits_and_both_go_well(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Superseding and publishing take the same rows; in opposite orders PostgreSQL would break one of them off."""
    work.upload_later("uploads", "leave.md", b"# Leave\n\nThe old rule is 20 days of leave.\n", FOR_ANA)
    pool = ThreadPoolExecutor(1)
    newer: list[Future[str]] = []

    def taken_off(session: Session, arrival_id: str) -> None:
        monkeypatch.undo()
        text = b"# Leave\n\nThe new rule is 27 days of leave.\n"
        newer.append(pool.submit(work.upload_later, "uploads", "leave.md", text, FOR_ANA))
        time.sleep(0.3)  # by then it waits for this transaction
        take_off(session, arrival_id)

    monkeypatch.setattr(ingesting, "take_off", taken_off)
    with pool:
        job = claimed(home)
        run_claimed(home, job)
        newer[0].result()
    assert find_job(home.catalog, job.id).state == "done"
    do_all(home)

    assert readable(home) == {"leave.md": 2}
    assert "27 days" in text_of(home, "leave.md")


def test_a_document_deleted_while_it_is_on_its_way_stays_deleted(work: Work, home: Home) -> None:
    work.upload_later("uploads", "leave.md", b"# Leave\n\nAbout leave.\n", FOR_ANA)
    do_all(home)
    work.upload_later("uploads", "leave.md", b"# Leave\n\nMore about leave.\n", FOR_ANA)

    work.administration.delete_documents(["leave.md"])
    do_all(home)

    assert readable(home) == {}


def test_a_document_deleted_while_a_worker_has_its_newer_version_stays_deleted(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.upload_later("uploads", "leave.md", b"# Leave\n\nAbout leave.\n", FOR_ANA)
    do_all(home)
    work.upload_later("uploads", "leave.md", b"# Leave\n\nMore about leave.\n", FOR_ANA)
    encode = HashingEncoder.encode

    def deleted_meanwhile(self: HashingEncoder, texts: Any) -> Any:
        monkeypatch.undo()
        work.administration.delete_documents(["leave.md"])
        return encode(self, texts)

    monkeypatch.setattr(HashingEncoder, "encode", deleted_meanwhile)
    do_all(home)

    assert readable(home) == {}


@on_sqlite
def test_the_bytes_of_what_could_not_be_read_go_with_its_document(work: Work, home: Home) -> None:
    work.upload_later("uploads", "empty.md", b"   \n", FOR_ANA)
    do_all(home)
    assert len(kept(home)) == 1

    work.administration.delete_documents(["empty.md"])

    assert kept(home) == []


@on_sqlite
def test_upkeep_forgets_the_bytes_that_a_killed_process_has_left(work: Work, home: Home) -> None:
    text = b"# Leave\n\nAbout leave.\n"
    for name in ("leave.md", "waits.md"):
        work.upload_later("uploads", name, text + name.encode(), FOR_ANA)
        if name == "leave.md":
            do_all(home)
    left, again, young = (home.blobs.keep(name) for name in (b"left", b"kept again", b"young"))
    (home.layout.blobs / left[:2] / "tmphalf").write_bytes(b"half a docu")
    for file in kept(home):
        if file.name != young:
            os.utime(file, (1, 1))
    home.blobs.keep(b"kept again")

    JOB_FUNCTIONS["upkeep"](home, ClaimedJob("", "upkeep", "upkeep", "home", None, 1, 1))

    names = {file.name for file in kept(home)}
    assert names == {again, young, *(content_hash(text + name) for name in (b"leave.md", b"waits.md"))}


def kept(home: Home) -> list[Path]:
    return list(home.layout.blobs.glob("*/*"))


@on_sqlite
def test_who_holds_the_writer_lock_tells_no_document(work: Work, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever uploads meanwhile is told what it waits for, and may not know of the document."""
    told: list[str] = []
    publish = IndexPublisher.publish

    def looked_at(self: IndexPublisher, added: Any, dropped: Any) -> None:
        told.append(home.layout.lock.read_text())
        publish(self, added, dropped)

    monkeypatch.setattr(IndexPublisher, "publish", looked_at)
    work.upload_later("uploads", "merger-canary.md", b"# Merger\n\nAbout leave.\n", FOR_ANA)
    do_all(home)

    assert any("publishing documents" in one for one in told)
    assert "canary" not in str(told)


def test_a_tightened_upload_is_tightened_at_once(work: Work, home: Home) -> None:
    work.upload_later("uploads", "leave.md", b"# Leave\n\nAbout leave.\n", FOR_ANA)
    do_all(home)

    work.upload_later("uploads", "leave.md", b"# Leave\n\nFor Ben about leave.\n", FOR_BEN)

    assert readable(home) == {}
    do_all(home)
    assert readable(home, BEN) == {"leave.md": 2}


@pytest.mark.parametrize("where", ["before staging", "after staging"])
def test_whoever_lost_the_lease_publishes_no_document(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The stale worker finds out at whichever step it comes to; what it staged is nobody's and is cleared away."""
    job_id = work.upload_later("uploads", "leave.md", b"# Leave\n\nAbout leave.\n", FOR_ANA)
    job = claimed(home)
    encode, publish = HashingEncoder.encode, IndexPublisher.publish

    def lose() -> None:
        monkeypatch.undo()
        end_lease(home)
        assert home.jobs.sweep() == [job_id]

    def losing_encode(self: HashingEncoder, texts: Any) -> Any:
        lose()
        return encode(self, texts)

    def losing_publish(self: IndexPublisher, added: Any, dropped: Any) -> None:
        lose()
        publish(self, added, dropped)

    if where == "before staging":
        monkeypatch.setattr(HashingEncoder, "encode", losing_encode)
    else:
        monkeypatch.setattr(IndexPublisher, "publish", losing_publish)
    with pytest.raises(LeaseLost):
        JOB_FUNCTIONS["ingest"](home, job)

    assert readable(home) == {}
    assert not home.searcher.search("leave", ANA, 5).hits
    end_pauses(home)
    do_all(home)
    assert readable(home) == {"leave.md": 1}
    assert len(home.searcher.search("leave", ANA, 5).hits) == 1
    home.ingestion.recover()
    assert len(home.index_reader.snapshot().rows()) == 1


def test_a_stale_worker_that_fails_leaves_the_document_as_the_present_one_made_it(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.upload_later("uploads", "leave.md", b"# Leave\n\nAbout leave.\n", FOR_ANA)
    job = claimed(home)

    def stopped_then_late(_parser: SandboxedParser, _data: bytes, _name: str) -> Any:
        monkeypatch.undo()
        end_lease(home)
        home.jobs.sweep()
        end_pauses(home)
        do_all(home)
        raise UnreadableDocument("timeout", "it took too long")

    monkeypatch.setattr(SandboxedParser, "parse", stopped_then_late)
    run_claimed(home, job)

    [record] = work.administration.documents()
    assert (record.state, record.failure_verdict, record.version) == ("ready", None, 1)
    assert find_job(home.catalog, job.id).state == "done"


def test_a_document_and_the_end_of_its_job_are_published_together(
    work: Work, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a worker that dies between the two would leave a dead letter of a document that is in."""
    job_id = work.upload_later("uploads", "leave.md", b"# Leave\n\nAbout leave.\n", FOR_ANA)
    failing_first(monkeypatch, "complete", LimitExceeded("full"))

    run_next(home, QUEUES)

    assert (find_job(home.catalog, job_id).state, readable(home)) == ("done", {"leave.md": 1})


def test_a_job_that_runs_twice_changes_nothing_the_second_time(work: Work, home: Home) -> None:
    work.upload_later("uploads", "leave.md", b"# Leave\n\nAbout leave.\n", FOR_ANA)
    job = claimed(home)
    run_claimed(home, job)
    before = home.gate.documents(ANA)

    JOB_FUNCTIONS["ingest"](home, job)

    assert home.gate.documents(ANA) == before


def test_what_cannot_be_read_is_a_dead_letter_at_once_with_its_verdict(work: Work, home: Home) -> None:
    job_id = work.upload_later("uploads", "empty.md", b"   \n", FOR_ANA)
    do_all(home)

    view = find_job(home.catalog, job_id)
    assert (view.state, view.attempts) == ("dead", 1)
    assert (view.cause or "").startswith("empty: ")
    [record] = work.administration.documents()
    assert (record.state, record.failure_verdict) == ("failed", "empty")
    assert work.retry_job(job_id).state == "queued"


def end_lease(home: Home) -> None:
    with home.catalog.write() as session:
        session.execute(update(JobRow).where(JobRow.state == "running").values(lease_until=JobRow.created_at))


def end_pauses(home: Home) -> None:
    with home.catalog.write() as session:
        session.execute(update(JobRow).values(not_before=JobRow.created_at))


ENDS: dict[str, tuple[BaseException, str, int]] = {
    "a neighbour is down": (Transient("the model is busy"), "queued", 0),
    "a full disk": (LimitExceeded("no space left"), "queued", 0),
    "no records": (AuditUnavailable("no space left"), "queued", 0),
    "a passing verdict": (UnreadableDocument("timeout", "took too long"), "queued", 1),
    "a lasting verdict": (UnreadableDocument("encrypted", "has a password"), "dead", 1),
    "a conflict": (Conflict("another version"), "queued", 1),
    "wrong usage": (WrongUsage("no such thing"), "dead", 1),
    "a bug": (ZeroDivisionError("words of a document"), "queued", 1),
}


@pytest.mark.parametrize("end", ENDS)
def test_how_a_job_ends_decides_whether_it_is_tried_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], end: str
) -> None:
    error, state, attempts = ENDS[end]

    def fail(_home: Home, _job: ClaimedJob) -> None:
        raise error

    monkeypatch.setitem(JOB_FUNCTIONS, "upkeep", fail)
    [job_id] = home.jobs.enqueue([NewJob("upkeep", "upkeep", "home")])
    assert run_next(home, QUEUES)

    view = find_job(home.catalog, job_id)
    assert (view.state, view.attempts) == (state, attempts)
    assert view.cause
    assert "words of a document" not in view.cause + capfd.readouterr().err


def failing_first(monkeypatch: pytest.MonkeyPatch, name: str, *errors: Exception) -> list[str]:
    """Let the queue's method raise each of these once before it works; returns the list that its calls fill."""
    original, left, calls = getattr(JobQueue, name), list(errors), []

    def method(self: JobQueue, *arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if left:
            raise left.pop(0)
        return original(self, *arguments, **named)

    monkeypatch.setattr(JobQueue, name, method)
    return calls


@on_sqlite
def test_neither_a_full_disk_nor_a_bug_ends_the_threads_that_do_the_jobs(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.embedded._LOOK_SECONDS", 0.01)
    failing_first(monkeypatch, "claim", LimitExceeded("full"), ZeroDivisionError(), Transient("away"))
    failing_first(monkeypatch, "sweep", LimitExceeded("full"), ZeroDivisionError())
    short = home.settings.model_copy(update={"job_threads": 1, "job_lease_s": 0.2})

    # Nothing queues upkeep but the sweep, and nothing does it but the thread.
    with Home(short) as serving, embedded_workers(serving, grace_s=30):
        wait(lambda: any(job.kind == "upkeep" for job in list_jobs(home.catalog, 10, ["done"])))


@on_sqlite
def test_a_job_whose_end_cannot_be_noted_for_a_lease_is_left_to_the_sweep(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.run._NOTED_AGAIN_SECONDS", 0.01)
    monkeypatch.setitem(home.__dict__, "jobs", replace(home.jobs, lease=timedelta(seconds=0.3)))
    asked = failing_first(monkeypatch, "complete", *[LimitExceeded("full")] * 1000)
    [job_id] = home.jobs.enqueue([NewJob("upkeep", "upkeep", "home")])

    assert run_next(home, QUEUES)

    assert len(asked) > 1
    assert find_job(home.catalog, job_id).state == "running"
    monkeypatch.undo()
    end_lease(home)
    assert home.jobs.sweep() == [job_id]
    end_pauses(home)
    do_all(home)
    assert find_job(home.catalog, job_id).state == "done"


@on_sqlite
def test_a_catalog_that_was_away_for_a_moment_costs_a_job_no_attempt(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.run._NOTED_AGAIN_SECONDS", 0.01)
    failing_first(monkeypatch, "give_back", Transient("away"), Transient("away"))
    monkeypatch.setitem(JOB_FUNCTIONS, "upkeep", lambda _home, _job: raised(Transient("the catalog is away")))
    [job_id] = home.jobs.enqueue([NewJob("upkeep", "upkeep", "home")])

    assert run_next(home, QUEUES)

    view = find_job(home.catalog, job_id)
    assert (view.state, view.attempts, view.cause) == ("queued", 0, "the catalog is away")


def raised(error: Exception) -> None:
    raise error


@on_sqlite
def test_signs_of_life_go_on_after_one_that_could_not_be_written(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(home.__dict__, "jobs", replace(home.jobs, lease=timedelta(seconds=0.3)))
    signs = failing_first(monkeypatch, "heartbeat", LimitExceeded("full"), Transient("away"))
    monkeypatch.setitem(JOB_FUNCTIONS, "upkeep", lambda _home, _job: wait(lambda: len(signs) > 2))
    [job_id] = home.jobs.enqueue([NewJob("upkeep", "upkeep", "home")])

    run_next(home, QUEUES)

    assert find_job(home.catalog, job_id).state == "done"


def test_a_long_job_keeps_its_lease_by_signs_of_life(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(home.jobs, lease=timedelta(seconds=3))
    monkeypatch.setitem(home.__dict__, "jobs", short)
    swept: list[list[str]] = []

    def long(_home: Home, _job: ClaimedJob) -> None:
        for _ in range(6):
            time.sleep(0.8)
            swept.append(short.sweep())

    monkeypatch.setitem(JOB_FUNCTIONS, "upkeep", long)
    [job_id] = home.jobs.enqueue([NewJob("upkeep", "upkeep", "home")])
    run_next(home, QUEUES)

    assert find_job(home.catalog, job_id).state == "done"
    assert not any(swept)


def test_who_is_busy_for_long_takes_jobs_from_the_lost_meanwhile(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep of its own process waits its turn behind the job."""
    monkeypatch.setitem(home.__dict__, "jobs", replace(home.jobs, lease=timedelta(seconds=0.6)))
    [lost] = home.jobs.enqueue([NewJob("upkeep", "upkeep", "lost")])
    claimed(home)
    home.jobs.enqueue([NewJob("upkeep", "upkeep", "home")])
    recovered: list[bool] = []

    def busy(_home: Home, _job: ClaimedJob) -> None:
        wait(lambda: find_job(home.catalog, lost).state == "queued")
        recovered.append(True)

    monkeypatch.setitem(JOB_FUNCTIONS, "upkeep", busy)
    run_next(home, QUEUES)

    assert recovered


def wait(what: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)
