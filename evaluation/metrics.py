"""How good a ranking is: the textbook measures, each over one query's ranking and judgements.

A document is relevant when its grade is positive. Every measure lies in [0, 1], and asks for at least one relevant
document: queries without one are left out of every mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

Grades = Mapping[str, float]


def ndcg(ranking: Sequence[str], grades: Grades, k: int) -> float:
    """Normalized discounted cumulative gain of the first `k`, the gain being the grade itself.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002, with the
    discount 1 / log2(rank + 1) that has become usual.
    """
    best = sorted(_relevant(grades).values(), reverse=True)
    return _dcg([max(grades.get(document, 0), 0) for document in ranking[:k]]) / _dcg(best[:k])


def recall(ranking: Sequence[str], grades: Grades, k: int) -> float:
    """The share of the relevant documents that stand among the first `k`."""
    relevant = _relevant(grades)
    return len(relevant.keys() & set(ranking[:k])) / len(relevant)


def reciprocal_rank(ranking: Sequence[str], grades: Grades, k: int) -> float:
    """1 / rank of the first relevant document, or 0 when none is among the first `k` (Voorhees, TREC-8, 1999)."""
    relevant = _relevant(grades)
    ranks = (rank for rank, document in enumerate(ranking[:k], start=1) if document in relevant)
    first = next(ranks, None)
    return 1 / first if first else 0.0


def success(ranking: Sequence[str], grades: Grades, k: int) -> float:
    """1 where a relevant document stands among the first `k`, otherwise 0."""
    return float(reciprocal_rank(ranking, grades, k) > 0)


def has_relevant(grades: Grades) -> bool:
    return bool(_relevant(grades))


def mean(values: Iterable[float]) -> float | None:
    """The arithmetic mean; None of nothing."""
    found = list(values)
    return math.fsum(found) / len(found) if found else None


def _relevant(grades: Grades) -> Grades:
    return {document: grade for document, grade in grades.items() if grade > 0}


def _dcg(gains: Iterable[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
