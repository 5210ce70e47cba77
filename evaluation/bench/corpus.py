"""A synthetic corpus of any size, shaped like a real one: for measurements of speed, never of quality."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from retrieval.index.segment import IndexRow

WORDS_PER_CHUNK = 130  # about 195 word pieces, what chunking aims at
_VOCABULARY = 60_000
_ZIPF_EXPONENT = 1.0  # Zipf's law: the r-th most frequent word has 1/r of the first one's share
_TOPICS = 500
_TOPIC_WORDS = 400
_TOPIC_SHARE = 0.3  # of a chunk's words, the part that comes from its topic
_SPREAD = 0.8  # the length of what sets a vector apart from its topic's
_BATCH = 1_000


def synthetic_rows(n: int, seed: int, dimension: int = 384, first_row: int = 1) -> Iterator[IndexRow]:
    """`n` chunks about some hundreds of topics; the same seed gives the same ones.

    Words follow Zipf's law with a part drawn from the topic's own; vectors of a topic lie together, as do its chunks'
    localities. Rows count from `first_row`.
    """
    random = np.random.default_rng(seed)
    words = np.array([word_of(rank) for rank in range(_VOCABULARY)])
    shares = np.cumsum(1 / np.arange(1, _VOCABULARY + 1) ** _ZIPF_EXPONENT)
    centres = _unit(random.normal(size=(_TOPICS, dimension)))
    topic_words = random.integers(100, _VOCABULARY, (_TOPICS, _TOPIC_WORDS))
    for start in range(0, n, _BATCH):
        size = min(_BATCH, n - start)
        topics = random.integers(0, _TOPICS, size)
        vectors = _unit(centres[topics] + _SPREAD * _unit(random.normal(size=(size, dimension))))
        drawn = np.searchsorted(shares, random.random((size, WORDS_PER_CHUNK)) * shares[-1])
        own = topic_words[topics[:, None], random.integers(0, _TOPIC_WORDS, drawn.shape)]
        chosen = np.where(random.random(drawn.shape) < _TOPIC_SHARE, own, drawn)
        for i in range(size):
            text = " ".join(words[chosen[i]])
            yield IndexRow(first_row + start + i, vectors[i].astype(np.float32), text, "en", int(topics[i]))


def synthetic_queries(n: int, seed: int) -> list[str]:
    """`n` questions of a dozen words: half of them grammar, the others of the corpus, frequent and rare."""
    random = np.random.default_rng(seed)
    ranks = np.exp(random.uniform(np.log(20), np.log(_VOCABULARY), (n, 6))).astype(int)
    return [f"what is the {a} {b} of {c} and how does {d} {e} the {f}?" for a, b, c, d, e, f in _named(ranks)]


def _named(ranks: NDArray[np.int_]) -> Iterator[list[str]]:
    for row in ranks:
        yield [word_of(int(rank)) for rank in row]


def word_of(rank: int) -> str:
    """A pronounceable word for a rank, short where frequent."""
    consonants, vowels = "bdfgklmnprstvz", "aeiou"
    word, rest = "", rank + 1
    while rest:
        rest, digit = divmod(rest, len(consonants) * len(vowels))
        word += consonants[digit // len(vowels)] + vowels[digit % len(vowels)]
    return word


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
