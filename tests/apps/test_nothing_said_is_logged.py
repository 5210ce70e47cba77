"""What people write is in no log, trace, metric, message or job: one long run of real processes, and all it put out."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from footnote_processes import WAIT_SECONDS, Processes, free_port
from live_home import until
from otlp_collector import collector
from redis_server import RedisServer
from scripted_vllm import HEAD, Act, answers, refuses, says, scripted_vllm
from sqlalchemy import select
from web_home import bearer

from apps.administration import Administration
from catalog.job_records import list_jobs
from catalog.jobs import JobRow
from core.principals import EVERYONE, parse_principal
from core.settings import Settings
from governance.access.rules import AccessLists, Decision
from governance.identity import ADMINISTRATOR
from ingest.arrivals import Expected
from ingest.ledger import Ledger
from wiring.home import Home
from wiring.lifecycle import open_home
from workers.doorbell import ring

FACT = "The quokkapassage keeps 27 herrings in its office."
FILES = {
    "wombatname.md": f"# Numbattitle\n\n{FACT} It counts them twice a day.\n".encode(),
    "broken.pdf": b"%PDF-1.7\nbandicootpdf bandicootpdf\n",
    "broken.docx": b"PK\x03\x04 potoroodocx",
}
QUESTION = "How many herrings does the quokkapassage keep, asks bilbyquestion?"
# In what any of these are, whoever could read it would have been told something.
CANARIES = (
    "quokkapassage",
    "numbattitle",
    "herrings",
    "bilbyquestion",
    "dingofollowup",
    "kowaricomment",
    "potoroodocx",
    "bandicootpdf",
    "dunnartpath",
    "quollheader",
    "echidnajob",
    "fnk_wrongcanary",
)
# A person at a terminal is told which of their files failed; no server is told so.
NAMES = ("wombatname", "wallabyjob")


@dataclass
class Run:
    """One organization and all its processes."""

    home: Home
    processes: Processes
    key: str
    put_out: dict[str, str] = field(default_factory=dict)
    """Everything but results, by who put it out."""

    def terminal(self, name: str, *arguments: str, exit_code: int = 0) -> str:
        """Run a command; what it notes is kept, what it answers returned."""
        ran = self.processes.run(*arguments, exit_code=exit_code)
        self.put_out[name] = ran.stderr
        return ran.stdout


@pytest.fixture
def run(tmp_path: Path, redis_server: RedisServer) -> Iterator[Run]:
    settings = {"home": str(tmp_path / "home"), "embedding_model": "hashing", "redis_url": redis_server.url}
    processes = Processes(tmp_path, settings)
    processes.run("init")
    with open_home(Settings.model_validate(settings)) as home:
        _, key = Administration(home, ADMINISTRATOR, "test").create_key(
            "ana", parse_principal("user:ana"), ["ask", "search", "read"], None
        )
        yield Run(home, processes, key)


@pytest.mark.timeout(600)
def test_no_planted_word_is_anywhere_but_in_answers_and_on_record(
    run: Run, tmp_path: Path, redis_server: RedisServer
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    sound, echoing = answers(f"{FACT} [1]."), refuses(400, f'{{"message": "cannot read {QUESTION}"}}'.encode())
    dying = (HEAD, says(f"{FACT} [1]. It counts the"), Act.DROP)
    with collector() as traces, scripted_vllm(sound, sound, echoing, dying, sound) as model:
        told = {"log_level": "debug", "traces_url": traces.url, "vllm_urls": model.url, "vllm_model": "scripted"}
        run = Run(run.home, Processes(tmp_path, {**run.processes.settings, **told}), run.key)
        run.terminal("ingest", "ingest", str(folder), "--allow", "everyone", exit_code=3)
        assert "27" in run.terminal("ask", "ask", QUESTION, "--as", "user:ana")
        run.terminal("search", "search", QUESTION, "--as", "user:ana")
        with _served(run) as url:
            _ask_in_every_way(run, url)
            _send_what_is_refused(run, url)
        _work(run, redis_server)
    run.put_out["traces"] = b"".join(traces.bodies).decode("latin-1")

    assert {"serve", "worker", "traces", "metrics", "messages", "jobs"} <= set(run.put_out)
    assert {span.name for span in traces.spans()} >= {"http", "ask", "search", "model"}
    assert _leaks(run, [*CANARIES, run.key], run.put_out) == []
    assert _leaks(run, NAMES, set(run.put_out) - {"ingest"}) == []
    assert _not_json(run.put_out["serve"]) == []


def _leaks(run: Run, words: Iterable[str], sources: Iterable[str]) -> list[tuple[str, str]]:
    """Who put out which of these words."""
    return [(one, word) for one in sources for word in words if word.lower() in run.put_out[one].lower()]


@contextmanager
def _served(run: Run) -> Iterator[str]:
    port = str(free_port())
    administration = Administration(run.home, ADMINISTRATOR, "test")
    _, key = administration.create_key("prometheus", parse_principal("user:prometheus"), ["metrics"], None)
    with run.processes.running("serve", "--port", port, ready=r"ready: (http\S+)") as (ready, log):
        yield ready[1]
        run.put_out["metrics"] = httpx.get(f"{ready[1]}/metrics", headers=bearer(key)).text
    assert "footnote_answers_total" in run.put_out["metrics"]
    run.put_out["serve"] = log.read_text()
    assert run.put_out["serve"].count('"event": "request"') > 10


def _ask_in_every_way(run: Run, url: str) -> None:
    with httpx.Client(base_url=url, headers=bearer(run.key), timeout=WAIT_SECONDS) as client:
        conversation_id = client.post("/v1/conversations").json()["conversation_id"]

        def asked(question: str, accept: str = "application/json") -> httpx.Response:
            body = {"question": question, "conversation_id": conversation_id}
            return client.post("/v1/ask", json=body, headers={"Accept": accept})

        first = asked(QUESTION).json()
        degraded = asked("And what of its dingofollowup?").json()
        assert degraded["degraded"]["mode"] == "vllm"
        died = asked(QUESTION, "text/event-stream").text
        assert "event: done" in died and "quokkapassage" in died
        assert len(client.get(f"/v1/conversations/{conversation_id}").json()["turns"]) == 3
        verdict = {"audit_id": first["audit_id"], "verdict": "not_helpful", "comment": "kowaricomment"}
        assert client.post("/v1/feedback", json=verdict).status_code == 204
        assert client.post("/v1/search", json={"query": QUESTION}).json()["hits"]
        chat = {"model": "footnote", "messages": [{"role": "user", "content": QUESTION}]}
        assert client.post("/v1/chat/completions", json=chat).status_code == 200
        with client.stream("POST", "/v1/ask", json={"question": QUESTION}, headers={"Accept": "text/event-stream"}):
            pass  # hangs up after the head


def _send_what_is_refused(run: Run, url: str) -> None:
    bodies: list[Any] = [
        {"question": {"bilbyquestion": 1}},
        {"question": QUESTION, "bilbyquestion": 1},
        {"question": QUESTION * 1000},
        {"question": QUESTION, "conversation_id": "bilbyquestion"},
    ]
    with httpx.Client(base_url=url, headers=bearer(run.key), timeout=WAIT_SECONDS) as client:
        for body in bodies:
            assert client.post("/v1/ask", json=body).status_code in (404, 413, 422)
        assert client.post("/v1/ask", content=b'{"question": "bilbyquestion').status_code == 422
        assert client.get("/dunnartpath?dunnartpath=1").status_code == 404
        assert client.get("/v1/documents/dunnartpath/text").status_code == 404
        assert client.get("/v1/me", headers={"User-Agent": "quollheader", "X-Request-Id": "quollheader"}).status_code
        assert client.get("/v1/me", headers=bearer("fnk_wrongcanary_bilbyquestion")).status_code == 401
        deputy = {"Footnote-On-Behalf-Of": "user:quollheader"}
        assert client.get("/v1/me", headers=deputy).status_code == 403
        upload = {"file": ("wombatname.pdf", FILES["broken.pdf"])}
        assert client.post("/v1/documents", files=upload).status_code == 403


def _work(run: Run, redis_server: RedisServer) -> None:
    """Let a worker bring a sound, a broken and a poisonous document in; keep the messages that wake it, and its log."""
    documents = {
        "wallabyjob.md": b"# Echidnajob\n\nThe echidnajob is done.\n",
        "wallabyjob.pdf": FILES["broken.pdf"],
        "wallabyjob.docx": _document_that_is_no_document(),
    }
    decision = Decision(AccessLists(frozenset({EVERYONE})), "test")
    ledger = Ledger(run.home.catalog, "uploads", "upload:uploads")
    ledger.register([], None)
    expected = [
        Expected(name, f"upload:{name}", decision, run.home.blobs.keep(data)) for name, data in documents.items()
    ]
    with run.home.catalog.write() as session:
        jobs = run.home.arrivals.expect(session, "uploads", expected, None)
    ring(run.home, jobs)
    run.put_out["messages"] = _messages(redis_server)
    assert all(job in run.put_out["messages"] for job in jobs)
    with run.processes.running("worker", "--beat", ready="works for the queues") as (_, log):
        assert until(lambda: not list_jobs(run.home.catalog, 10, ("queued", "running"))), log.read_text()
    run.put_out["worker"] = log.read_text()
    assert run.put_out["worker"].count('"event": "job"') >= 3
    with run.home.catalog.read() as session:
        rows = session.execute(select(JobRow.__table__)).all()
    assert {"done", "dead"} <= {row.state for row in rows}
    run.put_out["jobs"] = repr(rows)


def _messages(redis_server: RedisServer) -> str:
    """All that lies in Redis: the messages, and their bodies as they are before the broker's encoding."""
    with redis_server.client() as client:
        messages: list[Any] = [
            one for name in client.scan_iter() if client.type(name) == b"list" for one in client.lrange(name, 0, -1)
        ]
    bodies = [base64.b64decode(json.loads(message)["body"]) for message in messages]
    return "\n".join(text.decode("latin-1") for text in (*messages, *bodies))


def _document_that_is_no_document() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("[Content_Types].xml", "<potoroodocx")
        archive.writestr("word/document.xml", "<potoroodocx>")
    return packed.getvalue()


def _not_json(log: str) -> list[str]:
    """The lines of a log that are no events; the words to whoever started the process left out."""
    strange = []
    for line in log.splitlines():
        try:
            json.loads(line)
        except ValueError:
            strange.append(line)
    return [line for line in strange if not line.startswith("Footnote is ready")]
