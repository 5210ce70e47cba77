"""How well evidence supports a claim: what an answer's every sentence must pass before anybody sees it.

A cheap stand-in for natural-language inference, for text that is quoted or nearly so: the claim's terms must be in the
evidence, its numbers and names exactly, and both must agree on negation; embeddings forgive a change of words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from generation.terms import STOP_WORDS, terms, words
from generation.window import within_window
from inference.encoder import Encoder
from inference.statements import NAME, NEGATION, NUMBER

# A logistic regression on HaluEval QA (grounded or hallucinated) and WiCE (supported or not), both weighing alike.
# Bounded by rule, not by data: hallucinations there are seldom a changed digit and never a negation alone, so a missing
# number must cost at least 3 and a differing negation costs 3.5; and a cosine may only speak for a claim.
_INTERCEPT = -2.27
_WEIGHTS = {"coverage": 3.58, "cosine": 1.0, "numbers_missing": -3.0, "names_missing": -3.22, "negation_differs": -3.5}


def support(claim: str, evidence: Sequence[str], encoder: Encoder, language: str = "en") -> float:
    """How well the sentences of `evidence`, taken together, support `claim`: from 0 to 1.

    1 when the claim stands in the evidence as a whole sentence. `language` is the evidence's.
    """
    folded = _fold(claim)
    if not folded or not evidence:
        return 0.0
    if any(folded == _fold(sentence) for sentence in evidence):
        return 1.0
    vectors = encoder.encode(within_window([claim, *evidence], encoder))
    return support_given(claim, evidence, vectors[1:] @ vectors[0], language)


def support_given(claim: str, evidence: Sequence[str], cosines: Sequence[float], language: str = "en") -> float:
    """As `support`, with the claim's cosine to each sentence of `evidence` already at hand."""
    features = support_features(claim, evidence, cosines, language)
    return 1 / (1 + math.exp(-_INTERCEPT - sum(_WEIGHTS[name] * value for name, value in features.items())))


def support_features(
    claim: str, evidence: Sequence[str], cosines: Sequence[float], language: str = "en"
) -> dict[str, float]:
    """The numbers that `support` weighs, by the names of `_WEIGHTS`."""
    together = " ".join(evidence)
    nearest = evidence[int(np.argmax(cosines))]
    claimed = set(terms(claim, language))
    return {
        "coverage": _share(claimed, set(terms(together, language))),
        "cosine": max(0.0, float(max(cosines))),
        "numbers_missing": 1 - _share(_numbers(claim), _numbers(together)),
        "names_missing": 1 - _share(_names(claim), {word.casefold() for word in words(together)}),
        "negation_differs": float(bool(NEGATION.search(claim)) != bool(NEGATION.search(nearest))),
    }


def _share(wanted: set[str], present: set[str]) -> float:
    return len(wanted & present) / len(wanted) if wanted else 1.0


def _numbers(text: str) -> set[str]:
    return {match.group().replace(",", "") for match in NUMBER.finditer(text)}


def _names(text: str) -> set[str]:
    return {match.group().casefold() for match in NAME.finditer(text)} - STOP_WORDS


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold().strip(" .。।!?")
