"""Parsers scored against references: the share of words that come out, and a refusal counted as nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import WrongUsage
from core.settings import Settings
from evaluation.peers.environments import peer_python
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
    words = {
        name: {key: value for key, value in one.items() if "word" in key or key in ("documents", "refused")}
        for name, one in figures.items()
    }
    assert words == {
        "md": {
            "documents": 2,
            "word_recall": 0.5,
            "word_precision": 0.5,
            "median_word_recall": 0.5,
            "median_word_precision": 0.5,
            "refused": {"empty": 1},
        },
        "txt": {
            "documents": 1,
            "word_recall": 0.6667,
            "word_precision": 0.5,
            "median_word_recall": 0.6667,
            "median_word_precision": 0.5,
        },
    }


def test_headings_and_rows_count_where_they_come_out_as_such(tmp_path: Path) -> None:
    truth = "# Prices\n\n## Old\n\n| Plan | Days |\n| - | - |\n| Basic | 20 |\n\n```\n# no heading\n| no | row |\n```\n"
    rows = [
        ("a.md", truth, truth),
        ("b.txt", "Prices\n\nOld\n\nPlan Days\n\nBasic 20", truth),
        ("c.csv", "Plan,Days\nBasic,20", truth),
    ]
    figures = evaluate(write_set(tmp_path, rows), OPTIONS)["parsing"]
    shares = {name: (one["headings"], one["table_rows"]) for name, one in figures.items()}
    assert shares == {"md": (1.0, 1.0), "txt": (0.0, 0.0), "csv": (0.0, 1.0)}


def test_a_reference_counts_as_its_reader_sees_it_without_what_only_markdown_needs(tmp_path: Path) -> None:
    rows = [("a.txt", "R&D snake_case see here <5", r"R&amp;D snake\_case see [here](http://x.org/y) &lt;5")]
    figures = evaluate(write_set(tmp_path, rows), OPTIONS)["parsing"]
    assert (figures["txt"]["word_recall"], figures["txt"]["word_precision"]) == (1.0, 1.0)


def test_a_peer_reads_the_same_files_in_a_python_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for markitdown's own Python, since nothing is installed while tests run."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "markitdown.py").write_text(
        "class MarkItDown:\n"
        "    def convert(self, path):\n"
        "        if path.endswith('b.md'):\n"
        "            raise ValueError(path)\n"
        "        self.text_content = '# ' + open(path).read()\n"
        "        return self\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift\nPYTHONPATH={library} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr("evaluation.peers.converters.peer_python", lambda *_: python)
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [("a.txt", "Whole", "# whole"), ("b.md", "lost", "lost")]

    peers = evaluate(write_set(folder, rows), replace(OPTIONS, peers=True))["peers"]

    assert peers["markitdown"]["txt"]["headings"] == 1.0
    assert peers["markitdown"]["md"]["refused"] == {"refused": 1}


def test_a_peers_environment_is_made_once_for_the_same_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    python = peer_python("nothing", ("pip",))  # which every environment has: no index is asked
    mark = python.parent / "mark"
    mark.touch()
    assert peer_python("nothing", ("pip",)) == python
    assert mark.exists()


def test_a_manifest_without_formats_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"id": "a", "file": "a.txt", "truth_md": "t"}\n')
    with pytest.raises(WrongUsage, match=r"manifest\.jsonl"):
        evaluate(tmp_path, OPTIONS)
