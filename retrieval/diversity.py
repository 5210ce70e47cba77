"""Diversity: no document takes all the first places while others answer about as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.answers import Passage
from retrieval.repeats import Ranked

# Passages whose scores differ by no larger a share fit about as well; see docs/decisions/context.md.
SCORES_ALIKE = 0.05


@dataclass(frozen=True)
class Diversity:
    """Of one document `per_document` passages keep their places; a further one makes way for another document's whose
    score is less by at most the share `margin`.

    Nothing is left out: who makes way comes next. The first passages of the documents keep their order, so that a
    ranking of documents by their best passage is the same with and without.
    """

    per_document: int
    margin: float

    def crowded(self, passages: Sequence[Passage]) -> bool:
        """Whether one document has so many of these passages that another may come before one of them."""
        counts = Counter(passage.document_id for passage in passages)
        return len(counts) > 0 and max(counts.values()) > self.per_document

    def spread(self, ranking: Sequence[Ranked], k: int) -> list[Ranked]:
        """The ranking with its first k places shared out; what was ranked further down follows as it was."""
        left, chosen = list(ranking), list[Ranked]()
        counts: Counter[str] = Counter()
        while left and len(chosen) < k:
            one = left.pop(self._next(left, counts))
            counts[one.passage.document_id] += 1
            chosen.append(one)
        return chosen + left

    def _next(self, left: Sequence[Ranked], counts: Counter[str]) -> int:
        """The place of the passage that comes next."""
        if counts[left[0].passage.document_id] < self.per_document:
            return 0
        enough = left[0].score * (1 - self.margin)
        for place, one in enumerate(left):
            if one.score < enough:
                break
            if counts[one.passage.document_id] < self.per_document:
                return place
        return 0
