"""Workers that are killed, stopped or cut off mid-document: nothing is lost, doubled or stale."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import ANA, Workers, with_signal, workers
from redis_server import RedisServer
from sqlalchemy import text

from catalog.job_queue import WORKER_LOST
from core.settings import Settings
from wiring.lifecycle import init_home, open_home
from workers.doorbell import answers

LEASE_SECONDS = 1.5
NAMES = [f"document-{number}.md" for number in range(4)]


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_server: RedisServer) -> Settings:
    url = None if database_url.startswith("sqlite") else database_url
    return Settings.model_validate(
        {
            "home": tmp_path / "home",
            "database_url": url,
            "embedding_model": "hashing",
            "redis_url": redis_server.url,
            "job_lease_s": LEASE_SECONDS,
        }
    )


@pytest.fixture
def crew(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    init_home(settings)
    with open_home(settings) as home, workers(home, tmp_path / "workers") as crew:
        yield crew


on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def hold_one(crew: Workers, *options: str) -> int:
    """Start a worker and let it stop in the middle of a document; returns the process that holds the job."""
    crew.gate.touch()
    crew.start("--beat", *options)
    crew.ring(crew.add("held.md", text="a held text about leave"))
    return crew.wait_for_holder()


@on_sqlite
def test_a_worker_killed_in_the_middle_of_a_document_loses_nothing(crew: Workers) -> None:
    holder = hold_one(crew)
    ids = crew.add(*NAMES)
    crew.processes[0].kill()
    with_signal(holder, signal.SIGKILL)
    crew.open_gate()

    crew.start("--beat", "--concurrency", "2")
    crew.ring(ids)

    crew.wait_all_done(["held.md", *NAMES])
    assert {job.subject_id: job.attempts for job in crew.jobs()}[crew.jobs()[-1].subject_id] == 2
    assert crew.jobs()[-1].state == "done"


@on_postgresql
def test_a_killed_child_is_replaced_and_its_document_brought_in(crew: Workers) -> None:
    holder = hold_one(crew)
    assert holder != crew.processes[0].pid
    with_signal(holder, signal.SIGKILL)
    crew.open_gate()
    crew.ring(crew.add(*NAMES))

    crew.wait_all_done(["held.md", *NAMES])
    assert crew.processes[0].poll() is None


@on_postgresql
def test_a_database_that_is_restarted_in_the_middle_of_a_document_loses_nothing(crew: Workers) -> None:
    hold_one(crew)
    ids = crew.add(*NAMES)
    with crew.home.catalog.engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
    crew.open_gate()
    crew.ring(ids)

    crew.wait_all_done(["held.md", *NAMES])
    assert crew.processes[0].poll() is None


@on_sqlite
def test_messages_that_redis_forgot_are_rung_again(crew: Workers, redis_server: RedisServer) -> None:
    crew.ring(crew.add(*NAMES))
    with redis_server.client() as client:
        assert client.llen("footnote.ingest") == len(NAMES)
        client.flushall()

    crew.start("--beat")

    crew.wait_all_done(NAMES)


@on_sqlite
def test_a_worker_rings_for_the_jobs_that_no_message_was_sent_for(crew: Workers) -> None:
    ids = crew.add(*NAMES)
    crew.ring(ids[:1])

    crew.start()  # without --beat: nobody sweeps

    crew.wait_all_done(NAMES)


@on_sqlite
def test_whoever_rings_does_not_hang_on_a_redis_that_does(crew: Workers, redis_server: RedisServer) -> None:
    ids = crew.add(*NAMES)
    redis_server.freeze()
    began = time.monotonic()

    crew.ring(ids)  # does not raise
    assert not answers(crew.home, 0.2)

    assert time.monotonic() - began < 25


@on_postgresql
def test_jobs_queued_while_redis_is_down_are_done_when_it_is_back(crew: Workers, redis_server: RedisServer) -> None:
    crew.start("--beat")
    crew.ring(crew.add("before.md"))
    crew.wait_all_done(["before.md"])
    redis_server.stop()

    crew.ring(crew.add(*NAMES))  # does not raise
    redis_server.start()

    crew.wait_all_done(["before.md", *NAMES])


def test_a_worker_stopped_past_its_lease_publishes_nothing_when_it_goes_on(crew: Workers) -> None:
    holder = hold_one(crew)
    stopped = crew.processes[0]
    with_signal(stopped.pid, signal.SIGSTOP)
    with_signal(holder, signal.SIGSTOP)
    crew.open_gate()
    crew.start("--beat")
    crew.wait_all_done(["held.md"])
    before = crew.home.gate.documents(ANA)
    settled = crew.jobs()

    with_signal(holder, signal.SIGCONT)
    with_signal(stopped.pid, signal.SIGCONT)

    crew.wait(lambda: "taken from this worker" in crew.log)
    assert crew.home.gate.documents(ANA) == before
    assert crew.jobs() == settled
    assert settled[0].attempts == 2
    assert str(holder) not in (settled[0].worker or "").split(":")
    crew.wait_all_done(["held.md"])


@on_sqlite
def test_a_document_that_kills_its_worker_is_a_dead_letter_after_three_attempts(crew: Workers) -> None:
    crew.start("--beat")
    crew.ring(crew.add("poison.md", text="a deadly text about leave") + crew.add(*NAMES))

    crew.wait(lambda: bool(crew.jobs("dead")))

    [poison] = crew.jobs("dead")
    assert (poison.attempts, poison.cause) == (3, WORKER_LOST)
    crew.wait(lambda: len(crew.jobs("done")) == len(NAMES))
    # It may have taken others down with it, once.
    assert max(job.attempts for job in crew.jobs("done")) <= 2
    assert sorted(view.external_id for view in crew.home.gate.documents(ANA)) == NAMES


@on_postgresql
def test_a_worker_that_can_write_to_no_file_not_even_its_log_costs_no_document_an_attempt(crew: Workers) -> None:
    crew.start("--beat")
    crew.ring(crew.add("before.md"))
    crew.wait_all_done(["before.md"])
    crew.limit_files(64)

    crew.ring(crew.add(*NAMES))
    crew.wait(lambda: any("is full" in (job.cause or "") for job in crew.jobs("queued")))
    time.sleep(4 * LEASE_SECONDS)
    assert not crew.jobs("dead")

    crew.limit_files(resource.RLIM_INFINITY)

    crew.wait_all_done(["before.md", *NAMES])
    assert {job.attempts for job in crew.jobs()} == {1}


@on_sqlite
def test_a_worker_comes_after_whoever_asks_and_told_to_stop_finishes_what_it_does(crew: Workers) -> None:
    assert os.getpriority(os.PRIO_PROCESS, hold_one(crew)) >= 5
    crew.processes[0].terminate()
    crew.open_gate()

    assert crew.processes[0].wait(60) == 0

    crew.wait_all_done(["held.md"])
    assert crew.jobs()[0].attempts == 1


@on_sqlite
def test_a_message_names_a_job_and_carries_nothing_of_its_document(crew: Workers, redis_server: RedisServer) -> None:
    ids = crew.add("Merger-Canary.md", text="a canary about leave")
    crew.ring(ids)

    with redis_server.client() as client:
        keys = list(client.scan_iter("*"))
        messages = client.lrange("footnote.ingest", 0, -1)
        everything = b"".join(
            b"".join(map(bytes, client.lrange(key, 0, -1))) for key in keys if client.type(key) == b"list"
        )

    assert len(messages) == 1
    assert json.loads(messages[0])["headers"]["argsrepr"] == f"['{ids[0]}']"
    assert b"anary" not in everything
    assert b"uploads" not in everything


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_whatever_is_killed_flushed_and_stopped_every_document_comes_in_once(
    crew: Workers, redis_server: RedisServer
) -> None:
    names = [f"many-{number:02}.md" for number in range(40)]
    chance = random.Random(5)
    for options in (["--beat"], ["--beat", "--concurrency", "2"]):
        crew.start(*options)
    crew.ring(crew.add(*names))

    for _ in range(12):
        time.sleep(chance.uniform(0.5, 2.5))
        victim = chance.choice(["worker", "child", "child", "messages", "redis"])
        if victim == "messages":
            with redis_server.client() as client:
                client.flushall()
        elif victim == "redis":
            redis_server.stop()
            redis_server.start()
        elif victim == "child":
            for holder in crew.holders()[:1]:
                with_signal(holder, signal.SIGKILL)
        else:
            crew.processes.pop(0).kill()
            crew.start("--beat")
    for job in crew.jobs("dead"):
        # Whoever is killed three times with the same document in hand gives it up, and says so.
        assert job.cause == WORKER_LOST
        crew.home.jobs.retry(job.id)

    crew.wait_all_done(names, seconds=240)
