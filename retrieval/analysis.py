"""Text analysis: the terms of a text, as the lexical index counts them and a query looks for them.

A word gives two terms: its *form*, folded (case, width, accents), and its *stem* in the language of the text. Forms
find names, numbers and words whose language was guessed wrong; stems find inflections. In other languages than English
longer words also give their *grams*, runs of four letters, which find the parts of a compound, what a stemmer does not
know, and most misspellings. Scripts that write no spaces give pairs of neighbouring characters instead, which need
neither a dictionary nor a language. What is made of parts (`INC-2041`, `maxBatchSize`) is found by them and as a whole.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import regex
import Stemmer

from retrieval import endings

# Changes when the same text would give other terms; an index names the one it was built with.
ANALYZER_VERSION = 3

# ISO 639-1 to the names of the Snowball algorithms (Porter, 2001). Serbian's was made for Croatian as well, and writes
# Cyrillic in Latin letters.
_ALGORITHMS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french",
    "ga": "irish", "hi": "hindi", "hr": "serbian", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil",
    "tr": "turkish",
}  # fmt: skip
_LIGHT: dict[str, Callable[[str], str]] = {"bg": endings.bulgarian, "sl": endings.slovene, "uk": endings.ukrainian}

# English words that carry grammar or ask, and no subject. Few: rare words weigh more by themselves, but where few
# chunks are readable "what" is rare too.
_STOP_WORD_LIST = """
a an the of in on at to for from by with and or is are was were be been do does did has have had it its this that these
those as what which who whom whose when where why how can could should would will may i you we my your our me there
their they he she his her if not no about into than then so such
"""
_STOP_WORDS = frozenset(_STOP_WORD_LIST.split())

# A question's words are looked for up to this many; past it a pasted document costs time and adds nothing.
_MOST_QUERY_TERMS = 512

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
# The same words in a text of ASCII, five times as fast.
_ASCII_WORD = re.compile(r"[A-Za-z0-9]+(?:[-._@:/'+&]+[A-Za-z0-9]+)*")

_JOINT = regex.compile(r"[-._@:/'’+&]+")
_BETWEEN_NUMBERS = regex.compile(r"(?<=\p{N})[-._@:/'’+&]+(?=\p{N})")
_HUMP = regex.compile(r"(?<=\p{Ll})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})")

# A short name and a number written together (`INC2041`), and apart as in `INC 2041`; in a question in any case.
_NUMBERED = regex.compile(r"(\p{L}{1,6})(\p{N}{2,})")
_APART = regex.compile(r"(?<![\p{L}\p{N}])\p{Lu}{2,6} \p{N}{2,}(?![\p{L}\p{N}])")
_ASKED_APART = regex.compile(r"(?<![\p{L}\p{N}])\p{L}{2,6} \p{N}{2,}(?![\p{L}\p{N}])")

# Letters that Unicode does not decompose; ta marbuta and alef maksura as they are commonly typed; and characters that
# are written or left out at will: soft hyphen, zero-width space and joiners, tatweel.
_FOLDS = str.maketrans(
    {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ة": "ه", "ى": "ي"}
    | dict.fromkeys("\u00ad\u200b\u200c\u200d\u0640", "")
)

# Accents and points, which may be left out; in Indic and Thai writing marks are vowels and stay.
_ACCENTS = regex.compile(r"[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]")

# One letter before each term keeps the kinds apart.
FORM, _STEM, _PAIR, WHOLE, _GRAM, _TRIPLE, _MONTH, _LINK = "f", "s", "p", "w", "g", "t", "m", "l"

# A word's form and its stem weigh as much together as a pair of characters does alone. Stems matter more: measured
# over the public sets in English and in twelve languages, docs/decisions/ranking-quality.md.
_WEIGHTS = {FORM: 0.3, _STEM: 0.7, _PAIR: 1.0, WHOLE: 0.5, _GRAM: 0.1, _TRIPLE: 1.0}

# Four letters did best in most of the European languages that McNamee and Mayfield tried, "Character N-Gram
# Tokenization for European Language Text Retrieval", Information Retrieval 7 (2004). Shorter words have nothing to add.
_GRAM_LETTERS = 4
_FEWEST_FOR_GRAMS = 5

# A question means this one and no other by a name of so many characters with a digit in it, and not by a quantity
# (`14-day`, `12000kg`), a year, an ordinal or a decade; before a unit six digits are no quantity.
_FEWEST_OF_IDENTIFIER = 4
_QUANTITY = regex.compile(r"\p{N}{1,4}|\p{N}+[./:-]\p{N}+|(?!0\p{N})\p{N}{1,5}\p{L}{1,2}|\p{N}+(?:-\p{Ll}+)+")

# Alphabets, of which two letters are less than a syllable, and three about one.
_UNSPACED_ALPHABETS = regex.compile(r"[\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]")


def index_terms(text: str, language: str) -> tuple[Counter[str], int]:
    """How often each term occurs in a chunk, and the chunk's length in words (or pairs of characters)."""
    counts = _counted(text, language, _APART)
    length = sum(count for term, count in counts.items() if term[0] in (FORM, _PAIR))
    return counts, length


def query_terms(text: str, language: str) -> list[tuple[str, float]]:
    """The terms that a query looks for, in its order, each with its weight; function words only if it has no others."""
    counts = _counted(text, language, _ASKED_APART)
    if language == "en":
        telling = {term: count for term, count in counts.items() if term[1:] not in _STOP_WORDS}
        counts = Counter(telling) or counts
    return [(term, count * _WEIGHTS[term[0]]) for term, count in list(counts.items())[:_MOST_QUERY_TERMS]]


def identifiers(text: str) -> list[str]:
    """The terms of what stands for one thing in a question: names with digits or underscores, and long numbers."""
    text = unicodedata.normalize("NFKC", text)
    written = [match.group().replace(" ", "-") for match in (*_TOKEN.finditer(text), *_APART.finditer(text))]
    named = (one for one in written if "_" in one or (any(map(str.isdigit, one)) and not _QUANTITY.fullmatch(one)))
    terms = (_word_terms(one, "en")[0] for one in named)
    return [term for term in dict.fromkeys(terms) if len(term) > _FEWEST_OF_IDENTIFIER]


def month_term(month: int) -> str:
    """The term of a chunk whose document is of this month, see `retrieval.periods`; no word of a text."""
    return f"{_MONTH}{month}"


def telling_stems(text: str, language: str) -> list[str]:
    """What a text says, in its order: stems, and pairs of characters where no spaces are; no function words."""
    text = unicodedata.normalize("NFKC", text)
    stems: list[str] = []
    for unspaced, word in _tokens(text):
        if language == "en" and word.lower() in _STOP_WORDS:
            continue
        terms = _word_terms(word, language) if word else _characters(_fold(unspaced))
        stems += (term for term in terms if term[0] in (_STEM, _PAIR))
    return stems


def link_term(stems: Iterable[str]) -> str:
    """The term of a chunk with a link that is called by these stems, in whatever order; see `retrieval.links`."""
    return _LINK + " ".join(sorted(set(stems)))


def _counted(text: str, language: str, apart: regex.Pattern[str]) -> Counter[str]:
    """How often each term occurs, in the order of their first."""
    text = unicodedata.normalize("NFKC", text)
    counts: dict[str, int] = {}  # a Counter takes twice the time to count up
    for (unspaced, word), often in Counter(_tokens(text)).items():
        for term in _word_terms(word, language) if word else _characters(_fold(unspaced)):
            counts[term] = counts.get(term, 0) + often
    counted = Counter(counts)
    counted.update(WHOLE + _fold(match.group()).replace(" ", "") for match in apart.finditer(text))
    return counted


def _tokens(text: str) -> Iterable[tuple[str, str]]:
    """The runs of a text in unspaced scripts and its words, each as (run, word) of which one is empty."""
    if text.isascii():
        return (("", word) for word in _ASCII_WORD.findall(text))
    found: list[tuple[str, str]] = _TOKEN.findall(text)
    return found


@lru_cache(maxsize=1 << 17)
def _word_terms(token: str, language: str) -> tuple[str, ...]:
    """A word's form, stem and grams; for one made of parts those of each part, and the whole.

    The whole is written without its joints, which people choose as they like, but for those between numbers.
    """
    token = token.removesuffix("'s").removesuffix("’s")
    parts = [part for piece in _JOINT.split(token) for part in _HUMP.split(piece) if part]
    numbered = _NUMBERED.fullmatch(token)
    if numbered:
        parts = [token, *numbered.groups()]
    terms = [WHOLE + _whole(token)] if len(parts) > 1 else []
    for part in parts:
        form = _fold(part)
        terms += [FORM + form, _STEM + _stem(part, language)]
        if language != "en" and len(form) >= _FEWEST_FOR_GRAMS:
            terms += (_GRAM + gram for gram in _runs(form, _GRAM_LETTERS))
    return tuple(terms)


def _whole(token: str) -> str:
    pieces = _BETWEEN_NUMBERS.split(token)
    return _fold(".".join(_JOINT.sub("", piece) for piece in pieces))


def _characters(run: str) -> Iterator[str]:
    """Neighbouring characters of a run, or the one it has; in alphabets three of them too."""
    if len(run) == 1:
        yield _PAIR + run
    yield from (_PAIR + pair for pair in _runs(run, 2))
    if _UNSPACED_ALPHABETS.match(run):
        yield from (_TRIPLE + three for three in _runs(run, 3))


def _runs(text: str, length: int) -> Iterator[str]:
    return (text[start : start + length] for start in range(len(text) - length + 1))


def _fold(word: str) -> str:
    folded = word.casefold().translate(_FOLDS)
    if folded.isascii():
        return folded
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", folded)))


def _stem(word: str, language: str) -> str:
    """The folded stem, or in a language without a stemmer the word with its accents, which tell words apart there."""
    if language in _LIGHT:
        return _fold(_LIGHT[language](word.lower()))
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
