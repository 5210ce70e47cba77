"""Rows of batches as jobs: each result published once, behind the fence of its job, whoever dies in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from batch_desk import ANA, HOW_MUCH_LEAVE, LEAVE, WHAT_PRICE, Office
from cluster import Workers, with_signal
from redis_server import RedisServer
from scripted_chat import ScriptedChat
from sqlalchemy import update

from catalog.job_records import list_jobs
from catalog.jobs import JobRow
from core.errors import LeaseLost, Transient
from core.settings import Settings
from wiring.home import Home
from wiring.lifecycle import init_home, open_home
from workers.batch import QUEUE, answer_row
from workers.embedded import embedded_workers
from workers.run import run_next

# In a process of its own


@pytest.fixture
def office(home: Home) -> Office:
    opened = Office(home)
    opened.add("leave.md", LEAVE, "everyone")
    return opened


def job_states(home: Home, batch_id: str) -> Counter[str]:
    return Counter(job.state for job in list_jobs(home.catalog, 1000, group_id=batch_id))


def test_a_result_is_published_together_with_the_end_of_its_job(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE, WHAT_PRICE], with_jobs=True)

    assert run_next(office.home, [QUEUE])

    assert office.states(batch_id) == ["answered", "waiting"]
    assert job_states(office.home, batch_id) == {"done": 1, "queued": 1}


def test_a_worker_that_lost_its_job_publishes_nothing(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE], with_jobs=True)
    job = office.home.jobs.claim("slow", [QUEUE])
    assert job
    with office.home.catalog.write() as session:
        session.execute(update(JobRow).where(JobRow.id == job.id).values(token=job.token + 1))

    with pytest.raises(LeaseLost):
        answer_row(office.home, job)
    assert office.states(batch_id) == ["waiting"]

    answer_row(office.home, replace(job, token=job.token + 1))
    assert (office.states(batch_id), job_states(office.home, batch_id)) == (["answered"], {"done": 1})


def test_a_job_that_comes_twice_changes_nothing(office: Office) -> None:
    batch_id = office.begin([HOW_MUCH_LEAVE], with_jobs=True)
    office.run(batch_id)
    rows = office.read(batch_id)

    assert run_next(office.home, [QUEUE])

    assert (office.read(batch_id), job_states(office.home, batch_id)) == (rows, {"done": 1})
    assert office.asked(HOW_MUCH_LEAVE) == 1


def test_a_row_whose_job_is_a_dead_letter_failed_for_its_cause_and_can_be_asked_again(office: Office) -> None:
    home = office.home
    home.__dict__["jobs"] = replace(home.jobs, attempts=1)
    sound = home.batch_runner
    home.__dict__["batch_runner"] = office.runner_with(ScriptedChat([RuntimeError("zanzibarquokka")]))
    batch_id, desk = office.begin([HOW_MUCH_LEAVE, WHAT_PRICE], with_jobs=True), office.desk()
    assert run_next(home, [QUEUE])
    assert (office.states(batch_id), job_states(home, batch_id)) == (["waiting"] * 2, {"dead": 1, "queued": 1})

    assert (desk.view(batch_id).state, desk.view(batch_id).rows) == ("running", {"failed": 1, "waiting": 1})
    assert office.read(batch_id)[0]["error"] == "a bug: RuntimeError"

    home.__dict__["batch_runner"] = sound
    home.batches.reopen(ANA, batch_id)
    for _ in range(2):
        desk.schedule(batch_id)
        assert desk.view(batch_id).rows == {"waiting": 2} and job_states(home, batch_id) == {"queued": 2}
    assert [run_next(home, [QUEUE]) for _ in range(3)] == [True, True, False]
    assert desk.view(batch_id).rows == {"answered": 2}


def test_a_row_waits_for_a_neighbour_that_is_down_however_often(office: Office) -> None:
    home = office.home
    home.__dict__["batch_runner"] = office.runner_with(ScriptedChat([Transient("The model is down.")]))
    batch_id = office.begin([HOW_MUCH_LEAVE], with_jobs=True)

    for _ in range(home.settings.job_attempts + 1):
        assert run_next(home, [QUEUE])
        assert (office.desk().view(batch_id).rows, job_states(home, batch_id)) == ({"waiting": 1}, {"queued": 1})
        with home.catalog.write() as session:
            session.execute(update(JobRow).values(not_before=JobRow.created_at))

    del home.__dict__["batch_runner"]
    assert run_next(home, [QUEUE])
    assert office.states(batch_id) == ["answered"]


def test_the_threads_of_the_server_work_a_batch_off(office: Office) -> None:
    batch_id = office.begin([f"{HOW_MUCH_LEAVE} ({number})" for number in range(8)], with_jobs=True)
    desk = office.desk()

    with embedded_workers(office.home, grace_s=30):
        until = time.monotonic() + 60
        while desk.view(batch_id).state != "done":
            assert time.monotonic() < until
            time.sleep(0.05)

    assert office.states(batch_id) == ["answered"] * 8
    assert job_states(office.home, batch_id) == {"done": 8}


# On Celery, with processes that die


@dataclass
class BatchWorkers(Workers):
    """Workers that stop at the gate with a question that holds the word `held`, and the command that follows them."""

    def footnote(self, *arguments: str) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("held_batch_worker.py")
        command = [sys.executable, str(script), str(self.gate), *arguments]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, env=environment(self.home.settings), stdout=log, stderr=log)
        self.started.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        return self.footnote("worker", "--beat")

    def run(self, file: Path, out: Path) -> subprocess.Popen[bytes]:
        return self.footnote("batch", "run", str(file), "--out", str(out), "--as", "user:ana")


def environment(settings: Settings) -> dict[str, str]:
    assert settings.redis_url
    chosen: dict[str, Any] = {
        "HOME": settings.home,
        "EMBEDDING_MODEL": settings.embedding_model,
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "JOB_LEASE_S": settings.job_lease_s,
    }
    if settings.database_url is not None:
        chosen["DATABASE_URL"] = settings.database_url.get_secret_value()
    return {**os.environ, **{f"FOOTNOTE_{name}": str(value) for name, value in chosen.items()}}


@pytest.fixture
def crew(settings: Settings, tmp_path: Path, redis_server: RedisServer) -> Iterator[BatchWorkers]:
    init_home(settings)
    with open_home(settings) as home:
        Office(home).add("leave.md", LEAVE, "everyone")
    chosen = settings.model_dump() | {"redis_url": redis_server.url, "job_lease_s": 1.5}
    with open_home(Settings.model_validate(chosen)) as home:
        (tmp_path / "workers").mkdir()
        crew = BatchWorkers(home, tmp_path / "workers")
        try:
            yield crew
        finally:
            crew.end()


def asked(home: Home) -> Counter[str]:
    contents = [one.content or {} for one in home.audit_reader.newest(limit=10_000)]
    return Counter(str(one["question"]) for one in contents if one.get("action") == "ask")


def test_killed_workers_and_a_killed_command_lose_and_double_no_row(crew: BatchWorkers, tmp_path: Path) -> None:
    questions = [f"{HOW_MUCH_LEAVE} ({number})" for number in range(6)] + [f"{HOW_MUCH_LEAVE} (held)"]
    file, out = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, questions)))
    crew.gate.touch()
    worker, command = crew.worker(), crew.run(file, out)
    holder = crew.wait_for_holder()
    for pid in (command.pid, worker.pid, holder):
        with_signal(pid, signal.SIGKILL)
    crew.open_gate()

    crew.worker()
    command = crew.run(file, out)
    assert command.wait(60) == 0, crew.log

    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["question"] for row in rows] == questions
    assert len({row["audit_id"] for row in rows}) == 7 and all("27 days" in row["answer"] for row in rows)
    (view,) = crew.home.batches.listed(ANA)
    assert job_states(crew.home, view.batch_id) == {"done": 7}
    assert asked(crew.home) == Counter(questions)


@pytest.mark.deep
def test_a_row_that_kills_its_worker_is_given_up_and_the_others_are_answered(
    crew: BatchWorkers, tmp_path: Path
) -> None:
    file, out = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, ["Is this deadly?", HOW_MUCH_LEAVE])))
    crew.worker()

    command = crew.run(file, out)

    assert command.wait(180) == 3, crew.log
    deadly, sound = [json.loads(line) for line in out.read_text().splitlines()]
    assert "worker was lost" in deadly["error"] and "27 days" in sound["answer"]
