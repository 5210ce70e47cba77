"""Traces of a real server, as a collector receives them: the whole way of a question, and nothing anybody wrote."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from otlp_collector import collector
from web_home import bearer, web_home

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
DOCUMENT = b"# Penguins\n\nThe penguin pelican-canary keeps 27 secret herrings in its office.\n"
QUESTION = "How many herrings does the pelican-canary keep?"


def test_a_trace_shows_the_way_of_a_question_and_nothing_that_anybody_wrote(tmp_path: Path) -> None:
    with web_home(tmp_path / "home") as web:
        web.add("pelican-canary.md", DOCUMENT, "everyone")
        key = web.key("user:ana")
    with collector() as sent, _server(tmp_path / "home", sent.url) as url:
        headers = {**bearer(key), "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        answer = httpx.post(f"{url}/v1/ask", json={"question": QUESTION}, headers=headers, timeout=60).json()
        assert "27" in answer["answer"]
        httpx.get(f"{url}/v1/documents/pelican-canary", headers=headers, timeout=60)
    spans = [span for span in sent.spans() if span.trace_id.hex() == TRACE]

    names = {span.name for span in spans}
    assert {"http", "ask", "search", "embed", "rank", "gate"} <= names
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_span_id not in ids]
    assert [(span.name, span.parent_span_id.hex()) for span in roots] == [("http", "00f067aa0ba902b7")] * 2
    everything = b"".join(sent.bodies)
    for secret in (b"pelican", b"herring", b"penguin", key.encode(), b"Penguins"):
        assert secret not in everything


@contextmanager
def _server(home: Path, traces_url: str) -> Iterator[str]:
    """The address of `footnote serve` as a process of its own; what it has not sent yet is sent as it ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
    environment |= {
        "FOOTNOTE_HOME": str(home),
        "FOOTNOTE_EMBEDDING_MODEL": "hashing",
        "FOOTNOTE_TRACES_URL": traces_url,
    }
    command = [Path(sys.executable).with_name("footnote"), "serve", "--port", str(_free_port())]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        lines = []
        for line in process.stderr:
            lines.append(line)
            if ready := re.search(r"ready: (http\S+)", line):
                break
        assert ready, lines
        try:
            yield ready[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
