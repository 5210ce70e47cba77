"""What kind of answer an English question expects, and whether a sentence holds something of that kind."""

from __future__ import annotations

from collections.abc import Set
from enum import StrEnum

import regex

from generation.terms import STOP_WORDS


class AnswerType(StrEnum):
    PERSON = "person"
    TIME = "time"
    DURATION = "duration"
    NUMBER = "number"
    PLACE = "place"
    REASON = "reason"
    OTHER = "other"


_EXPECTS = (
    (AnswerType.DURATION, r"how long|for how many (?:years|days|months|weeks|hours|minutes)"),
    (
        AnswerType.TIME,
        r"when|(?:what|which) (?:\w+ ){0,2}(?:year|date|month|day|century|decade|era|time|period|season|deadline)s?",
    ),
    (
        AnswerType.NUMBER,
        r"how (?:many|much|old|tall|far|large|big|high|fast|heavy|deep|often|wide|hot|cold|small|low)|"
        r"(?:what|which) (?:\w+ ){0,3}(?:percent|percentage|number|amount|population|temperature|size|cost|price|rate|"
        r"age|speed|height|length|distance|proportion|fraction|ratio|limit|budget|fee)",
    ),
    (
        AnswerType.PERSON,
        r"who|whom|whose|(?:what|which) (?:\w+ ){0,2}(?:person|man|woman|king|queen|president|leader|author|scientist|"
        r"player|architect|founder|director|professor|general|emperor|composer|writer|artist|actor|actress|philosopher)",
    ),
    (
        AnswerType.PLACE,
        r"where|(?:what|which) (?:\w+ ){0,2}(?:country|countries|city|cities|state|place|region|location|continent|"
        r"province|river|town|island|area|building)",
    ),
    (AnswerType.REASON, r"why|for what reason|what (?:\w+ ){0,2}(?:reason|cause|caused|causes|purpose)"),
)
_EXPECTS_COMPILED = tuple((kind, regex.compile(rf"\b(?:{pattern})\b")) for kind, pattern in _EXPECTS)


def expected_type(question: str) -> AnswerType:
    """The kind whose question words come first in `question`; `OTHER` when none does."""
    folded = question.casefold()
    found = [(match.start(), kind) for kind, pattern in _EXPECTS_COMPILED if (match := pattern.search(folded))]
    return min(found, key=lambda pair: pair[0])[1] if found else AnswerType.OTHER


_NUMBER_WORDS = (
    r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy|eighty|"
    r"ninety|hundreds?|thousands?|millions?|billions?|trillions?|half|third|quarter|twice|once|dozens?|several|none|few"
)
_UNIT_OF_TIME = r"(?:second|minute|hour|day|night|week|month|quarter|year|decade|centur|millenni)\w*"
_SHOWS = {
    AnswerType.TIME: regex.compile(
        r"\b(?:1[0-9]|20)\d\d(?:s|\b)|\b(?:January|February|March|April|May|June|July|August|September|October|November|"
        r"December|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|BC|AD|BCE)\b|centur(?:y|ies)|\d+(?:st|nd|rd|th)\b"
        rf"|\b{_UNIT_OF_TIME}\b"
    ),
    AnswerType.DURATION: regex.compile(
        rf"(?i)\b(?:\d+|{_NUMBER_WORDS}|an?)[\s-]+(?:\w+[\s-]+)?{_UNIT_OF_TIME}|\b(?:indefinite|permanent|forever|until)\w*"
    ),
    AnswerType.NUMBER: regex.compile(rf"(?i)\d|\b(?:{_NUMBER_WORDS})\b"),
    AnswerType.REASON: regex.compile(
        r"(?i)\b(?:because|since|due to|owing to|as a result|result(?:s|ed|ing)? (?:in|from)|caus\w+|reasons?|so that|"
        r"in order to|therefore|thus|lead\w* to|led to|to avoid|to prevent|to \w+)\b"
    ),
}
_NAME = regex.compile(r"(?<=[\p{L}\p{N},;:–-]['\"”)]?\s['\"“(]?)\p{Lu}[\p{L}\p{M}.'’-]+")
_FIRST_NAME = regex.compile(r"\P{L}*(\p{Lu}[\p{L}\p{M}.'’-]+)")


def shows_type(sentence: str, kind: AnswerType, asked: Set[str]) -> bool:
    """Whether `sentence` holds an expression of `kind` that the question's own words (`asked`, folded) do not give.

    A name is a capitalised word; one that only opens the sentence counts when it is no stop word.
    """
    if kind is AnswerType.OTHER:
        return False
    if kind in (AnswerType.PERSON, AnswerType.PLACE):
        return any(
            name.casefold().rstrip(".'’s") not in asked and name.casefold() not in asked for name in _names(sentence)
        )
    return any(match.group().casefold() not in asked for match in _SHOWS[kind].finditer(sentence))


def _names(sentence: str) -> list[str]:
    names = [str(name) for name in _NAME.findall(sentence)]
    first = _FIRST_NAME.match(sentence)
    if first and first[1].casefold() not in STOP_WORDS:
        names.append(first[1])
    return names
