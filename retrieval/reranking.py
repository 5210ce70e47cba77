"""Reranking: the best passages once more in order, by a model that reads each together with the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.answers import Passage
from core.errors import ModelFailed
from inference.reranker import Reranker
from retrieval.repeats import Ranked


@dataclass(frozen=True)
class Reranking:
    """Only the first `passages` are read: a model needs milliseconds for each. `failed` is told of every time that it
    could not, and the order stays what it was."""

    reranker: Reranker
    passages: int
    failed: Callable[[ModelFailed], None]

    def ranked(self, query: str, ranking: Sequence[Ranked]) -> list[Ranked]:
        """The first by the model's scores, equal ones as they were; then the others, none above these."""
        first, others = list(ranking[: self.passages]), list(ranking[self.passages :])
        try:
            scores = self.reranker.scores(query, [_read(one.passage) for one in first]).tolist()
        except ModelFailed as failure:
            self.failed(failure)
            return list(ranking)
        scored = [replace(one, score=score) for one, score in zip(first, scores, strict=True)]
        return sorted(scored, key=lambda one: -one.score) + [
            replace(one, score=min([one.score, *scores])) for one in others
        ]


def _read(passage: Passage) -> str:
    """A passage under its title and headings, as it was embedded."""
    return "\n".join(part for part in (passage.title, " > ".join(passage.heading), passage.text) if part)
