"""The terms by which a question and a sentence are compared: stems, in any script."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import regex
import Stemmer

_STEMMERS = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hi": "hindi",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}

# Scripts written without spaces are compared by pairs of characters.
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+")
_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+|\d+(?:[.,:]\d+)*|[\p{L}\p{M}]+(?:\p{N}+)?"
)

STOP_WORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing done down during each few for from further get had has have having he her here hers him
    his how i if in into is it its itself just many may me might more most much must my no nor not of off on once only
    or other our out over own per same shall she should so some such than that the their them then there these they
    this those through to too under until up upon us very was we were what when where whether which while who whom
    whose why will with within without would you your s t name named kind type called""".split()  # noqa: SIM905
)
"""English words that carry no topic, the question words included."""


def words(text: str) -> Iterator[str]:
    """The words of a text as written; a run of an unspaced script is one word."""
    return (match.group() for match in _WORD.finditer(text))


def terms(text: str, language: str = "en") -> list[str]:
    """Stems of the words of `text`, in order, without English stop words; pairs of characters in unspaced scripts.

    `language` (ISO 639-1) picks the Snowball stemmer; a language without one is compared word by word.
    """
    found: list[str] = []
    for word in words(text):
        if _UNSPACED.fullmatch(word):
            found.extend(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif (folded := word.casefold()) not in STOP_WORDS:
            found.append(_stem(folded.replace(",", ""), language))
    return found


@lru_cache(maxsize=100_000)
def _stem(word: str, language: str) -> str:
    algorithm = _STEMMERS.get(language or "en")
    return str(_stemmer(algorithm).stemWord(word)) if algorithm else word


@lru_cache(maxsize=len(_STEMMERS))
def _stemmer(algorithm: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(algorithm, 0)
