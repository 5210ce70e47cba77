"""The demonstration answers its four questions as two people, and shows neither what only the other may read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_answers_four_questions_as_two_people_and_ends(tmp_path: Path) -> None:
    questions = yaml.safe_load((ROOT / "examples/questions.yaml").read_text())["demo"]
    done = subprocess.run(
        [sys.executable, "-c", "from apps.cli.main import run; run()", "--home", str(tmp_path / "home"), "demo"],
        cwd=ROOT,
        env={**os.environ, "DEMO_EXIT": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "0 failed" not in done.stdout
    parts = done.stdout.split(" asks: ")[1:]
    assert len(parts) == len(questions) == 4
    assert len({one["as"] for one in questions}) == 2
    for part, one in zip(parts, questions, strict=True):
        assert part.startswith(one["question"])
        if one.get("abstain"):
            assert one["external_id"] not in part
            assert "[1]" not in part
        else:
            assert one["expect"] in part
            assert one["external_id"] in part
