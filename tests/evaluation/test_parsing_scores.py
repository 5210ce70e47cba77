"""Parsers scored against references: the share of words that come out, and a refusal counted as nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import WrongUsage
from core.settings import Settings
from evaluation.run import EvalOptions, evaluate

OPTIONS = EvalOptions(Settings(embedding_model="hashing"))


def write_set(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    """Files with their content and reference, and the manifest that names them."""
    manifest = []
    for name, content, truth in rows:
        (folder / name).write_text(content)
        (folder / f"{name}.truth").write_text(truth)
        row = {"id": name, "file": name, "format": name.rpartition(".")[2], "truth_md": f"{name}.truth"}
        manifest.append(json.dumps(row))
    (folder / "manifest.jsonl").write_text("\n".join(manifest))
    return folder


def test_words_are_scored_by_format_and_a_refusal_counts_nothing(tmp_path: Path) -> None:
    rows = [
        ("a.txt", "one two three four", "one TWO <!-- image --> [five](six)"),
        ("b.md", "# Whole", "whole"),
        ("c.md", "", "lost"),
    ]
    figures = evaluate(write_set(tmp_path, rows), OPTIONS)["parsing"]
    assert figures == {
        "md": {"documents": 2, "word_recall": 0.5, "word_precision": 0.5, "refused": {"empty": 1}},
        "txt": {"documents": 1, "word_recall": 0.6667, "word_precision": 0.5},
    }


def test_a_manifest_without_formats_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"id": "a", "file": "a.txt", "truth_md": "t"}\n')
    with pytest.raises(WrongUsage, match=r"manifest\.jsonl"):
        evaluate(tmp_path, OPTIONS)
