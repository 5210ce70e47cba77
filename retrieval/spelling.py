"""Spelling: a word that no readable chunk holds, and the words one slip away that some do.

The index holds no words, so there is no dictionary to look through. Instead every word that one slip could have been
made from is asked for (Norvig, "How to Write a Spelling Corrector", 2007): four in five misspellings are one letter
left out, put in, changed or exchanged with its neighbour (Damerau, "A technique for computer detection and correction
of spelling errors", CACM 7, 1964). What nobody reads here is no word here: hidden documents correct nothing.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence

from retrieval.analysis import FORM, query_terms
from retrieval.index.selection import Selection
from retrieval.lexical import LexicalScores, frequencies

# One slip away from a shorter word are too many others; a longer one is no word, and a thousand letters have as many
# slips as a book has words.
_FEWEST_LETTERS, _MOST_LETTERS = 5, 32

# So many words of a query are corrected: one with more unknown words is in another language, or about something else.
_MOST_WORDS = 3

# What was meant is a guess, so it weighs less than what was written.
_GUESSED = 0.5


def corrections(
    selection: Selection, query: str, language: str, terms: Sequence[tuple[str, float]], found: LexicalScores
) -> list[tuple[str, float]]:
    """Further weighted terms for the words of `query` that no chunk of the selection holds in any form; mostly none.

    `found` are the scores of its `terms`. Of several words one slip away, the one that most chunks hold is taken.
    """
    having = dict(zip((term for term, _ in terms), found.having, strict=False))
    if all(having.values()):
        return []
    further: dict[str, float] = {}
    for word in [term[1:] for term in having if term[0] == FORM and not having[term]][:_MOST_WORDS]:
        if not _may_be_misspelt(word) or any(having.get(term) for term, _ in query_terms(word, language)[:2]):
            continue
        candidates = sorted(set(one_slip_away(word)))
        counts = frequencies(selection, [FORM + candidate for candidate in candidates], found.loops)
        most = max(counts)
        if most:
            meant = query_terms(candidates[counts.index(most)], language)
            further |= {term: _GUESSED * weight for term, weight in meant if term not in having}
    return list(further.items())


def one_slip_away(word: str) -> Iterator[str]:
    """Every word with one letter of the alphabet less, more, another, or two neighbours exchanged."""
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        for letter in string.ascii_lowercase:
            yield f"{before}{letter}{after}"
            if after:
                yield f"{before}{letter}{after[1:]}"
        if after:
            yield f"{before}{after[1:]}"
        if len(after) > 1:
            yield f"{before}{after[1]}{after[0]}{after[2:]}"


def _may_be_misspelt(word: str) -> bool:
    return _FEWEST_LETTERS <= len(word) <= _MOST_LETTERS and word.isascii() and word.isalpha()
