"""Texts whose likeness is known: prose of words drawn at random, and edits of it."""

from __future__ import annotations

import random
from collections.abc import Sequence

_SYLLABLES = tuple(a + b for a in "bdfgklmnprstvz" for b in "aeiou")


def prose(seed: int, sentences: int = 24) -> list[str]:
    """Sentences of a dozen words, the same for a seed; no two seeds share three words in a row but by chance."""
    draw = random.Random(seed)
    return [_sentence([_word(draw) for _ in range(12)]) for _ in range(sentences)]


def page(title: str, sentences: Sequence[str]) -> str:
    """Markdown, in paragraphs of four sentences."""
    paragraphs = [" ".join(sentences[at : at + 4]) for at in range(0, len(sentences), 4)]
    return "\n\n".join([f"# {title}", *paragraphs]) + "\n"


def with_words_changed(sentences: Sequence[str], every: int) -> list[str]:
    """Each `every`-th sentence with another word in its middle."""
    changed = []
    for number, sentence in enumerate(sentences):
        words = sentence.split()
        if number % every == 0:
            words[5] = "otherwise"
        changed.append(" ".join(words))
    return changed


def _word(draw: random.Random) -> str:
    return "".join(draw.choice(_SYLLABLES) for _ in range(draw.randint(1, 4)))


def _sentence(words: Sequence[str]) -> str:
    return f"{' '.join(words).capitalize()}."
