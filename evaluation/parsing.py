"""Documents with a reference conversion: how many of its words come out of our parsers, and how many beside them."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UnreadableDocument, WrongUsage
from evaluation.sets import MANIFEST, QUERIES
from ingest.pipeline import Parser

_WORD = re.compile(r"\w+")
# A reference's comments, and the targets of its links, which no reader of the document sees.
_MARKS = re.compile(r"<!--.*?-->|\]\([^)]*\)", re.S)


@dataclass(frozen=True)
class WordScore:
    """One document: the share of the reference's words that came out, and of ours that the reference has."""

    format: str
    verdict: str
    recall: float
    precision: float


def is_parsing_set(folder: Path) -> bool:
    """Whether a folder holds files with reference conversions: a manifest whose rows name a `truth_md`."""
    manifest = folder / MANIFEST
    if not manifest.is_file() or (folder / QUERIES).exists():
        return False
    return '"truth_md"' in manifest.read_text("utf-8")


def parse_all(parser: Parser, folder: Path) -> list[WordScore]:
    """A score for each row of the manifest that has a reference; raises `WrongUsage` for an ill-formed manifest."""
    try:
        rows = [json.loads(line) for line in (folder / MANIFEST).read_text("utf-8").splitlines()]
        wanted = [
            (row["format"], folder / row["file"], folder / row["truth_md"]) for row in rows if row.get("truth_md")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise WrongUsage(f"{folder / MANIFEST}: every line needs an id, a file and a format ({error}).") from error
    return [_score(parser, format_name, file, truth.read_text("utf-8")) for format_name, file, truth in wanted]


def _score(parser: Parser, format_name: str, file: Path, truth: str) -> WordScore:
    try:
        text = parser.parse(file.read_bytes(), file.name).text
    except UnreadableDocument as failure:
        return WordScore(format_name, failure.verdict, 0.0, 0.0)
    wanted, found = words(_MARKS.sub(" ", truth)), words(text)
    common = (wanted & found).total()
    return WordScore(format_name, "text", common / max(1, wanted.total()), common / max(1, found.total()))


def words(text: str) -> Counter[str]:
    """How often each word occurs, case folded."""
    return Counter(_WORD.findall(text.casefold()))


def parsing_figures(scores: Sequence[WordScore]) -> dict[str, Any]:
    """Means over the documents of each format; a document that was refused counts 0 and is counted by its verdict."""
    by_format: dict[str, list[WordScore]] = defaultdict(list)
    for score in scores:
        by_format[score.format].append(score)
    return {"parsing": {name: _means(by_format[name]) for name in sorted(by_format)}}


def _means(scores: Sequence[WordScore]) -> dict[str, Any]:
    refused = Counter(score.verdict for score in scores if score.verdict != "text")
    return {
        "documents": len(scores),
        "word_recall": statistics.mean(score.recall for score in scores),
        "word_precision": statistics.mean(score.precision for score in scores),
        **({"refused": dict(refused)} if refused else {}),
    }
