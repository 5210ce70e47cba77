"""Writing a small labelled set, as anybody would who wants to measure their own documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Rows = Iterable[Mapping[str, Any]]


def write_rows(file: Path, rows: Rows) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_judgements(folder: Path, judgements: Iterable[tuple[str, str, int]]) -> None:
    lines = ["query_id\tdoc_id\tgrade", *(f"{query}\t{document}\t{grade}" for query, document, grade in judgements)]
    (folder / "qrels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_question_set(folder: Path, corpus: Rows, queries: Rows, judgements: Iterable[tuple[str, str, int]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "corpus.jsonl", corpus)
    write_rows(folder / "queries.jsonl", queries)
    write_judgements(folder, judgements)
    return folder
