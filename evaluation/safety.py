"""Detectors on labelled texts: what they find, and what they flag that they should not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.errors import WrongUsage
from evaluation.classification import auroc, f1, false_positive_rate, recall_at_false_positive_rate
from evaluation.progress import followed
from evaluation.sets import LabelledText
from governance.safety.injection import planted_instruction

Detector = Callable[[str], bool]

DETECTORS: Mapping[str, Detector] = {"injection": planted_instruction}
"""The detector that looks for each label."""


def detect_all(rows: Sequence[LabelledText], name: str) -> tuple[str, list[float]]:
    """The label that is looked for in the set called `name`, and each row's score: 1 where it is found, else 0.

    Raises `WrongUsage` when no detector looks for any of the set's labels.
    """
    labels = {row.label for row in rows}
    found = next((label for label in DETECTORS if label in labels), None)
    if found is None:
        raise WrongUsage(
            f"Footnote has no detector for {name} yet (labels: {', '.join(sorted(labels)) or 'none'}); it has one for "
            f"{', '.join(DETECTORS)}."
        )
    return found, [float(DETECTORS[found](row.text)) for row in followed(rows, "Detecting")]


def safety_figures(rows: Sequence[LabelledText], scores: Sequence[float], wanted: str) -> dict[str, Any]:
    """The label `wanted` against all others; None where the set lacks a class that a figure needs."""
    positive = [row.label == wanted for row in rows]
    flagged = [score >= 0.5 for score in scores]
    return {
        "auroc": auroc(scores, positive),
        "f1": f1(flagged, positive),
        "recall_at_1pct_fpr": recall_at_false_positive_rate(scores, positive, 0.01),
        "false_positive_rate": false_positive_rate(flagged, positive),
        "rows": len(rows),
    }
