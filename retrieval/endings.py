"""Light stemming for languages without a Snowball algorithm: the endings of nouns and adjectives come off.

Case, number, gender and definiteness change the words that people search for; what makes another word of one, and the
endings of verbs, stay. That much has been found to be worth most of what stemming is worth: Savoy, "Searching
strategies for the Bulgarian language", Information Retrieval 10 (2007); Popovič and Willett, "The effectiveness of
stemming for natural-language access to Slovene textual data", JASIS 43 (1992).
"""

from __future__ import annotations

from collections.abc import Sequence

# A stem keeps so many letters, or the ending belongs to it.
_LEAST_STEM = 3

_BULGARIAN_ARTICLES = ("ият", "ът", "ят", "та", "то", "те")
_BULGARIAN_PLURALS = ("ища", "ове", "еве")
_BULGARIAN_VOWELS = "аеиоуъюя"

# The longest fits first. In each list the cases of nouns stand with those of adjectives: nothing tells them apart here.
_UKRAINIAN_ENDINGS = (
    *("ого", "ому", "ими", "іми", "ами", "ями", "ові", "еві", "єві"),
    *("ої", "ою", "ею", "єю", "ій", "їй", "ий", "их", "іх", "їх", "им", "ім", "їм", "ом", "ем", "єм", "ам", "ям"),
    *("ах", "ях", "ів", "їв", "ей", "а", "я", "у", "ю", "о", "е", "є", "и", "і", "ї", "ь"),
)
_SLOVENE_ENDINGS = (
    *("jema", "ega", "emu", "ima", "imi", "ami", "ama", "oma", "ema", "jem", "jev", "iji"),
    *("ih", "im", "em", "om", "am", "ah", "eh", "ov", "ev", "ij", "ja", "je", "ji", "ju", "jo"),
    *("a", "e", "i", "o", "u"),
)


def bulgarian(word: str) -> str:
    """A word in lower case without its article, its plural and the vowels it ends in."""
    word = _without(word, _BULGARIAN_ARTICLES)
    word = _without(word, _BULGARIAN_PLURALS)
    for _ in range(2):  # `нов-ия`, `нов-и`; `компани-я`, `компани-и`
        word = _without(word, _BULGARIAN_VOWELS)
    return word


def slovene(word: str) -> str:
    """A word in lower case without its ending, nor the vowel that comes only without one (`delavec`, `delavca`)."""
    stem = _without(word, _SLOVENE_ENDINGS)
    return f"{stem[:-2]}{stem[-1]}" if len(stem) > _LEAST_STEM and stem.endswith(("ec", "ek")) else stem


def ukrainian(word: str) -> str:
    """A word in lower case without its ending, nor the vowels that come only without one (`відпусток`, `договір`)."""
    stem = _without(_without(word, _UKRAINIAN_ENDINGS), ("і",))  # `компані-ю`, `компан-ій`
    if len(stem) > _LEAST_STEM and stem.endswith("ок"):
        stem = f"{stem[:-2]}к"
    before, vowel, after = stem.rpartition("і")
    closed = vowel and before and after and not any(letter in "аеиоуюяєї" for letter in after)
    return f"{before}о{after}" if closed else stem


def _without(word: str, endings: Sequence[str]) -> str:
    ending = next((one for one in endings if word.endswith(one) and len(word) - len(one) >= _LEAST_STEM), "")
    return word.removesuffix(ending) if ending else word
