"""Fits the constants of generation/extractive.py: `python -m evaluation.fit_extractive SETS --homes FOLDER`.

SETS holds the public labelled sets. What is ranked is what the product ranks: each set is ingested into a home of its
own and searched. Ranking is a conditional logit over a question's sentences (McFadden, 1974), where any sentence that
holds an accepted answer is right; confidence is a logistic regression that tells a set's own questions from questions
about something else. Both are reported on documents they were not fitted on.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import expit, logsumexp, softmax  # type: ignore[import-untyped]

from core.answers import Passage
from core.settings import Settings
from evaluation.corpus import ASKER, ingested
from evaluation.sets import read_question_set
from generation.extractive import MIN_CONFIDENCE, confidence, subject_features, weigh
from generation.features import FEATURES
from wiring.home import Home
from wiring.lifecycle import open_home

RANKED = ("squad2", "xquad", "covidqa_long", "clapnq", "faq_covid", "hotpotqa100")
OFF_TOPIC = (("squad2", "org_docs"), ("squad2", "faq_covid"), ("squad2", "hotpotqa100"), ("clapnq", "org_docs"))
_ASKED_OFF_TOPIC = 300
_FOLDS = 5
_RIDGE = 1e-3


@dataclass(frozen=True)
class Example:
    """One question and its candidate sentences: features `(n, len(FEATURES))`, and which of them answer it."""

    name: str
    language: str
    document: str
    answerable: bool
    features: NDArray[np.float32]
    right: NDArray[np.bool_]
    subject: Mapping[str, float]
    accepted: bool
    """Whether the answerer, as it is, would answer at all."""


def examples(name: str, questions: Sequence[Mapping[str, object]], home: Home) -> Iterator[Example]:
    """The questions of the set `name`, each searched in `home` and weighed as the product does."""
    for question in questions:
        passages = found(str(question["text"]), home)
        weighed = weigh(str(question["text"]), passages, home.encoder)
        if weighed is None:
            continue
        accepted = [fold(str(text)) for key in ("answers", "support_sentences") for text in _list(question.get(key))]
        yield Example(
            name,
            str(question.get("lang", "en")),
            str(question.get("doc_id", question["id"])),
            question.get("answerable") is not False,
            weighed.features,
            np.array([answers(fold(candidate.text), accepted) for candidate in weighed.kept], bool),
            subject_features(weighed),
            confidence(weighed) >= MIN_CONFIDENCE,
        )


def found(question: str, home: Home) -> list[Passage]:
    """What the product would retrieve for an answer."""
    return [hit.passage for hit in home.searcher.search(question, ASKER, home.settings.answer_passages).hits]


_SHORTEST_PART = 25


def answers(sentence: str, accepted: Sequence[str]) -> bool:
    """Whether a folded sentence holds an accepted answer, or is a part of a long one."""
    return any(text in sentence or (len(sentence) > _SHORTEST_PART and sentence in text) for text in accepted)


def fold(text: str) -> str:
    return " ".join(text.split()).casefold()


def fit_ranking(training: Sequence[Example]) -> NDArray[np.float64]:
    """Weights `(len(FEATURES),)` that make a right sentence likeliest among its question's sentences."""
    usable = [e for e in training if e.right.any()]
    stacked = np.concatenate([e.features for e in usable]).astype(np.float64)
    scale = stacked.std(axis=0) + 1e-6
    starts = np.cumsum([0, *(len(e.features) for e in usable)])
    scaled, right = stacked / scale, np.concatenate([e.right for e in usable])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = scaled @ weights
        total, slope = 0.0, np.zeros_like(scores)
        for a, b in pairwise(starts):
            masked = np.where(right[a:b], scores[a:b], -np.inf)
            total += float(logsumexp(scores[a:b]) - logsumexp(masked))
            slope[a:b] = softmax(scores[a:b]) - softmax(masked)
        n = len(usable)
        return total / n + _RIDGE * float(weights @ weights), scaled.T @ slope / n + 2 * _RIDGE * weights

    fitted: NDArray[np.float64] = minimize(loss, np.zeros(len(FEATURES)), jac=True, method="L-BFGS-B").x / scale
    return fitted


def fit_confidence(on: Sequence[Example], off: Sequence[Example]) -> NDArray[np.float64]:
    """Intercept and weights of the subject features; every set and every off-topic pairing counts alike."""
    rows = np.array([[1.0, *e.subject.values()] for e in (*on, *off)])
    label = np.array([1.0] * len(on) + [0.0] * len(off))
    sizes = {name: sum(e.name == name for e in (*on, *off)) for name in {e.name for e in (*on, *off)}}
    weight = np.array([1 / sizes[e.name] for e in (*on, *off)])
    weight[: len(on)] /= weight[: len(on)].sum()
    weight[len(on) :] /= weight[len(on) :].sum()

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = rows @ weights
        slope = weight * (expit(margin) - label)
        return float(weight @ (np.logaddexp(0, margin) - label * margin)) + 1e-4 * float(weights[1:] @ weights[1:]), (
            rows.T @ slope + 2e-4 * np.array([0.0, *weights[1:]])
        )

    return np.asarray(minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x)


def held_out_scores(all_examples: Sequence[Example]) -> list[NDArray[np.float64]]:
    """Each example's scores by weights that were fitted on other documents."""
    folds = [zlib.crc32(group(e).encode()) % _FOLDS for e in all_examples]
    weights = [fit_ranking([e for e, f in zip(all_examples, folds, strict=True) if f != n]) for n in range(_FOLDS)]
    return [e.features @ weights[f] for e, f in zip(all_examples, folds, strict=True)]


def group(example: Example) -> str:
    """What must not be split between folds: a Wikipedia article (of either set), or a document."""
    return example.document[2:5] if example.name in ("squad2", "xquad") else f"{example.name}{example.document}"


def first_and_three(scored: Sequence[tuple[Example, NDArray[np.float64]]]) -> tuple[float, float]:
    """How often the best sentence answers, and one of the best three, over all answerable questions."""
    right = [e.right[np.argsort(-scores, kind="stable")] for e, scores in scored if e.answerable]
    return float(np.mean([r[:1].any() for r in right])), float(np.mean([r[:3].any() for r in right]))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def report(sets: Path, homes: Path) -> dict[str, object]:
    """Held-out figures of the ranking, the fitted constants, and how often each pairing is answered."""
    everything = {name: list(_opened_examples(sets, homes, name, name)) for name in RANKED}
    english = [e for part in everything.values() for e in part if e.answerable and e.language == "en"]
    scored = list(zip(english, held_out_scores(english), strict=True))
    off = [e for pair in OFF_TOPIC for e in _opened_examples(sets, homes, *pair)]
    return {
        "held_out": {name: first_and_three([s for s in scored if s[0].name == name]) for name in RANKED},
        "weights": dict(zip(FEATURES, fit_ranking(english).round(3).tolist(), strict=True)),
        "confidence": fit_confidence(english, off).round(2).tolist(),
        "abstained": {f"{a} in {b}": _abstained(off, f"{a}@{b}") for a, b in OFF_TOPIC},
        "abstained_on_topic": {name: _abstained(english, name) for name in RANKED},
    }


def _abstained(several: Sequence[Example], name: str) -> float:
    return float(np.mean([not e.accepted for e in several if e.name == name]))


def _opened_examples(sets: Path, homes: Path, asked: str, searched: str) -> Iterator[Example]:
    """One set's questions over another's documents, which are ingested where `homes` has no home of theirs yet."""
    questions = [json.loads(line) for line in (sets / asked / "queries.jsonl").read_text().splitlines()]
    if asked != searched:
        questions, asked = questions[:_ASKED_OFF_TOPIC], f"{asked}@{searched}"
    place = homes / searched
    if not place.exists():
        with ingested(read_question_set(sets / searched), Settings(), place):
            pass
    with open_home(Settings(home=place)) as home:
        yield from examples(asked, questions, home)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, help="the folder of labelled sets")
    parser.add_argument("--homes", type=Path, required=True, help="where the sets' homes are kept, and found again")
    options = parser.parse_args()
    sys.stdout.write(json.dumps(report(options.sets, options.homes), indent=2) + "\n")


if __name__ == "__main__":
    main()
