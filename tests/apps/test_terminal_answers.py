"""Answers on a real terminal: each sentence as it is checked, whole where nobody looks on, and ended by Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from scripted_vllm import HEAD, Act, answers, says, scripted_vllm
from web_home import WebHome, web_home

from core.principals import parse_grantee
from governance.audit import Kind

LEAVE = b"""# Leave

Full-time employees have 27 days of annual leave. Unused days lapse on 31 March of the next year.
"""
QUESTION = "How many days of annual leave do full-time employees have?"
FIRST = "Full-time employees have 27 days of annual leave [1]."
SECOND = "Unused days lapse on 31 March of the next year [1]."
SHOWN = f"{FIRST} {SECOND.replace('[1]', '[2]')}"
WAIT_SECONDS = 60.0


@dataclass
class Terminal:
    """One `footnote` on a terminal of its own, and what it has shown so far."""

    process: subprocess.Popen[bytes]
    screen: int
    shown: str = ""

    def reads(self, text: str) -> bool:
        """Whether the terminal comes to show `text` before the command ends."""
        end = time.monotonic() + WAIT_SECONDS
        while text not in self.shown and time.monotonic() < end and self._more():
            pass
        return text in self.shown

    def ends(self) -> int:
        """The exit code, once everything is shown."""
        while self._more():
            pass
        return self.process.wait(WAIT_SECONDS)

    def _more(self) -> bool:
        try:
            data = os.read(self.screen, 4096)
        except OSError:  # Linux says so when the last writer has closed its end
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebHome]:
    with web_home(tmp_path / "home") as opened:
        opened.add("leave.md", LEAVE, "everyone")
        opened.administration.define_user(parse_grantee("user:ana"), "Ana", True)
        yield opened


@contextmanager
def terminal(web: WebHome, model_url: str, *arguments: str) -> Iterator[Terminal]:
    screen, end = pty.openpty()
    command, environment = _command(web, model_url, *arguments)
    with subprocess.Popen(command, env=environment, stdin=end, stdout=end, stderr=end) as process:
        os.close(end)
        try:
            yield Terminal(process, screen)
        finally:
            process.kill()
            os.close(screen)


def test_a_terminal_shows_the_sentences_then_their_footnotes(web: WebHome) -> None:
    with scripted_vllm(answers(FIRST, " ", SECOND)) as model, terminal(web, model.url) as shell:
        assert shell.ends() == 0

    assert shell.shown.splitlines()[:4] == [
        SHOWN,
        "",
        f"[1] Leave (leave.md): “{FIRST.replace(' [1]', '')}”",
        f"[2] Leave (leave.md): “{SECOND.replace(' [1]', '')}”",
    ]


def test_a_sentence_stands_on_the_terminal_while_the_model_writes_on_and_ctrl_c_ends_that(web: WebHome) -> None:
    with (
        scripted_vllm([HEAD, says(f"{FIRST} Unused days lapse on "), Act.STALL]) as model,
        terminal(web, model.url) as shell,
    ):
        assert shell.reads(FIRST)
        assert not model.left.is_set()
        shell.process.send_signal(signal.SIGINT)
        assert (shell.ends(), model.left.wait(WAIT_SECONDS)) == (130, True)

    assert f"{FIRST}\nInterrupted" in shell.shown and "Traceback" not in shell.shown
    (intent,) = web.home.audit_reader.newest(kind=Kind.INTENT, limit=1)
    records = web.home.audit_reader.show(intent.record.audit_id)
    assert [one.record.kind for one in records] == ["intent", "evidence", "sentence", "receipt"]
    assert records[-1].content and (records[-1].content["ending"], records[-1].content["answer"]) == ("left", FIRST)


def test_an_abstention_on_a_terminal_is_said_in_words(web: WebHome) -> None:
    with scripted_vllm(answers("NO ANSWER")) as model, terminal(web, model.url) as shell:
        assert shell.ends() == 0

    assert shell.shown.splitlines()[0] == "Nothing you may read answers this."


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["plain", "json"])
def test_into_a_pipe_goes_the_whole_answer_without_a_record_for_each_sentence(
    web: WebHome, arguments: tuple[str, ...]
) -> None:
    with scripted_vllm(answers(FIRST, " ", SECOND)) as model:
        command, environment = _command(web, model.url, *arguments)
        out = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=WAIT_SECONDS).stdout

    text = json.loads(out)["answer"] if arguments else out.decode().splitlines()[0]
    assert text == SHOWN
    assert web.home.audit_reader.newest(kind=Kind.SENTENCE, limit=1) == []


def _command(web: WebHome, model_url: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
    environment |= {
        "FOOTNOTE_HOME": str(web.home.layout.folder),
        "FOOTNOTE_EMBEDDING_MODEL": "hashing",
        "FOOTNOTE_VLLM_URLS": model_url,
        "FOOTNOTE_VLLM_MODEL": "scripted",
        "FOOTNOTE_MODEL_PATIENCE_S": str(WAIT_SECONDS),
    }
    program = str(Path(sys.executable).with_name("footnote"))
    return [program, "ask", QUESTION, "--as", "user:ana", *arguments], environment
