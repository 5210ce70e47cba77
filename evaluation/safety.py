"""Detectors on labelled texts: what they find, and what they flag that they should not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import WrongUsage
from evaluation.classification import auroc, f1, false_positive_rate, recall_at_false_positive_rate
from evaluation.progress import followed
from evaluation.sets import LabelledText
from governance.safety.guard import Guard
from governance.safety.injection import planted_instruction
from governance.safety.sensitive import sensitive_spans


@dataclass(frozen=True)
class Detector:
    """What gives a text its score, the labels of what it looks for and of the rest, and from where on it flags."""

    wanted: frozenset[str]
    rest: frozenset[str]
    score: Callable[[str], float]
    threshold: float = 0.5


@dataclass(frozen=True)
class Detection:
    """The scores of rows, which of them are wanted, and which are flagged."""

    scores: list[float]
    positive: list[bool]
    flagged: list[bool]


def detectors(guard: Guard) -> tuple[Detector, ...]:
    """The detectors of planted instructions, of secrets and personal data and, where there is a probe, of harm."""
    injection = Detector(frozenset({"injection"}), frozenset({"clean"}), planted_instruction)
    pii = Detector(frozenset({"pii"}), frozenset({"no_entity"}), lambda text: bool(sensitive_spans(text)))
    if (probe := guard.probe) is None:
        return injection, pii
    return (
        injection,
        pii,
        Detector(
            frozenset({"harmful", "unsafe", "jailbreak", "system_prompt_extraction", "flagged", "hate", "offensive"}),
            frozenset({"benign", "safe", "ok", "neither"}),
            lambda text: probe.score(text, guard.encoder),
            probe.threshold,
        ),
    )


def detect_all(rows: Sequence[LabelledText], name: str, guard: Guard) -> Detection:
    """Every row of the set called `name`, scored by the first detector that looks for one of its labels.

    A set without any is one of texts to be left alone. Raises `WrongUsage` when no detector knows its labels.
    """
    labels = {row.label for row in rows}
    known = detectors(guard)
    suited = [one for one in known if one.wanted & labels] or [one for one in known if one.rest & labels]
    if not suited:
        looked_for = sorted(label for one in known for label in one.wanted)
        raise WrongUsage(
            f"Footnote has no detector for {name} yet (labels: {', '.join(sorted(labels)) or 'none'}); it has one for "
            f"{', '.join(looked_for)}."
        )
    chosen = suited[0]
    scores = [float(chosen.score(row.text)) for row in followed(rows, "Detecting")]
    positive = [row.label in chosen.wanted for row in rows]
    return Detection(scores, positive, [score >= chosen.threshold for score in scores])


def safety_figures(found: Detection) -> dict[str, Any]:
    """The wanted rows against all others; None where the set lacks a class that a figure needs."""
    return {
        "auroc": auroc(found.scores, found.positive),
        "f1": f1(found.flagged, found.positive),
        "recall_at_1pct_fpr": recall_at_false_positive_rate(found.scores, found.positive, 0.01),
        "false_positive_rate": false_positive_rate(found.flagged, found.positive),
        "rows": len(found.scores),
    }
