"""Whether an answer says, or a quote holds, what the set's authors accepted."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable

from core.documents import clean_text

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def exact_match(answer: str, accepted: Iterable[str]) -> float:
    """1 when the answer equals an accepted one as SQuAD compares (Rajpurkar et al. 2016), else 0."""
    return float(any(_squad_words(answer) == _squad_words(one) for one in accepted))


def token_f1(answer: str, accepted: Iterable[str]) -> float:
    """The best F1 of words shared with an accepted answer, after SQuAD's normalization (Rajpurkar et al. 2016)."""
    return max((_overlap(_squad_words(answer), _squad_words(one)) for one in accepted), default=0.0)


def holds_any(quote: str, accepted: Iterable[str]) -> bool:
    """Whether an accepted answer stands in the quote, letter case and runs of white space aside."""
    folded = _fold(quote)
    return any(_fold(one) in folded for one in accepted)


def without_markers(text: str, count: int) -> str:
    """An answer's text without the markers of its `count` citations, which are numbered from 1."""
    return re.sub(r"\s*\[(\d{1,3})\]", lambda found: "" if 1 <= int(found[1]) <= count else found[0], text)


def _squad_words(text: str) -> list[str]:
    """Lower case, no ASCII punctuation, no English articles: what SQuAD's own script compares."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _overlap(ours: list[str], theirs: list[str]) -> float:
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


def _fold(text: str) -> str:
    return " ".join(clean_text(text).casefold().split())
