"""The support check on labelled claims: can it tell what the evidence supports from what it does not?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.errors import WrongUsage
from evaluation.classification import accuracy, auroc
from evaluation.progress import followed
from evaluation.sets import LabelledText
from generation.grounding import MIN_SUPPORT
from generation.sentences import split_sentences
from generation.support import support
from inference.encoder import Encoder

SUPPORTED = frozenset({"supported", "grounded", "entailed", "entailment", "faithful", "consistent"})
PARTIAL = frozenset({"partially_supported"})
UNSUPPORTED = frozenset({"not_supported", "unsupported", "hallucinated", "refuted", "contradiction", "inconsistent"})


def is_grounding_set(rows: Sequence[LabelledText]) -> bool:
    return bool(rows) and rows[0].label in SUPPORTED | PARTIAL | UNSUPPORTED


def support_scores(rows: Sequence[LabelledText], encoder: Encoder) -> list[float]:
    """How well its evidence supports each row's claim, as the product judges a sentence of an answer; in [0, 1]."""
    return [_support(row, encoder) for row in followed(rows, "Checking claims")]


def grounding_figures(rows: Sequence[LabelledText], scores: Sequence[float]) -> dict[str, Any]:
    """Accuracy at the product's threshold and AUROC, supported against the rest.

    Where claims can be supported in part, also supported or partly so against the rest. `length_only` is the AUROC of
    a check that only prefers shorter claims: what a set gives away without its evidence.
    """
    labels = [row.label for row in rows]
    unknown = sorted(set(labels) - SUPPORTED - PARTIAL - UNSUPPORTED)
    if unknown:
        raise WrongUsage(f"The label {unknown[0]!r} says nothing of support; known are {_known()}.")
    figures = _figures(scores, [label in SUPPORTED for label in labels])
    if PARTIAL & set(labels):
        figures["supported_or_partial"] = _figures(scores, [label not in UNSUPPORTED for label in labels])
    lengths = [-float(len(row.text)) for row in rows]
    return {
        **figures,
        "length_only": {"auroc": auroc(lengths, [label in SUPPORTED for label in labels])},
        "threshold": MIN_SUPPORT,
        "rows": len(rows),
    }


def _support(row: LabelledText, encoder: Encoder) -> float:
    sentences = [text[one.start : one.end] for text in row.evidence for one in split_sentences(text)]
    return support(row.text, sentences, encoder)


def _figures(scores: Sequence[float], positive: Sequence[bool]) -> dict[str, Any]:
    return {
        "accuracy": accuracy([score >= MIN_SUPPORT for score in scores], positive),
        "auroc": auroc(scores, positive),
    }


def _known() -> str:
    return ", ".join(sorted(SUPPORTED | PARTIAL | UNSUPPORTED))
