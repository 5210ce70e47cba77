"""The built-in answerer: the sentences of the passages that answer best, quoted. No model writes anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.answers import Mode, Passage
from generation.answerer import Abstention, Draft, DraftSentence, Writing
from generation.features import FEATURES, NO_COSINE, Candidate, Overlap, candidates_of, featurize
from generation.sentences import plain
from generation.window import within_window
from inference.encoder import Encoder
from inference.language import detect

MAX_SENTENCES = 3

# Only so many sentences are embedded: those that share most with the question.
_EMBEDDED = 16

# A question longer than this is cut: a pasted document shall not cost seconds.
_QUESTION_CHARACTERS = 1_000

# The logarithms of the odds that a sentence answers: for languages the encoder understands, and for those where only
# words can be compared. Fitted as evaluation/fit_extractive.py does, on English sets and chunks cut a little otherwise
# than today's; `row` is set by hand, since tables are rare in those sets.
WEIGHTS = {
    "coverage": 1.363,
    "coverage_near": 2.467,
    "coverage_passage": 1.233,
    "coverage_elsewhere": -0.963,
    "bm25": 0.906,
    "pairs": 0.916,
    "cosine": 3.939,
    "cosine_passage": 5.872,
    "cosine_before": 1.043,
    "type_shown": 0.716,
    "type_missing": -1.181,
    "reciprocal_rank": 0.928,
    "novelty": 0.433,
    "opens_passage": 0.301,
    "asks": -1.564,
    "heading": -3.209,
    "row": 0.0,
    "refers_back": 0.661,
}
LEXICAL_WEIGHTS = {
    "coverage": 0.968,
    "coverage_near": 2.356,
    "coverage_passage": 0.294,
    "coverage_elsewhere": 0.285,
    "bm25": 1.483,
    "pairs": 1.508,
    "cosine": 0.0,
    "cosine_passage": 0.0,
    "cosine_before": 0.0,
    "type_shown": 0.707,
    "type_missing": -1.167,
    "reciprocal_rank": 2.139,
    "novelty": 0.237,
    "opens_passage": 0.155,
    "asks": -1.308,
    "heading": -3.42,
    "row": 0.0,
    "refers_back": 0.579,
}

# Whether the passages are on the question's subject at all: the first fitted likewise, the second set by hand.
CONFIDENCE = {"intercept": -11.08, "cosine": 6.50, "cosine_passage": 9.07, "near": 3.28, "passage": 4.83}
LEXICAL_CONFIDENCE = {"intercept": -2.0, "cosine": 0.0, "cosine_passage": 0.0, "near": 2.0, "passage": 5.0}

# Of questions about something else 93 in 100 stay below this, see docs/decisions/extractive-answers.md.
MIN_CONFIDENCE = 0.68

# A further sentence is quoted only when it scores at most this much less than the best.
_MARGIN = 4.0


@dataclass(frozen=True)
class ExtractiveAnswerer:
    """Quotes at most three sentences, the one that answers best first; abstains when none comes near enough."""

    encoder: Encoder

    @property
    def mode(self) -> Mode:
        return "extractive"

    @property
    def model(self) -> str:
        return "extractive-1"

    def draft(self, question: str, passages: Sequence[Passage], writing: Writing) -> Iterator[Draft]:
        weighed = weigh(question, passages, self.encoder)
        if weighed is None:
            yield Abstention("no_evidence")
        elif confidence(weighed) < MIN_CONFIDENCE:
            yield Abstention("low_support")
        else:
            for candidate in chosen(weighed):
                yield DraftSentence(f"{plain(candidate.text)} [{candidate.rank}]", quoted=True)


@dataclass(frozen=True)
class Weighed:
    """The sentences that may answer, each with its features `(n, len(FEATURES))` and its score."""

    overlap: Overlap
    kept: Sequence[Candidate]
    features: NDArray[np.float32]
    scores: NDArray[np.float32]
    understood: bool
    """Whether the encoder knows the question's language; if not, no cosine counts."""

    @property
    def best(self) -> int:
        return int(np.argmax(self.scores))


def weigh(question: str, passages: Sequence[Passage], encoder: Encoder) -> Weighed | None:
    """Score the sentences of `passages` as answers to `question`; None when there is nothing to quote."""
    question = question[:_QUESTION_CHARACTERS]
    overlap = Overlap(question, candidates_of(passages))
    kept = shortlist(overlap)
    if not kept:
        return None
    understood = not encoder.languages or detect(question) in encoder.languages
    cosines = np.full(len(kept), NO_COSINE, np.float32)
    if understood:
        cosines = encoder.encode(within_window([c.text for c in kept], encoder)) @ encoder.encode_query(question)
    features = featurize(question, overlap, kept, cosines)
    weights = WEIGHTS if understood else LEXICAL_WEIGHTS
    scores = features @ np.array([weights[name] for name in FEATURES], np.float32)
    return Weighed(overlap, kept, features, scores, understood)


def shortlist(overlap: Overlap) -> list[Candidate]:
    """The candidates that share most with the question, in their order; what has no terms answers nothing."""

    def promise(candidate: Candidate) -> float:
        own = overlap.coverage(candidate, frozenset(candidate.terms))
        return 2 * own + 0.5 * overlap.coverage(candidate, overlap.near(candidate)) + 1 / candidate.rank

    quotable = [c for c in overlap.candidates if c.terms]
    best = set(sorted(range(len(quotable)), key=lambda i: -promise(quotable[i]))[:_EMBEDDED])
    return [candidate for i, candidate in enumerate(quotable) if i in best]


def confidence(weighed: Weighed) -> float:
    """How likely it is that the best sentence is on the question's subject, from 0 to 1."""
    log_odds = 0.0
    weights = CONFIDENCE if weighed.understood else LEXICAL_CONFIDENCE
    for name, value in {"intercept": 1.0, **subject_features(weighed)}.items():
        log_odds += weights[name] * value
    return 1 / (1 + math.exp(-log_odds))


def subject_features(weighed: Weighed) -> dict[str, float]:
    """What `confidence` weighs: the best sentence's cosine and its passage's, and how many of the terms stand there."""
    best = weighed.kept[weighed.best]
    return {
        "cosine": float(weighed.features[weighed.best, FEATURES.index("cosine")]),
        "cosine_passage": float(weighed.features[weighed.best, FEATURES.index("cosine_passage")]),
        "near": weighed.overlap.share(best, weighed.overlap.near(best)),
        "passage": weighed.overlap.share(best, weighed.overlap.passage(best)),
    }


def chosen(weighed: Weighed) -> list[Candidate]:
    """The sentences to quote, compact: the best one, then those nearly as good, in reading order.

    The best comes first so that a reader who stops there has the answer; what follows stands in the order of the
    passages, and within a passage in the order of its text.
    """
    ranked = np.argsort(-weighed.scores, kind="stable")[:MAX_SENTENCES]
    floor = weighed.scores[ranked[0]] - _MARGIN
    further = [weighed.kept[i] for i in ranked[1:] if weighed.scores[i] >= floor]
    return [weighed.kept[ranked[0]], *sorted(further, key=lambda c: (c.rank, c.position))]
