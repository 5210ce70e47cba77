"""Documents with a reference conversion: how much of it comes out of our parsers, and of a peer's, and what beside."""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UnreadableDocument, WrongUsage
from evaluation.sets import MANIFEST, QUERIES
from evaluation.structure import Lines, Structure, of_markdown, of_parsed
from ingest.pipeline import Parser


@dataclass(frozen=True)
class Reference:
    """A file of the set and the Markdown that a reader is to make of it."""

    format: str
    file: Path
    truth: Path


@dataclass(frozen=True)
class Score:
    """One document: the share of the reference's words that came out, and of what came out that the reference has.

    Of headings and of rows of tables, how many the reference has and how many of those came out as such.
    """

    format: str
    verdict: str
    recall: float
    precision: float
    headings: tuple[int, int]
    rows: tuple[int, int]


def is_parsing_set(folder: Path) -> bool:
    """Whether a folder holds files with reference conversions: a manifest whose rows name a `truth_md`."""
    manifest = folder / MANIFEST
    if not manifest.is_file() or (folder / QUERIES).exists():
        return False
    return '"truth_md"' in manifest.read_text("utf-8")


def references(folder: Path) -> list[Reference]:
    """Each row of the manifest that has a reference; raises `WrongUsage` for an ill-formed manifest."""
    try:
        rows = [json.loads(line) for line in (folder / MANIFEST).read_text("utf-8").splitlines()]
        return [
            Reference(row["format"], folder / row["file"], folder / row["truth_md"])
            for row in rows
            if row.get("truth_md")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise WrongUsage(f"{folder / MANIFEST}: every line needs an id, a file and a format ({error}).") from error


def parse_all(parser: Parser, wanted: Iterable[Reference]) -> list[Score]:
    """A score for each reference, as our parsers read its file."""
    return [_parse(parser, one) for one in wanted]


def _parse(parser: Parser, reference: Reference) -> Score:
    try:
        parsed = parser.parse(reference.file.read_bytes(), reference.file.name)
    except UnreadableDocument as failure:
        return score(reference, failure.verdict, of_markdown(""))
    return score(reference, "text", of_parsed(parsed))


def score(reference: Reference, verdict: str, found: Structure) -> Score:
    """What a reader made of a file beside the reference; one that made nothing of it scores 0."""
    wanted = of_markdown(reference.truth.read_text("utf-8"))
    common = (wanted.words & found.words).total()
    return Score(
        reference.format,
        verdict,
        common / max(1, wanted.words.total()),
        common / max(1, found.words.total()),
        _found(wanted.headings, found.headings),
        _found(wanted.rows, found.rows),
    )


def _found(wanted: Lines, found: Lines) -> tuple[int, int]:
    return wanted.total(), (wanted & found).total()


def parsing_figures(scores: Sequence[Score]) -> dict[str, Any]:
    """Medians, means and shares over the documents of each format.

    A document that was refused counts 0 and is counted by its verdict.
    """
    by_format: dict[str, list[Score]] = defaultdict(list)
    for one in scores:
        by_format[one.format].append(one)
    return {name: _figures(by_format[name]) for name in sorted(by_format)}


def _figures(scores: Sequence[Score]) -> dict[str, Any]:
    refused = Counter(one.verdict for one in scores if one.verdict != "text")
    recalls, precisions = [one.recall for one in scores], [one.precision for one in scores]
    return {
        "documents": len(scores),
        "word_recall": statistics.mean(recalls),
        "word_precision": statistics.mean(precisions),
        "median_word_recall": statistics.median(recalls),
        "median_word_precision": statistics.median(precisions),
        "headings": _share([one.headings for one in scores]),
        "table_rows": _share([one.rows for one in scores]),
        **({"refused": dict(refused)} if refused else {}),
    }


def _share(counts: Sequence[tuple[int, int]]) -> float | None:
    """The share found of all that are wanted, None where the references have none."""
    wanted = sum(wanted for wanted, _ in counts)
    return sum(found for _, found in counts) / wanted if wanted else None
