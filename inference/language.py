"""The language a text is written in: texts in, ISO 639-1 codes out; offline and deterministic."""

from __future__ import annotations

import threading
import unicodedata
from collections import Counter
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

DEFAULT_LANGUAGE = "en"

# A question is a few words and its names speak for other languages than its grammar does, so another language than
# the default must be this many times as likely. Over 7,596 English questions 11 are then taken for another language
# (80 at 1), while 10 of 2,685 German, Spanish, Romanian, Turkish and Vietnamese ones are missed (8 at 1).
_ODDS_AGAINST_DEFAULT = 3.0

# One or two plain words are names and keywords, which stand in texts of any language.
_FEWEST_WORDS = 3

# Words that running English is full of and no other language of this list has; a text of which they are such a share is
# English, which saves asking the model. Of 27,874 pieces of the public sets, in thirteen languages, none comes out
# otherwise.
_ENGLISH = frozenset(
    (
        "the",
        "and",
        "that",
        "with",
        "are",
        "from",
        "which",
        "this",
        "have",
        "has",
        "you",
        "your",
        "they",
        "their",
        "must",
        "should",
        "when",
        "were",
        "been",
        "its",
    )
)
_ENGLISH_SHARE = 0.12
_FEWEST_ENGLISH_WORDS = 12

# Characters that decide the language; past this a document has shown it.
_SAMPLE_CHARACTERS = 1_000

_LATIN = (
    "en", "de", "fr", "es", "pt", "it", "nl", "sv", "da", "no", "fi", "et", "lv", "lt", "pl", "cs", "sk", "sl", "hr",
    "hu", "ro", "ca", "tr", "vi", "id",
)  # fmt: skip

# What each script may be. A script with one language needs no model.
_SCRIPT_LANGUAGES: dict[str, tuple[str, ...]] = {
    "LATIN": _LATIN,
    "CYRILLIC": ("ru", "uk", "bg", "sr", "be"),
    "ARABIC": ("ar", "fa", "ur"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "CJK": ("zh",),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "HANGUL": ("ko",),
    "THAI": ("th",),
    "LAO": ("lo",),
    "KHMER": ("km",),
    "MYANMAR": ("my",),
    "GREEK": ("el",),
    "HEBREW": ("he",),
    "ARMENIAN": ("hy",),
    "GEORGIAN": ("ka",),
    "BENGALI": ("bn",),
    "GURMUKHI": ("pa",),
    "GUJARATI": ("gu",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "KANNADA": ("kn",),
    "MALAYALAM": ("ml",),
    "SINHALA": ("si",),
    "ETHIOPIC": ("am",),
}

# A name in Latin letters stands in texts of every script, so these weigh less than the letters around them.
_LATIN_WEIGHT = 0.5

_model_lock = threading.Lock()


def detect(text: str) -> str:
    """The ISO 639-1 code of the language `text` is mostly written in, `"en"` where nothing tells.

    The script decides first; between languages of one script a naive Bayes model over byte n-grams does
    (Lui and Baldwin, 2012). Takes about 0.1 ms for a question.
    """
    sample = text[:_SAMPLE_CHARACTERS]
    candidates = _SCRIPT_LANGUAGES.get(_dominant_script(sample), ())
    if sample.isascii() and len(sample.split()) < _FEWEST_WORDS:
        return DEFAULT_LANGUAGE
    if candidates is _LATIN and _plainly_english(sample):
        return "en"
    if len(candidates) < 2:
        return candidates[0] if candidates else DEFAULT_LANGUAGE
    probabilities = dict(_rank(sample, candidates))
    best = max(candidates, key=lambda language: probabilities[language])
    default = probabilities.get(DEFAULT_LANGUAGE, 0.0)
    return best if probabilities[best] > _ODDS_AGAINST_DEFAULT * default else DEFAULT_LANGUAGE


def _plainly_english(text: str) -> bool:
    words = text.lower().split()
    return len(words) >= _FEWEST_ENGLISH_WORDS and sum(map(_ENGLISH.__contains__, words)) >= _ENGLISH_SHARE * len(words)


def _dominant_script(text: str) -> str:
    """The script of most letters; Japanese kana win over the Han characters they stand among."""
    if text.isascii():  # the common case, in a twentieth of the time
        return "LATIN" if any(map(str.isalpha, text)) else ""
    scripts = Counter(_script(character) for character in text if character.isalpha())
    if scripts["HIRAGANA"] + scripts["KATAKANA"] > 0 and scripts["CJK"] > 0:
        scripts["HIRAGANA"] += scripts.pop("CJK")
    weighted = {script: count * (_LATIN_WEIGHT if script == "LATIN" else 1.0) for script, count in scripts.items()}
    return max(sorted(weighted), key=lambda script: weighted[script], default="")


@cache
def _script(character: str) -> str:
    """The first word of a letter's Unicode name, which for letters is its script."""
    return unicodedata.name(character, "").split(" ")[0].removesuffix("-")


def _rank(text: str, candidates: tuple[str, ...]) -> list[tuple[str, float]]:
    ranked: list[tuple[str, float]] = _identifier(candidates).rank(text)
    return ranked


def _identifier(candidates: tuple[str, ...]) -> LanguageIdentifier:
    with _model_lock:  # so that the first questions, coming together, load the model once
        return _restricted(candidates)


@cache
def _full_model() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _restricted(candidates: tuple[str, ...]) -> LanguageIdentifier:
    full = _full_model()
    ptc, pc, classes = full._full_model
    identifier = LanguageIdentifier(
        ptc, pc, classes, full.tk_nextmove, full.tk_output, norm_probs=True, tk_row=full.tk_row
    )
    identifier.set_languages(candidates)
    return identifier
