"""The attack on shared search indexes gains nothing: whoever owns a few documents cannot tell which words others use.

Wang et al., "Side-Channel Attacks on Shared Search Indexes" (IEEE S&P 2017): the attacker's documents hold words to be
tested; their scores, and the order and number of hits, are watched while others' documents come and go.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyroaring import BitMap

import retrieval.lexical
from inference.hashing import HashingEncoder
from retrieval.index import IndexReader, IndexRow, IndexWriter
from retrieval.index.selection import Selection
from retrieval.ranking import Ranker
from retrieval.scoring import NumpyLoops, Terms

ENCODER = HashingEncoder(32)
TERMS = 200
HIDDEN = 400
MOST_GAINED = 0.02
# Everything a search tells of one word: rows and scores, best first.
Seen = list[list[tuple[int, float]]]


def terms() -> list[str]:
    """Words that no stemmer shortens and no two of which share their beginning, all of one length."""
    random = np.random.default_rng(1)
    return ["q" + "".join(random.choice(list("bcdfghjkmptvwxz"), 9)) for _ in range(TERMS)]


def own_rows() -> list[IndexRow]:
    """The attacker's chunks: one for each word, of like form, with one vector, so that only the word can matter.

    And a longer one of a word that is asked for together with each of them, for their scores to be measured against.
    """
    vector = ENCODER.encode_query("filler")
    texts = [*(f"{term} filler filler" for term in terms()), f"yardstick {'filler ' * 9}"]
    return [IndexRow(row, vector, text, "en", 0) for row, text in enumerate(texts)]


def hidden_rows(planted: list[str], lengths: tuple[int, int]) -> list[IndexRow]:
    """Others' chunks of very different lengths, each with some of the planted words, often more than once."""
    random = np.random.default_rng(2)
    rows = []
    for number in range(HIDDEN):
        length = int(np.exp(random.uniform(np.log(lengths[0]), np.log(lengths[1]))))
        words = [*random.choice(planted, 1 + number % 4), *(["padding"] * length)]
        text = " ".join(random.permutation(words * int(random.integers(1, 3))))
        rows.append(IndexRow(1_000 + number, ENCODER.encode_query(text), text, "en", number % 7))
    return rows


def seen(folder: Path, words: list[str]) -> Seen:
    """What a search for each word tells the attacker."""
    ranker = Ranker(IndexReader(folder), ENCODER)
    mine, vector = BitMap(range(TERMS + 1)), ENCODER.encode_query("filler")
    return [list(ranker.rank(f"{word} yardstick", vector, mine, 20).hits) for word in words]


def publish(folder: Path, rows: list[IndexRow]) -> None:
    IndexWriter(folder, ENCODER.fingerprint, 32).publish(rows)


def attack(lengths: tuple[int, int], asked: Callable[[str], str]) -> tuple[float, float, bool]:
    """How much better than guessing it can be told which words are hidden in others' documents: from what is seen after
    these were brought in, and from how it has changed; and whether anything has changed."""
    words = terms()
    planted = np.random.default_rng(3).permutation(TERMS) < TERMS // 2
    questions = [asked(word) for word in words]
    with tempfile.TemporaryDirectory() as folder:
        publish(Path(folder), own_rows())
        before = seen(Path(folder), questions)
        publish(Path(folder), hidden_rows([word for word, there in zip(words, planted, strict=True) if there], lengths))
        after = seen(Path(folder), questions)
    own = measured(after)
    return gained(own, planted), gained(own - measured(before), planted), before != after


def measured(hits: Seen) -> np.ndarray:
    """The score of each word's own chunk against that of the yardstick."""
    scores = [dict(one) for one in hits]
    return np.array([one.get(row, 0.0) - one.get(TERMS, 0.0) for row, one in enumerate(scores)])


def gained(signal: np.ndarray, planted: np.ndarray) -> float:
    """What the best threshold, found on half of the words, gains over guessing on the others."""
    train, test = np.arange(TERMS) % 2 == 0, np.arange(TERMS) % 2 == 1
    best, right = 0.0, 0.0
    for threshold in [np.inf, *np.unique(signal[train])]:
        for guess in (signal >= threshold, signal < threshold):
            if (share := float(np.mean(guess[train] == planted[train]))) > best:
                best, right = share, float(np.mean(guess[test] == planted[test]))
    chance = max(float(np.mean(planted[test])), 1 - float(np.mean(planted[test])))
    return right - chance


def misspelled(word: str) -> str:
    return f"{word[:5]}{word[6]}{word[5]}{word[7:]}"


@pytest.mark.parametrize("lengths", [(1, 4), (40, 60), (1, 1_500)])
@pytest.mark.parametrize("asked", [str, misspelled])
def test_nothing_is_gained_on_200_words_by_whoever_may_not_read_them(
    lengths: tuple[int, int], asked: Callable[[str], str]
) -> None:
    by_score, by_change, changed = attack(lengths, asked)

    assert by_score <= MOST_GAINED
    assert by_change <= MOST_GAINED
    assert not changed


class CountingAll(NumpyLoops):
    """Counts every chunk that has a term, as the statistics of a whole index do."""

    def counts(self, terms: Terms) -> np.ndarray:
        return terms.last - terms.first


def test_the_attack_works_where_statistics_are_those_of_the_whole_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would prove nothing."""
    monkeypatch.setattr(retrieval.lexical, "loops", CountingAll)
    by_score, by_change, changed = attack((1, 1_500), str)

    assert by_score > 0.4 and by_change > 0.4 and changed


def test_a_mean_length_of_the_whole_index_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(selection: Selection) -> int:
        return sum(int(segment.arrays.lengths.sum()) for segment in selection.segments)

    monkeypatch.setattr(Selection, "words", property(words))

    assert attack((1, 1_500), str)[2]
