"""After installation nothing touches the network: the commands themselves, run where there is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Loaded by every Python process of the command; attempts are noted down, since a library may swallow an error.
WITNESS = """
import os, sys
def witness(event, arguments):
    if event == "socket.getaddrinfo" or (
        event in ("socket.connect", "socket.sendto") and arguments[0].family.name in ("AF_INET", "AF_INET6")
    ):
        with open(os.environ["ATTEMPTS"], "a") as file:
            print(sys.argv[1:2], event, arguments[-1 if event == "socket.sendto" else 0:], file=file)
        raise OSError("the network is closed")
sys.addaudithook(witness)
"""


def without_network() -> list[str]:
    """A prefix under which a command has no network at all, where the system lets us make one."""
    prefix = ["unshare", "--net"]
    allowed = shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    return prefix if allowed else []


def test_a_document_is_brought_in_and_asked_about_with_the_network_closed(tmp_path: Path) -> None:
    (tmp_path / "witness").mkdir()
    (tmp_path / "witness" / "sitecustomize.py").write_text(WITNESS)
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "leave.md").write_text("# Leave\n\nEverybody has thirty days of annual leave.\n")
    attempts = tmp_path / "attempts"
    attempts.touch()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{tmp_path / 'witness'}{os.pathsep}{ROOT}",
        "ATTEMPTS": str(attempts),
        "FOOTNOTE_HOME": str(tmp_path / "home"),
    }

    def footnote(*arguments: str) -> str:
        command = [*without_network(), sys.executable, "-c", "from apps.cli.main import run; run()", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return done.stdout

    footnote("init")
    footnote("ingest", "org", "--allow", "everyone", "--json")
    answer = json.loads(
        footnote("ask", "How many days of annual leave does everybody have?", "--as", "user:ana", "--json")
    )

    assert "thirty days" in answer["answer"]
    assert attempts.read_text() == ""
