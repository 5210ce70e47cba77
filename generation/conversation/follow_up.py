"""Follow-up questions: a question and those before it in, the question as it can be searched alone out.

No model is asked. What decides was measured on human conversations (docs/quality.md, "Conversations").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import regex

from generation.terms import STOP_WORDS, terms, words
from inference.language import detect

# A question longer than this brings its own subject.
_LONGEST_FOLLOW_UP = 400
# The subject of a follow-up stands in the question before it, or in the one before that.
_QUESTIONS_BACK = 2
_MOST_WORDS = 6

# How a question leans on what was said before: words that point back, and words that continue. What is an article or
# opens a question as well (`das`, `los`, `il y a`) is left out.
_POINTS_BACK = {
    "en": "it its itself they them their theirs he him his she her hers this that these those there one ones so such "
    "here other others another else same former latter",
    "de": "er sie ihn ihm ihr ihre ihren ihrer dies diese dieser dieses diesen dort dafür davon dazu damit darüber "
    "darin solche andere anderen denen deren",
    "fr": "elle ils elles lui leur leurs cet cette celui celle ceux celles cela ça autre autres",
    "es": "él ella ellos ellas ello su sus este esta estos estas ese esa esos esas eso esto allí otro otra otros otras",
    "it": "lui lei loro esso essa essi esse questo questa questi queste quello quella quelli quelle ciò altro altra "
    "altri altre",
    "pt": "ele ela eles elas lhe lhes seu sua seus suas este esta estes estas esse essa esses essas isso isto aquele "
    "aquela lá outro outra outros outras",
    "nl": "hij zij hem haar hun hen dit deze daar ervan ermee ervoor daarvan daarvoor zulke andere",
    "ru": "он она оно они его её ее их ему ей им ним ней них это этот эта эти этого этой этих там такой такие другой "
    "другие",
}
_CONTINUES = {
    "en": r"and|but|or|so|also|then|ok|okay|what about|how about|what else|why not|how so|any other|anything|yes|no|"
    r"i mean|i see|got it|thanks?",
    "de": r"und|oder|aber|also|auch|dann|was ist mit|wie ist es|wie sieht es|wieso nicht|warum nicht|ja|nein|danke",
    "fr": r"et|ou|mais|donc|alors|aussi|puis|qu'en est-il|pourquoi pas|oui|non|merci",
    "es": r"y|o|pero|entonces|también|qué hay de|qué tal|por qué no|sí|no|gracias",
    "it": r"e|o|ma|quindi|allora|anche|che dire|perché no|sì|no|grazie",
    "pt": r"e|ou|mas|então|também|e quanto|por que não|sim|não|obrigad[oa]",
    "nl": r"en|of|maar|dus|ook|dan|hoe zit het|waarom niet|ja|nee|bedankt",
    "ru": r"и|а|или|но|тогда|также|что насчёт|что насчет|почему нет|да|нет|спасибо",
}
_OPENS = {language: regex.compile(rf"(?i)\W*(?:{opening})\b") for language, opening in _CONTINUES.items()}
_REFERS = {language: frozenset(listed.split()) for language, listed in _POINTS_BACK.items()}
# Scripts that write no spaces: pronouns and particles, and a length in characters in place of words.
_UNSPACED_REFERS = regex.compile(
    r"^(?:那|还有|而|那么|では|じゃあ|それで|แล้ว)|[它他她]|[这那]个|这些|那些|それ|これ|その|この|そこ|มัน"
)
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_FEW_CHARACTERS = 5
# In so few words a language is guessed too badly to rule out that the question continues in another.
_FEW_WORDS = 5
# Where no list of stop words is at hand, a shorter word carries grammar.
_SUBJECT_LETTERS = 4


def standalone(question: str, earlier: Sequence[str]) -> str:
    """The question, and where it is a follow-up the telling words of the questions before it, latest first.

    `earlier` holds the questions as they were asked, oldest first. A question that stands alone comes back as it is.
    """
    if not earlier or not is_follow_up(question):
        return question
    known = set(terms(question, detect(question)))
    added: dict[str, None] = {}
    for before in reversed(earlier[-_QUESTIONS_BACK:]):
        language = detect(before)
        for word in _telling(before, language):
            if known.isdisjoint(terms(word, language)):
                added.setdefault(word)
    return " ".join([question, *list(added)[:_MOST_WORDS]])


def is_follow_up(question: str) -> bool:
    """Whether a question leans on the conversation: it points back, continues, or names next to nothing itself."""
    if len(question) > _LONGEST_FOLLOW_UP:
        return False
    characters = len(_UNSPACED.findall(question))
    if characters:
        return characters <= _FEW_CHARACTERS or _UNSPACED_REFERS.search(question) is not None
    language = detect(question)
    found = [word.casefold() for word in words(question)]
    likely = _OPENS.values() if len(found) <= _FEW_WORDS else [_OPENS.get(language, _OPENS["en"])]
    if any(opens.match(question) for opens in likely):
        return True
    if not _REFERS.get(language, _REFERS["en"]).isdisjoint(found):
        return True
    return len(set(_telling(question, language))) <= 1


def _telling(text: str, language: str) -> Iterator[str]:
    """The words of a text that can name a subject, each as it is written."""
    for word in words(text):
        if language == "en":
            if word.casefold() not in STOP_WORDS and len(word) > 2:
                yield word
        elif len(word) >= _SUBJECT_LETTERS or _UNSPACED.match(word) or word.isupper():
            yield word
