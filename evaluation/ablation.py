"""Ablation: the same questions ranked with each part of the method left out or set otherwise, and by each part alone.

Every variant ranks the chunks of one home, so what differs is the method and nothing else. A document ranks as its
best chunk, as everywhere; near-duplicates are not yet folded into one hit, so figures may lie a little beside those of
`footnote eval`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from catalog.models import ChunkRow, Document
from core.settings import Settings
from evaluation.corpus import ASKER, ingested
from evaluation.metrics import has_relevant, mean, ndcg, recall
from evaluation.progress import followed
from evaluation.retrieval import DEPTH
from evaluation.sets import QuestionSet, read_question_set
from inference.language import detect
from retrieval.analysis import query_terms
from retrieval.dense import nearest
from retrieval.lexical import bm25
from retrieval.links import Follow
from retrieval.ranking import CHOSEN, Method, Ranker
from wiring.home import Home

WORDS, MEANING = "words alone", "meaning alone"

WEIGHTS = (0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
"""The dense weights among which one is chosen."""

_WEIGHT = "dense weight {}"

VARIANTS: Mapping[str, Method] = {
    "as it is": CHOSEN,
    **{_WEIGHT.format(weight): replace(CHOSEN, dense_weight=weight) for weight in WEIGHTS},
    "k1 1.2, b 0.75": replace(CHOSEN, k1=1.2, b=0.75),
    "without names first": replace(CHOSEN, names=False),
    "without corrections": replace(CHOSEN, corrections=False),
    "without the time asked about": replace(CHOSEN, time_weight=0.0),
    "without links": replace(CHOSEN, link_weight=0.0),
    "rare among all languages": replace(CHOSEN, own_language=False),
}

_CHUNKS = 4 * DEPTH

Ranked = Callable[[str, NDArray[np.float32]], Sequence[int]]
"""A question and its vector to catalog rows, best first."""


@dataclass(frozen=True)
class Ablation:
    """For each set and variant nDCG@10 and recall@10."""

    figures: Mapping[str, Mapping[str, tuple[float, float]]]

    def chosen_on(self, sets: Iterable[str]) -> float:
        """The dense weight with the best mean nDCG@10 over some sets, the smallest of equal ones."""
        some = list(sets)
        return max(WEIGHTS, key=lambda weight: self._mean(_WEIGHT.format(weight), some))

    def tuned(self) -> float:
        """Mean nDCG@10 with the weight that is best over all sets."""
        return self._mean(_WEIGHT.format(self.chosen_on(self.figures)), list(self.figures))

    def left_out(self) -> float:
        """Mean nDCG@10 with each set under the weight that is best over the others."""
        chosen = {one: self.chosen_on(other for other in self.figures if other != one) for one in self.figures}
        return sum(self.figures[one][_WEIGHT.format(weight)][0] for one, weight in chosen.items()) / len(chosen)

    def worst_against_alone(self) -> float:
        """The least, over all sets, of what the method has beyond the better of words and meaning alone."""
        return min(one["as it is"][0] - max(one[WORDS][0], one[MEANING][0]) for one in self.figures.values())

    def to_json(self) -> dict[str, object]:
        rounded = {
            name: {variant: [round(value, 4) for value in pair] for variant, pair in one.items()}
            for name, one in self.figures.items()
        }
        summary = {"worst_against_alone": round(self.worst_against_alone(), 4)}
        if len(self.figures) > 1:
            summary |= {"tuned": round(self.tuned(), 4), "left_out": round(self.left_out(), 4)}
            summary |= {"weight": self.chosen_on(self.figures)}
        return {"sets": rounded, **summary}

    def _mean(self, variant: str, sets: Sequence[str]) -> float:
        return sum(self.figures[one][variant][0] for one in sets) / len(sets)


def ablate(folders: Sequence[Path], settings: Settings) -> Ablation:
    """Each set brought into a home of its own, and ranked by every variant; raises `WrongUsage` as `evaluate` does."""
    figures = {}
    for given in map(read_question_set, folders):
        with ingested(given, settings, None) as (home, _):
            figures[given.name] = _variants(home, given)
    return Ablation(figures)


def _variants(home: Home, given: QuestionSet) -> dict[str, tuple[float, float]]:
    ranker, documents = home.searcher.ranker, _documents(home)
    asked = [one for one in given.questions if has_relevant(given.judgements.get(one.id, {}))]
    home.readable.of(ASKER)  # what links lead to is looked up in what was readable last
    follow = partial(home.searcher.links.follow, ASKER) if home.searcher.links else None
    ways: dict[str, Ranked] = {
        name: _ranked(replace(ranker, method=method), follow) for name, method in VARIANTS.items()
    }
    ways |= {WORDS: _by_words(ranker), MEANING: _by_meaning(ranker)}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for question in followed(asked, f"{given.name}: ranking in {len(ways)} ways"):
        vector = ranker.embed(question.text)
        for name, way in ways.items():
            ranking = list(dict.fromkeys(documents[row] for row in way(question.text, vector)))[:DEPTH]
            grades = given.judgements[question.id]
            found[name].append((ndcg(ranking, grades, 10), recall(ranking, grades, 10)))
    return {name: (_mean_of(pairs, 0), _mean_of(pairs, 1)) for name, pairs in found.items()}


def _mean_of(pairs: Sequence[tuple[float, float]], place: int) -> float:
    return mean(pair[place] for pair in pairs) or 0.0


def _documents(home: Home) -> dict[int, str]:
    """The external id of every chunk's document."""
    query = select(ChunkRow.id, Document.external_id).join(Document, Document.version_id == ChunkRow.version_id)
    with home.catalog.read() as session:
        return {record.id: record.external_id for record in session.execute(query)}


def _ranked(ranker: Ranker, follow: Follow | None) -> Ranked:
    def rank(query: str, vector: NDArray[np.float32]) -> Sequence[int]:
        snapshot = ranker.reader.snapshot()
        return [row for row, _ in ranker.rank(query, vector, snapshot.rows(), _CHUNKS, follow).hits]

    return rank


def _by_words(ranker: Ranker) -> Ranked:
    def rank(query: str, vector: NDArray[np.float32]) -> Sequence[int]:
        snapshot = ranker.reader.snapshot()
        selection, language = snapshot.select(snapshot.rows()), detect(query)
        slots, _ = bm25(selection, query_terms(query, language), language=language).best(_CHUNKS)
        rows: list[int] = selection.rows_of(slots).tolist()
        return rows

    return rank


def _by_meaning(ranker: Ranker) -> Ranked:
    def rank(query: str, vector: NDArray[np.float32]) -> Sequence[int]:
        snapshot = ranker.reader.snapshot()
        selection = snapshot.select(snapshot.rows())
        slots, _ = nearest(selection, vector, _CHUNKS)
        rows: list[int] = selection.rows_of(slots).tolist()
        return rows

    return rank
