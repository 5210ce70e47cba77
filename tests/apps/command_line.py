"""The command line in this process, on a home of one test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apps.cli.main import invoke


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code in (0, 3), self.err
        return json.loads(self.out)


Footnote = Callable[..., Ran]


def command_line(place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Footnote:
    """Runs one command line after the other in `place`, on the home there."""
    monkeypatch.setenv("FOOTNOTE_HOME", str(place / "home"))
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hashing")
    monkeypatch.chdir(place)

    def ran(*arguments: str) -> Ran:
        capfd.readouterr()
        code = invoke(list(arguments))
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return ran
