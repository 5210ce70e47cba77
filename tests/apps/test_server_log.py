"""What a server's process logs of bugs, its own and its libraries': events with class and place, never a message."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from web_home import LEAVE, bearer, web_home

from core.logs import json_log, libraries_logged

ROOT = Path(__file__).resolve().parents[2]
SERVER = """
import sys
from pathlib import Path
from apps.web.server import serve
from core.settings import Settings
from generation.service import AskService
from wiring.lifecycle import open_home

def broken(self, asked, sentence):
    raise RuntimeError("confidential: " + sentence.text)

AskService._sentence = broken
with open_home(Settings(home=Path(sys.argv[1]), embedding_model="hashing")) as home:
    serve(home, "127.0.0.1", 0, lambda url: print("ready:", url, file=sys.stderr, flush=True))
"""


def test_a_bug_in_the_middle_of_a_stream_is_logged_without_its_message(tmp_path: Path) -> None:
    with web_home(tmp_path / "home") as web:
        web.add("leave.md", LEAVE, "everyone")
        key = web.key("user:ana")
    command = [sys.executable, "-c", SERVER, str(tmp_path / "home")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            ready = next(found for line in process.stderr if (found := re.match(r"ready: (\S+)", line)))
            headers = {**bearer(key), "Accept": "text/event-stream"}
            body = {"question": "How many days of annual leave do full-time employees have?"}
            heard = httpx.post(f"{ready[1]}/v1/ask", json=body, headers=headers, timeout=60).text
        finally:
            process.terminate()
        lines = process.communicate(timeout=60)[1].splitlines()

    assert "event: error" in heard and "confidential" not in heard
    assert "confidential" not in str(lines) and "27 days" not in str(lines)
    events = [json.loads(line) for line in lines]
    told = {(one["event"], one.get("error")) for one in events}
    assert {("failed", "RuntimeError"), ("library", "RuntimeError")} <= told


def test_what_a_library_warns_of_and_what_ends_a_thread_is_logged_by_class_and_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails() -> None:
        raise RuntimeError("confidential")

    with libraries_logged(json_log("info")):
        logging.getLogger("some.library").warning("The question was %s", "confidential")
        thread = threading.Thread(target=fails, name="worker-7")
        thread.start()
        thread.join(60)
    captured = capsys.readouterr().err

    warned, ended = [json.loads(line) for line in captured.splitlines()]
    assert (warned["event"], warned["logger"], warned["level"]) == ("library", "some.library", "warning")
    assert (ended["event"], ended["thread"], ended["error"]) == ("thread failed", "worker-7", "RuntimeError")
    assert ended["at"][-1].endswith("fails")
    assert "confidential" not in captured


def test_a_line_that_cannot_be_written_is_lost_and_whoever_logs_it_goes_on() -> None:
    program = """
from core.logs import json_log
for _ in range(2):
    json_log("info").error("failed", at="x" * 9000)
print("on")
"""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=full, check=False)

    assert done.stdout == b"on\n"
