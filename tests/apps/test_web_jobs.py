"""Jobs and standing sources over HTTP and on the command line: followed, mended, on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_home import WebHome, bearer, web_home

from apps.cli.main import invoke
from catalog.job_queue import WORKER_LOST
from governance.audit import Kind
from workers.run import run_next

QUEUES = ["ingest", "batch", "upkeep"]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebHome]:
    with web_home(tmp_path / "home") as found:
        yield found


def call(web: WebHome, method: str, path: str, **more: Any) -> Any:
    response = web.client.request(method, path, headers=bearer(web.administrator), **more)
    assert response.status_code < 300, response.text
    return response.json() if response.content else None


def upload(web: WebHome, name: str, data: bytes) -> str:
    form = {"allow": "user:ana"}
    job = call(web, "POST", "/v1/documents?wait=false", files={"file": (name, data)}, data=form)
    return str(job["job_id"])


def do_all(web: WebHome) -> None:
    while run_next(web.home, QUEUES):
        pass


def test_an_upload_that_is_not_waited_for_answers_with_the_job_to_follow(web: WebHome) -> None:
    response = web.client.post(
        "/v1/documents?wait=false",
        headers=bearer(web.administrator),
        files={"file": ("leave.md", b"# Leave\n\n27 days of leave.\n")},
        data={"allow": "user:ana"},
    )

    assert response.status_code == 202
    assert response.headers["Location"] == f"/v1/jobs/{response.json()['job_id']}"
    job = call(web, "GET", response.headers["Location"])
    assert (job["state"], job["kind"], job["progress"]) == ("queued", "ingest", None)
    do_all(web)
    assert call(web, "GET", response.headers["Location"])["state"] == "done"
    key = web.key("user:ana")
    [document] = web.client.get("/v1/documents", headers=bearer(key)).json()
    assert document["external_id"] == "leave.md"


def test_a_source_is_followed_from_its_job_to_its_failures(web: WebHome) -> None:
    (web.folder / "empty.md").write_bytes(b"  \n")
    body = {"path": str(web.folder), "name": "handbook", "allow": ["user:ana"], "every_seconds": 3600, "prune": True}
    source = call(web, "POST", "/v1/sources", json=body)

    do_all(web)

    job = call(web, "GET", f"/v1/jobs/{source['job_id']}")
    assert job["progress"].pop("per_second") > 0
    assert job["progress"] == {"total": 2, "settled": 2, "states": {"done": 1, "dead": 1}, "seconds_left": 0.0}
    [failure] = job["failures"]
    assert failure["document"] == "empty.md"
    assert failure["cause"].startswith("empty: ")
    [listed] = call(web, "GET", "/v1/sources")
    assert (listed["source"], listed["every_seconds"], listed["standing"]) == ("handbook", 3600, True)
    assert (listed["documents"], listed["failed"], listed["waiting"]) == (2, 1, 0)
    (web.folder / "empty.md").write_bytes(b"# Full\n\nNow it says something.\n")
    assert call(web, "POST", f"/v1/jobs/{failure['job_id']}/retry")["state"] == "queued"
    do_all(web)
    assert call(web, "GET", f"/v1/sources/{listed['source_id']}")["failed"] == 0
    call(web, "DELETE", f"/v1/sources/{listed['source_id']}")
    assert call(web, "GET", "/v1/sources") == []


def test_jobs_are_listed_by_state_and_queue_and_cancelled(web: WebHome) -> None:
    first, second = (upload(web, name, b"# Leave\n\nAbout leave.\n") for name in ("a.md", "b.md"))
    assert call(web, "POST", f"/v1/jobs/{first}/cancel")["state"] == "cancelled"
    do_all(web)

    assert [job["job_id"] for job in call(web, "GET", "/v1/jobs?state=done")] == [second]
    assert len(call(web, "GET", "/v1/jobs?state=done&state=cancelled")) == 2
    assert call(web, "GET", "/v1/jobs?queue=batch") == []
    refused = web.client.post(f"/v1/jobs/{second}/cancel", headers=bearer(web.administrator))
    assert refused.status_code == 409
    assert "done" in refused.json()["detail"]
    missing = web.client.get("/v1/jobs/nothing", headers=bearer(web.administrator))
    assert missing.status_code == 404


def test_a_job_is_paused_resumed_and_says_why_it_stands_as_it_does(web: WebHome) -> None:
    first, second = (upload(web, name, b"# Leave\n\nAbout leave.\n") for name in ("a.md", "b.md"))
    assert call(web, "GET", f"/v1/jobs/{second}")["why"].startswith("It waits for its turn")

    paused = call(web, "POST", f"/v1/jobs/{first}/pause")
    assert (paused["state"], paused["why"]) == ("paused", "It is paused.")
    assert paused["next_steps"] == [f"Let it run: footnote jobs resume {first}"]
    do_all(web)
    assert call(web, "GET", f"/v1/jobs/{first}")["state"] == "paused"
    assert call(web, "GET", f"/v1/jobs/{second}")["why"] == "It was done after 1 attempt."

    assert call(web, "POST", f"/v1/jobs/{first}/resume")["state"] == "queued"
    do_all(web)
    assert call(web, "GET", f"/v1/jobs/{first}")["state"] == "done"


def test_a_dead_letter_says_why_and_what_to_do_over_http_and_on_the_command_line(
    web: WebHome, capsys: pytest.CaptureFixture[str]
) -> None:
    job = upload(web, "empty.md", b" \n")
    do_all(web)

    told = call(web, "GET", f"/v1/jobs/{job}")
    assert told["why"].startswith("It was given up after 1 attempt: empty: ")
    steps = told["next_steps"]
    assert steps[1:] == [f"Try it again: footnote jobs retry {job}", f"Put it aside: footnote jobs cancel {job}"]
    assert "no text" in steps[0]
    capsys.readouterr()
    assert invoke(["--home", str(web.home.layout.folder), "jobs", "why", job]) == 0
    written = " ".join(capsys.readouterr().out.split())
    assert f"empty.md is dead: {told['why']}" in written
    assert steps[1] in written


def test_why_of_a_document_is_told_to_administrators_by_its_id_or_name(web: WebHome) -> None:
    upload(web, "folder/empty.md", b" \n")
    do_all(web)
    [document] = [view.document_id for view in web.administration.documents()]

    by_name = call(web, "GET", "/v1/documents/folder%2Fempty.md/why")
    assert "empty" in by_name["why"]
    assert any("footnote jobs retry" in step for step in by_name["next_steps"])
    assert call(web, "GET", f"/v1/documents/{document}/why")["why"] == by_name["why"]
    missing = web.client.get("/v1/documents/nothing/why", headers=bearer(web.administrator))
    assert missing.status_code == 404
    refused = web.client.get(f"/v1/documents/{document}/why", headers=bearer(web.key("user:ana")))
    assert refused.status_code == 403


def test_a_job_whose_worker_was_lost_says_when_it_is_tried_again(web: WebHome) -> None:
    job = upload(web, "a.md", b"# Leave\n\nAbout leave.\n")
    claimed = web.home.jobs.claim("host:1:1", QUEUES)
    assert claimed is not None
    assert "host:1:1 has it in hand (attempt 1)" in call(web, "GET", f"/v1/jobs/{job}")["why"]

    web.home.jobs.fail(claimed, WORKER_LOST)

    told = call(web, "GET", f"/v1/jobs/{job}")["why"]
    assert told.startswith("Attempt 1 failed: the worker was lost. It is tried again from ")


def test_prometheus_sees_jobs_by_queue_and_state_and_how_long_the_oldest_waits(web: WebHome) -> None:
    upload(web, "a.md", b"# Leave\n\nAbout leave.\n")
    run_next(web.home, QUEUES)
    upload(web, "empty.md", b" \n")

    page = web.client.get("/metrics", headers=bearer(web.administrator)).text

    assert 'footnote_jobs{queue="ingest",state="done"} 1.0' in page
    assert 'footnote_jobs{queue="ingest",state="queued"} 1.0' in page
    [waits] = [
        line for line in page.splitlines() if line.startswith('footnote_job_oldest_queued_seconds{queue="ingest"')
    ]
    assert 0 <= float(waits.rpartition(" ")[2]) < 300
    assert 'footnote_job_oldest_queued_seconds{queue="batch"} 0.0' in page


def test_the_command_line_keeps_a_source_in_step_and_follows_its_job(
    web: WebHome, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hashing")
    (web.folder / "empty.md").write_bytes(b"  \n")

    def run(*arguments: str) -> Any:
        assert invoke(["--home", str(web.home.layout.folder), *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    added = run("sources", "add", str(web.folder), "--source", "handbook", "--allow", "user:ana", "--every", "30m")
    assert added["every_seconds"] == 1800
    do_all(web)
    [source] = run("sources", "list")
    assert (source["source"], source["documents"]) == ("handbook", 2)
    shown = run("sources", "show", "handbook")
    assert {**shown, "content_lag_s": 0} == {**source, "content_lag_s": 0}
    shown = run("jobs", "show", added["job_id"])
    assert shown["progress"]["settled"] == 2
    [dead] = run("jobs", "list", "--state", "dead")
    monkeypatch.setenv("COLUMNS", "80")
    assert invoke(["--home", str(web.home.layout.folder), "jobs", "list"]) == 0
    assert dead["job_id"] in capsys.readouterr().out
    assert run("jobs", "retry", dead["job_id"])["state"] == "queued"
    assert run("jobs", "cancel", dead["job_id"])["state"] == "cancelled"
    assert run("sources", "sync", "handbook")["job_id"] != added["job_id"]
    assert run("sources", "remove", "handbook") == {"source": "handbook", "documents": 2, "kept": False}
    assert run("sources", "list") == []
    actions = {(record.content or {})["action"] for record in web.home.audit_reader.newest(kind=Kind.ADMIN, limit=100)}
    assert actions >= {"sources.add", "sources.sync", "sources.remove", "jobs.retry", "jobs.cancel", "jobs.show"}


def test_a_worker_without_redis_says_what_to_set(web: WebHome, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--home", str(web.home.layout.folder), "worker"]) == 2
    assert "FOOTNOTE_REDIS_URL" in capsys.readouterr().err
    assert invoke(["--home", str(web.home.layout.folder), "worker", "--queues", "ingest,nothing"]) == 2
    assert "no queue 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value", "scheme"),
    [("REDIS_URL", "localhost:6379", "redis://"), ("DATABASE_URL", "mysql://root:canary@db/x", "postgresql://")],
)
def test_an_address_of_another_kind_is_refused_by_the_name_of_its_setting_and_not_repeated(
    web: WebHome,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    scheme: str,
) -> None:
    monkeypatch.setenv(f"FOOTNOTE_{variable}", value)

    assert invoke(["--home", str(web.home.layout.folder), "jobs", "list"]) == 2

    said = capsys.readouterr().err
    assert f"FOOTNOTE_{variable}" in said and scheme in said and value not in said


def test_a_state_a_queue_or_an_interval_that_there_is_not_is_wrong_usage(
    web: WebHome, capsys: pytest.CaptureFixture[str]
) -> None:
    home, folder = ["--home", str(web.home.layout.folder)], str(web.folder)
    for arguments, says in (
        (["jobs", "list", "--state", "failed"], "queued, paused, running, done, dead, cancelled"),
        (["jobs", "list", "--queue", "slow"], "ingest, batch, upkeep"),
        (["sources", "add", folder, "--every", "10000w"], "once a year"),
    ):
        assert invoke([*home, *arguments]) == 2
        assert says in capsys.readouterr().err.replace("\n", " ")
    body = {"path": folder, "every_seconds": 10**15}
    assert web.client.post("/v1/sources", headers=bearer(web.administrator), json=body).status_code == 422
