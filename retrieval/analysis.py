"""Text analysis: the terms of a text, as the lexical index counts them and a query looks for them.

A word gives two terms: its *form*, folded (case, width, accents), and its *stem* in the language of the text. Forms
find names, numbers and words whose language was guessed wrong; stems find inflections. Scripts that write no spaces
give pairs of neighbouring characters instead, which need neither a dictionary nor a language.
"""

from __future__ import annotations

import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

import regex
import Stemmer

# Changes when the same text would give other terms; an index names the one it was built with.
ANALYZER_VERSION = 1

# ISO 639-1 to the names of the Snowball algorithms (Porter, 2001).
_ALGORITHMS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french",
    "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip

# English words that carry grammar or ask, and no subject. Few: rare words weigh more by themselves, but where few
# chunks are readable "what" is rare too.
_STOP_WORD_LIST = """
a an the of in on at to for from by with and or is are was were be been do does did has have had it its this that these
those as what which who whom whose when where why how can could should would will may i you we my your our me there
their they he she his her if not no about into than then so such
"""
_STOP_WORDS = frozenset(_STOP_WORD_LIST.split())

# A question's words are looked for up to this many; past it a pasted document costs time and adds nothing.
_MOST_QUERY_TERMS = 256

_UNSPACED = "".join(
    rf"\p{{Script={script}}}" for script in ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")
)
_LETTER = rf"[[\p{{L}}\p{{N}}]--[{_UNSPACED}ー]]"
_INNER = rf"[[\p{{L}}\p{{M}}\p{{N}}\u00ad\u200b-\u200d]--[{_UNSPACED}ー]]"

# A run of an unspaced script, or a word: letters, marks and digits, with the joints that hold identifiers, addresses,
# versions and numbers together (`INC-2041`, `v1.2.3`, `ana@example.org`, `max_batch_size`).
_TOKEN = regex.compile(
    rf"(?P<unspaced>[{_UNSPACED}ー][{_UNSPACED}\p{{M}}ー]*)"
    rf"|(?P<word>{_LETTER}{_INNER}*(?:[-._@:/'’+&]+{_LETTER}{_INNER}*)*)",
    regex.VERSION1,
)
_JOINT = regex.compile(r"[-._@:/'’+&]+")
_HUMP = regex.compile(r"(?<=\p{Ll})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})")

# Letters that Unicode does not decompose; ta marbuta and alef maksura as they are commonly typed; and characters that
# are written or left out at will: soft hyphen, zero-width space and joiners, tatweel.
_FOLDS = str.maketrans(
    {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ة": "ه", "ى": "ي"}
    | dict.fromkeys("\u00ad\u200b\u200c\u200d\u0640", "")
)

# Accents and points, which may be left out; in Indic and Thai writing marks are vowels and stay.
_ACCENTS = regex.compile(r"[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]")

# One letter before each term keeps the kinds apart.
_FORM, _STEM, _PAIR, _WHOLE = "f", "s", "p", "w"

# A word's form and its stem weigh as much together as a pair of characters does alone. Stems matter more: measured
# over the public sets in English and in twelve languages, docs/decisions/index-and-ranking.md.
_WEIGHTS = {_FORM: 0.3, _STEM: 0.7, _PAIR: 1.0, _WHOLE: 0.5}


def index_terms(text: str, language: str) -> tuple[Counter[str], int]:
    """How often each term occurs in a chunk, and the chunk's length in words (or pairs of characters)."""
    counts = Counter(_terms(text, language))
    length = sum(count for term, count in counts.items() if term[0] in (_FORM, _PAIR))
    return counts, length


def query_terms(text: str, language: str) -> list[tuple[str, float]]:
    """The terms that a query looks for, in its order, each with its weight; function words only if it has no others."""
    counts = Counter(_terms(text, language))
    if language == "en":
        telling = {term: count for term, count in counts.items() if term[1:] not in _STOP_WORDS}
        counts = Counter(telling) or counts
    return [(term, count * _WEIGHTS[term[0]]) for term, count in list(counts.items())[:_MOST_QUERY_TERMS]]


def _terms(text: str, language: str) -> Iterator[str]:
    for match in _TOKEN.finditer(unicodedata.normalize("NFKC", text)):
        if match.lastgroup == "word":
            yield from _word_terms(match.group(), language)
        else:
            yield from _pairs(_fold(match.group()))


@lru_cache(maxsize=1 << 17)
def _word_terms(token: str, language: str) -> tuple[str, ...]:
    """A word's form and stem; for one made of parts those of each part, and the whole."""
    token = token.removesuffix("'s").removesuffix("’s")
    parts = [part for piece in _JOINT.split(token) for part in _HUMP.split(piece) if part]
    terms = [_WHOLE + _fold(token)] if len(parts) > 1 else []
    for part in parts:
        terms += [_FORM + _fold(part), _STEM + _stem(part, language)]
    return tuple(terms)


def _pairs(run: str) -> Iterator[str]:
    """Neighbouring characters of a run, or the one it has."""
    if len(run) == 1:
        yield _PAIR + run
    for start in range(len(run) - 1):
        yield _PAIR + run[start : start + 2]


def _fold(word: str) -> str:
    folded = word.casefold().translate(_FOLDS)
    if folded.isascii():
        return folded
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", folded)))


def _stem(word: str, language: str) -> str:
    """The folded stem, or in a language without a stemmer the word with its accents, which tell words apart there."""
    stemmer = _stemmers.of(language)
    return _fold(stemmer.stemWord(word.lower())) if stemmer else word.casefold()


class _Stemmers(threading.local):
    """Each thread's own stemmers: one stemmer must not be used by two threads at a time."""

    def __init__(self) -> None:
        self._known: dict[str, Stemmer.Stemmer] = {}

    def of(self, language: str) -> Stemmer.Stemmer | None:
        if language not in _ALGORITHMS:
            return None
        if language not in self._known:
            self._known[language] = Stemmer.Stemmer(_ALGORITHMS[language])
        return self._known[language]


_stemmers = _Stemmers()
