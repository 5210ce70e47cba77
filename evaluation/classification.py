"""How well scores tell two classes apart: the measures of detectors and of the support check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """The chance that a positive scores above a negative, a tie counting half; None when a class is empty.

    The area under the ROC curve, as the Mann-Whitney statistic (Hanley and McNeil, Radiology 143, 1982).
    """
    values, wanted = _arrays(scores, positive)
    if wanted.all() or not wanted.any():
        return None
    negatives = np.sort(values[~wanted])
    below = np.searchsorted(negatives, values[wanted], side="left")
    not_above = np.searchsorted(negatives, values[wanted], side="right")
    return float((below + not_above).mean() / 2 / len(negatives))


def recall_at_false_positive_rate(scores: Sequence[float], positive: Sequence[bool], rate: float) -> float | None:
    """The largest recall of a threshold with at most this share of the negatives at or above it; None without both."""
    values, wanted = _arrays(scores, positive)
    if wanted.all() or not wanted.any():
        return None
    thresholds = np.unique(values)[::-1]
    allowed = [cut for cut in thresholds if (values[~wanted] >= cut).mean() <= rate]
    return float((values[wanted] >= allowed[-1]).mean()) if allowed else 0.0


def false_positive_rate(flagged: Sequence[bool], positive: Sequence[bool]) -> float | None:
    """The share of the negatives that are flagged; None when there are none."""
    raised = [flag for flag, is_positive in zip(flagged, positive, strict=True) if not is_positive]
    return sum(raised) / len(raised) if raised else None


def accuracy(flagged: Sequence[bool], positive: Sequence[bool]) -> float:
    """The share of the rows, of which there is at least one, that are flagged if and only if they are positive."""
    return sum(a == b for a, b in zip(flagged, positive, strict=True)) / len(positive)


def precision_and_recall(flagged: Sequence[bool], positive: Sequence[bool]) -> tuple[float | None, float | None]:
    """Precision (None when nothing is flagged) and recall (None when nothing is positive)."""
    hits = sum(a and b for a, b in zip(flagged, positive, strict=True))
    return (hits / sum(flagged) if any(flagged) else None, hits / sum(positive) if any(positive) else None)


def f1(flagged: Sequence[bool], positive: Sequence[bool]) -> float | None:
    """The harmonic mean of precision and recall: 2·hits / (flagged + positive); None when nothing is positive."""
    hits = sum(a and b for a, b in zip(flagged, positive, strict=True))
    return 2 * hits / (sum(flagged) + sum(positive)) if any(positive) else None


def _arrays(scores: Sequence[float], positive: Sequence[bool]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
