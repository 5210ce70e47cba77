"""The whole topology as processes of its own, used over HTTP: two API processes, two workers, beat, real servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from vllm_server import VllmServer

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 280.0
SETTLE_SECONDS = 60.0
ROWS = 24
PRICE = "What is the agreed purchase price?"
MERGER = b"# Merger\n\nThe agreed purchase price is 18 million euros. Nobody else may know.\n"


@dataclass
class Cluster:
    """A cluster that runs: its two addresses, the administrator's key, and what was said while it started."""

    folder: Path
    urls: tuple[str, str]
    admin: str
    said: str

    def call(self, process: int, method: str, path: str, key: str | None = None, **content: Any) -> httpx.Response:
        """Ask one of the two API processes something, as the administrator unless a key is given."""
        headers = {"Authorization": f"Bearer {key or self.admin}", **content.pop("headers", {})}
        return httpx.request(method, self.urls[process] + path, headers=headers, timeout=60, **content)

    def key(self, principal: str) -> str:
        body = {"name": principal, "principal": principal, "scopes": ["ask", "search", "read"]}
        return str(self.call(0, "POST", "/v1/keys", json=body).raise_for_status().json()["key"])

    def upload(self, name: str, data: bytes, allow: str) -> str:
        """Bring a document in over the first process; its id."""
        files, form = {"file": (name, data)}, {"allow": allow, "source": "handbook"}
        return str(
            self.call(0, "POST", "/v1/documents", files=files, data=form).raise_for_status().json()["document_id"]
        )

    def pid(self, name: str) -> int:
        line = next(line for line in self.said.splitlines() if line.split()[:2] == [name, "process"])
        return int(line.split()[2].rstrip(","))


@pytest.fixture(scope="module")
def cluster(vllm_server: VllmServer) -> Iterator[Cluster]:
    # Not below pytest's own folder: another run closes that to the user PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="footnote-cluster-", ignore_cleanup_errors=True) as name:
        yield from _started(Path(name), vllm_server)


def _started(folder: Path, vllm_server: VllmServer) -> Iterator[Cluster]:
    port = _free_ports()
    log = folder / "said"
    command = [sys.executable, str(ROOT / "infra" / "cluster.py"), "--folder", str(folder), "--port", str(port)]
    command += ["--no-demo", "--embedding-model", "hashing", "--vllm-url", vllm_server.url]
    # Short leases: what a killed worker had is taken up within seconds.
    command += ["--vllm-key", vllm_server.key, "--lease", "3"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        _until(lambda: "The cluster is ready" in log.read_text() or process.poll() is not None, START_SECONDS)
        said = log.read_text()
        assert "The cluster is ready" in said, said
        urls = (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}")
        yield Cluster(folder, urls, (folder / "admin.key").read_text().strip(), said)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()


def test_a_document_that_one_process_takes_in_is_answered_from_by_the_other_for_whom_may_read_it(
    cluster: Cluster,
) -> None:
    cluster.upload("merger.md", MERGER, "user:ana")
    ana, ben = cluster.key("user:ana"), cluster.key("user:ben")

    for key, names in ((ana, ["merger.md"]), (ben, [])):
        found = cluster.call(1, "POST", "/v1/search", key, json={"query": PRICE}).json()["hits"]
        assert [hit["external_id"] for hit in found] == names
    # The tiny model's sentences have no support, so what it writes is never shown; that it was asked is on record.
    answer = cluster.call(1, "POST", "/v1/ask", ana, json={"question": PRICE}).json()
    assert answer["mode"] == "vllm" or answer["degraded"]["mode"] == "vllm"
    assert answer["audit_id"]


def test_an_answer_is_streamed_while_the_model_is_stopped_and_ends_with_its_access(
    cluster: Cluster, vllm_server: VllmServer
) -> None:
    cluster.upload("merger.md", MERGER, "group:board")
    zoe = cluster.key("user:zoe")
    for members, quoted in ((["user:zoe"], True), ([], False)):
        cluster.call(0, "PUT", "/v1/groups/board", json={"members": members}).raise_for_status()
        vllm_server.stop()
        try:
            events = _events(cluster.call(1, "POST", "/v1/ask", zoe, json={"question": PRICE}, headers=STREAM))
        finally:
            vllm_server.go_on()
        names = [name for name, _ in events]
        answer = events[-1][1]
        assert names[0] == "passages" and names[-1] == "done"
        assert ("sentence" in names, "18 million" in json.dumps(events)) == (quoted, quoted)
        assert answer["abstained"] is not quoted


STREAM: Mapping[str, str] = {"Accept": "text/event-stream"}


def _events(response: httpx.Response) -> list[tuple[str, Any]]:
    blocks = [block for block in response.text.split("\n\n") if block.startswith("event:")]
    parts = [block.split("\n", 1) for block in blocks]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


def test_a_batch_goes_on_when_a_worker_is_killed_and_answers_every_row_once(cluster: Cluster) -> None:
    cluster.upload("merger.md", MERGER, "user:ana")
    ana = cluster.key("user:ana")
    file = {"file": ("questions.jsonl", "".join(f'{{"question": "{PRICE}", "row": {n}}}\n' for n in range(ROWS)))}
    batch = cluster.call(0, "POST", "/v1/batches", ana, files=file).raise_for_status().json()["batch_id"]

    def waiting() -> int:
        return int(cluster.call(1, "GET", f"/v1/batches/{batch}", ana).json()["rows"]["waiting"])

    _until(lambda: waiting() < ROWS)
    os.killpg(cluster.pid("worker-1"), signal.SIGKILL)
    assert waiting() > 0, "the batch was over before the worker was killed"
    _until(lambda: waiting() == 0)
    results = cluster.call(1, "GET", f"/v1/batches/{batch}/results?format=jsonl", ana).text
    assert [json.loads(line)["row"] for line in results.splitlines()] == list(range(ROWS))
    assert cluster.call(0, "POST", "/v1/search", ana, json={"query": PRICE}).status_code == 200


def test_both_processes_say_that_they_are_ready_and_what_of(cluster: Cluster) -> None:
    for process in (0, 1):
        ready = cluster.call(process, "GET", "/readyz")
        assert ready.status_code == 200, ready.text


def test_the_audit_log_of_all_processes_verifies_offline(cluster: Cluster) -> None:
    cluster.call(0, "POST", "/v1/search", cluster.key("user:eva"), json={"query": PRICE}).raise_for_status()
    environment = {**os.environ, **_settings(cluster)}
    footnote = Path(sys.executable).with_name("footnote")
    verified = subprocess.run(
        [footnote, "audit", "verify"], env=environment, capture_output=True, text=True, check=False
    )

    assert verified.returncode == 0, verified.stdout + verified.stderr


def _settings(cluster: Cluster) -> dict[str, str]:
    """The settings that the cluster's own processes were given."""
    given = Path(f"/proc/{cluster.pid('api-1')}/environ").read_bytes().split(b"\0")
    pairs = (entry.decode().partition("=") for entry in given)
    return {name: value for name, _, value in pairs if name.startswith("FOOTNOTE_")}


def _free_ports() -> int:
    """A port that is free together with the others that a cluster takes after it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = int(listener.getsockname()[1])
        with suppress(OSError, OverflowError):
            for other in (port, port + 1, port + 20):
                socket.create_server(("127.0.0.1", other)).close()
            return port


def _until(holds: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)
