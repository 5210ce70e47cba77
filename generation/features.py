"""What a question and a sentence have in common, as numbers: the inputs of the extractive answerer's ranking.

The features are those of classic answer-sentence selection (term overlap weighted by rarity, word order, answer type:
Yih et al., "Question Answering Using Enhanced Lexical Semantic Models", ACL 2013), plus the cosine of two embeddings.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import regex
from numpy.typing import NDArray

from core.answers import Passage
from generation.answer_types import AnswerType, expected_type, shows_type
from generation.sentences import Sentence, SentenceKind, split_sentences
from generation.terms import terms, words

FEATURES = (
    "coverage",  # share of the question's rarity that the sentence covers
    "coverage_near",  # the same, the sentences beside it and the headings included
    "coverage_passage",  # the same, for the whole passage and its title
    "coverage_elsewhere",  # the most that one sentence of the passage covers
    "bm25",  # the overlap as BM25 would score it among the candidates
    "pairs",  # share of the question's neighbouring terms that also stand close together in the sentence
    "cosine",  # of the embeddings of question and sentence
    "cosine_passage",  # the same, for the passage's best sentence
    "cosine_before",  # the same, for the sentence before it
    "type_shown",  # the expected kind of answer is known and there
    "type_missing",  # it is known and not there
    "reciprocal_rank",  # of the passage
    "novelty",  # log of the number of terms the question does not have
    "opens_passage",
    "asks",  # the sentence is a question itself
    "heading",
    "row",
    "refers_back",  # it opens with a pronoun
)


@dataclass(frozen=True)
class Candidate:
    """A sentence of the passage of `rank` (from 1), and its place among that passage's sentences."""

    rank: int
    passage: Passage
    position: int
    sentence: Sentence

    @cached_property
    def text(self) -> str:
        return self.passage.text[self.sentence.start : self.sentence.end]

    @cached_property
    def terms(self) -> list[str]:
        return terms(self.text, self.passage.language)


def candidates_of(passages: Sequence[Passage]) -> list[Candidate]:
    """Every sentence of `passages`, best passage first; a sentence met before is left out."""
    found: dict[str, Candidate] = {}
    for rank, passage in enumerate(passages, start=1):
        for position, sentence in enumerate(split_sentences(passage.text)):
            candidate = Candidate(rank, passage, position, sentence)
            found.setdefault(" ".join(candidate.text.split()), candidate)
    return list(found.values())


class Overlap:
    """The terms of a question against those of its candidates."""

    def __init__(self, question: str, candidates: Sequence[Candidate]) -> None:
        self.candidates = candidates
        self.asked = {language: terms(question, language) for language in {c.passage.language for c in candidates}}
        frequency = Counter(term for candidate in candidates for term in set(candidate.terms))
        self._frequency = frequency
        self._mean_length = max(1.0, sum(len(c.terms) for c in candidates) / max(1, len(candidates)))
        self._context = {c.rank: frozenset(terms(_above(c.passage), c.passage.language)) for c in candidates}
        self._in_passage = _terms_by_passage(candidates)
        self._beside = {(c.rank, c.position): frozenset(c.terms) for c in candidates}

    def rarity(self, term: str) -> float:
        """Inverse document frequency, a candidate being a document (Robertson and Zaragoza 2009, 3.1)."""
        frequency = self._frequency[term]
        return math.log(1 + (len(self.candidates) - frequency + 0.5) / (frequency + 0.5))

    def coverage(self, candidate: Candidate, present: Set[str]) -> float:
        """The share of the question's rarity that `present` covers, terms that no candidate has left out."""
        asked = {t for t in self.asked[candidate.passage.language] if self._frequency[t]}
        whole = sum(map(self.rarity, asked))
        return sum(self.rarity(term) for term in asked & present) / whole if whole else 0.0

    def share(self, candidate: Candidate, present: Set[str]) -> float:
        """The share of the question's terms that `present` holds, each counted alike, absent ones too."""
        asked = set(self.asked[candidate.passage.language])
        return len(asked & present) / len(asked) if asked else 0.0

    def near(self, candidate: Candidate) -> frozenset[str]:
        """The terms of a candidate, of the sentences beside it, and of what stands above its passage."""
        rank, position = candidate.rank, candidate.position
        beside = [self._beside.get((rank, position + step), frozenset()) for step in (-1, 0, 1)]
        return self._context[rank].union(*beside)

    def passage(self, candidate: Candidate) -> frozenset[str]:
        """The terms of a candidate's whole passage and of what stands above it."""
        return self._context[candidate.rank] | self._in_passage[candidate.rank]

    def bm25(self, candidate: Candidate) -> float:
        """BM25 of the candidate among the candidates, with the usual k1 = 1.2 and b = 0.75."""
        counts = Counter(candidate.terms)
        norm = 1.2 * (0.25 + 0.75 * len(candidate.terms) / self._mean_length)
        asked = set(self.asked[candidate.passage.language])
        return sum(self.rarity(t) * counts[t] * 2.2 / (counts[t] + norm) for t in asked if counts[t])

    def pairs(self, candidate: Candidate) -> float:
        """The share of the question's neighbouring terms that stand at most three apart in the candidate."""
        asked = self.asked[candidate.passage.language]
        wanted = [(a, b) for a, b in pairwise(asked) if a != b]
        places: dict[str, list[int]] = {}
        for place, term in enumerate(candidate.terms):
            places.setdefault(term, []).append(place)
        held = sum(
            any(abs(i - j) <= 3 for i in places.get(a, ()) for j in places.get(b, ())) for a, b in wanted[:_PAIRS]
        )
        return held / len(wanted[:_PAIRS]) if wanted else 0.0


_PAIRS = 64  # A question longer than this is no question, and is not worth its square.


def featurize(
    question: str, overlap: Overlap, kept: Sequence[Candidate], cosines: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Shape `(len(kept), len(FEATURES))`; `cosines` holds one similarity to the question for each of `kept`."""
    kind = expected_type(question)
    asked_words = {word.casefold() for word in words(question)}
    own = [overlap.coverage(c, frozenset(c.terms)) for c in kept]
    best_coverage, best_cosine = _best_by_passage(kept, own), _best_by_passage(kept, cosines.tolist())
    before = {(c.rank, c.position + 1): float(cosine) for c, cosine in zip(kept, cosines, strict=True)}
    rows = [
        (
            covered,
            overlap.coverage(c, overlap.near(c)),
            overlap.coverage(c, overlap.passage(c)),
            best_coverage[c.rank],
            math.log1p(overlap.bm25(c)),
            overlap.pairs(c),
            float(cosine),
            best_cosine[c.rank],
            before.get((c.rank, c.position), NO_COSINE),
            *_type_features(c, kind, asked_words),
            1 / c.rank,
            math.log1p(len(set(c.terms).difference(overlap.asked[c.passage.language]))),
            float(c.position == 0),
            float(c.text.endswith(("?", "\uff1f", "\u061f"))),
            float(c.sentence.kind is SentenceKind.HEADING),
            float(c.sentence.kind is SentenceKind.ROW),
            float(_REFERS_BACK.match(c.text) is not None),
        )
        for c, covered, cosine in zip(kept, own, cosines, strict=True)
    ]
    return np.array(rows, dtype=np.float32).reshape(len(kept), len(FEATURES))


# The usual cosine of a sentence that has little to do with the question, where there is no sentence before.
NO_COSINE = 0.25


def _best_by_passage(kept: Sequence[Candidate], values: Sequence[float]) -> dict[int, float]:
    best: dict[int, float] = {}
    for candidate, value in zip(kept, values, strict=True):
        best[candidate.rank] = max(value, best.get(candidate.rank, value))
    return best


_REFERS_BACK = regex.compile(r"(?:It|They|He|She|This|These|Those|That|Such|His|Her|Their|Its)\b")


def _type_features(candidate: Candidate, kind: AnswerType, asked: Set[str]) -> tuple[float, float]:
    if kind is AnswerType.OTHER:
        return 0.0, 0.0
    shown = shows_type(candidate.text, kind, asked)
    return float(shown), float(not shown)


def _above(passage: Passage) -> str:
    return " ".join((passage.title, *passage.heading))


def _terms_by_passage(candidates: Sequence[Candidate]) -> dict[int, frozenset[str]]:
    found: dict[int, set[str]] = {}
    for candidate in candidates:
        found.setdefault(candidate.rank, set()).update(candidate.terms)
    return {rank: frozenset(present) for rank, present in found.items()}
