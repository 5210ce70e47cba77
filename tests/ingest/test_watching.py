"""A folder that is watched: what changes in it is brought in without being asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def footnote(home: Path, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("footnote")), "--home", str(home), *arguments]


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "FOOTNOTE_EMBEDDING_MODEL": "hashing"}


def test_a_watched_folder_is_followed_until_ctrl_c(tmp_path: Path, environment: dict[str, str]) -> None:
    home, folder = tmp_path / "home", tmp_path / "org"
    folder.mkdir()
    (folder / "access.yaml").write_text('default: {allow: ["user:ana"]}\n')
    (folder / "first.md").write_text("# First\n\nThe numbat sleeps.\n")
    subprocess.run(footnote(home, "init"), env=environment, check=True, capture_output=True)
    watching = subprocess.Popen(
        footnote(home, "ingest", str(folder), "--source", "org", "--prune", "--watch"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        said = [watching.stdout.readline() for _ in range(2)]
        assert "1 added" in said[0] and "Watching" in said[1]
        (folder / ".hidden").write_text("nothing")
        (folder / "second.md").write_text("# Second\n\nThe quoll wakes.\n")
        assert "1 added" in watching.stdout.readline()
        (folder / "access.yaml").write_text("default: {allow: user:ana}\n")  # no list: refused, and the watch goes on
        time.sleep(2.5)
        (folder / "access.yaml").write_text('default: {allow: ["user:ben"]}\n')
        assert "2 access changed" in watching.stdout.readline()
        (folder / "first.md").unlink()
        assert "1 deleted" in watching.stdout.readline()
    finally:
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=60)
    assert watching.returncode == 130
    assert "is invalid" in errors and "Interrupted" in errors


@pytest.mark.parametrize("other", [["--json"], ["--dry-run"]])
def test_watching_goes_with_nothing_that_ends(tmp_path: Path, environment: dict[str, str], other: list[str]) -> None:
    subprocess.run(footnote(tmp_path / "home", "init"), env=environment, check=True, capture_output=True)
    ran = subprocess.run(
        footnote(tmp_path / "home", "ingest", str(tmp_path), "--watch", *other), env=environment, capture_output=True
    )
    assert ran.returncode == 2
    assert b"--watch" in ran.stderr
