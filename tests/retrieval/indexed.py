"""Small indexes for the tests of this room, of chunks whose words are drawn from a short list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pyroaring import BitMap

from inference.hashing import HashingEncoder
from retrieval.index import IndexReader, IndexRow, IndexWriter
from retrieval.ranking import Ranker, Ranking

ENCODER = HashingEncoder(32)
WORDS = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("contract", "employee", "notice", "travel", "invoice"),
)


def text_of(row: int) -> str:
    """The text of a row, the same in every process; some rows share theirs."""
    random = np.random.default_rng(row % 40)
    return " ".join(random.choice(WORDS, int(random.integers(1, 12))))


def row_of(row: int, text: str | None = None) -> IndexRow:
    text = text_of(row) if text is None else text
    return IndexRow(row, ENCODER.encode_query(text), text, "en", locality=row % 3)


def writer(folder: Path) -> IndexWriter:
    return IndexWriter(folder, ENCODER.fingerprint, ENCODER.dimension)


def publish(folder: Path, rows: Iterable[int], dropped: Iterable[int] = ()) -> int:
    return writer(folder).publish(map(row_of, rows), dropped)


def ranker(folder: Path) -> Ranker:
    return Ranker(IndexReader(folder), ENCODER)


def build(folder: Path, publications: Sequence[tuple[Iterable[int], Iterable[int]]]) -> Ranker:
    """An index written in several publications of (added, dropped) rows."""
    for added, dropped in publications:
        publish(folder, added, dropped)
    return ranker(folder)


def rank(ranker: Ranker, query: str, readable: BitMap, k: int) -> Ranking:
    """A query embedded and ranked."""
    return ranker.rank(query, ranker.embed(query), readable, k)
