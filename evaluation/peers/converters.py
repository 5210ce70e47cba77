"""Converters of documents to Markdown, each in an environment of its own: Microsoft's markitdown."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evaluation.parsing import Reference, Score, score
from evaluation.peers.environments import peer_python
from evaluation.structure import of_markdown
from wiring.environment import inherited

NAME = "markitdown"
REQUIREMENTS = ("markitdown[docx,pdf,pptx,xls,xlsx,outlook]==0.1.8",)
_PROGRAM = Path(__file__).with_name("markitdown_program.py")


def markitdown_scores(wanted: Sequence[Reference]) -> list[Score]:
    """A score for each reference, as markitdown reads its file; raises `Transient` where it cannot be installed."""
    texts = _converted([one.file.resolve() for one in wanted])
    return [
        score(one, "text" if text else "refused", of_markdown(text or ""))
        for one, text in zip(wanted, texts, strict=True)
    ]


def _converted(files: Sequence[Path]) -> list[str | None]:
    python = peer_python(NAME, REQUIREMENTS)
    with tempfile.TemporaryDirectory(prefix="footnote-peer-") as folder:
        result = Path(folder) / "result.jsonl"
        subprocess.run(
            [python, "-I", _PROGRAM, result],
            input="".join(f"{file}\n" for file in files),
            env=inherited({}),
            text=True,
            check=True,
            capture_output=True,
        )
        return [json.loads(line)[1] for line in result.read_text("utf-8").splitlines()]
