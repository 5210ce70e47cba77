"""Vectors of chunks with who may read them, questions under each filter, and the exact answers: all from a seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIMENSION = 384
CHUNKS_PER_DOCUMENT = 10
ACCESS_SETS = 1_000
READABLE = (1.0, 0.3, 0.1, 0.01, 0.001)
LAYOUTS = ("scattered", "clustered")
K = 10
_TOPICS = 500
# How far, as an angle's tangent, documents lie from their topic, their chunks from them, and questions from chunks.
_DOCUMENT_SPREAD, _CHUNK_SPREAD, _QUESTION_SPREAD = 0.7, 0.5, 0.6
_BATCH = 50_000


@dataclass(frozen=True)
class Filter:
    """Somebody who may read a share of the chunks: those whose access set, by one of `LAYOUTS`, is among `sets`.

    `sets` is None where all is readable.
    """

    readable: float
    layout: str
    sets: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """The share in percent, and how it lies."""
        return f"{100 * self.readable:g} %" + (f" {self.layout}" if self.sets is not None else "")

    def mask(self, sets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) which chunks pass; `sets` are (n, 2) as in `FilteredCorpus`."""
        if self.sets is None:
            return np.ones(len(sets), np.bool_)
        return np.isin(sets[:, LAYOUTS.index(self.layout)], self.sets)


@dataclass(frozen=True)
class FilteredCorpus:
    """`n` chunks in documents, documents in topics.

    A chunk has two access sets, for one experiment each: *scattered*, whatever the document is about, and *clustered*,
    where a topic's documents belong to two sets of its own.
    """

    vectors: NDArray[np.float32]  # (n, DIMENSION), of length 1
    sets: NDArray[np.int64]  # (n, 2), by `LAYOUTS`
    filters: tuple[Filter, ...]
    queries: NDArray[np.float32]  # (filters, q, DIMENSION), of length 1


def filtered_corpus(chunks: int, questions: int, seed: int) -> FilteredCorpus:
    """The same seed gives the same corpus; every other question of a filter is about a chunk that passes it."""
    random = np.random.default_rng(seed)
    topics = _unit(random.standard_normal((_TOPICS, DIMENSION), np.float32))
    documents = -(-chunks // CHUNKS_PER_DOCUMENT)
    order = random.permutation(documents)  # so that every topic and every set has its share of them
    topic_of = order % _TOPICS
    centres = _near(random, topics[topic_of], _DOCUMENT_SPREAD)
    vectors = np.empty((chunks, DIMENSION), np.float32)
    for at in range(0, chunks, _BATCH):
        owners = np.arange(at, min(at + _BATCH, chunks)) // CHUNKS_PER_DOCUMENT
        vectors[at : at + _BATCH] = _near(random, centres[owners], _CHUNK_SPREAD)
    per_topic = ACCESS_SETS // _TOPICS
    clustered = topic_of * per_topic + order // _TOPICS % per_topic
    of_document = np.stack([random.permutation(documents) % ACCESS_SETS, clustered], axis=1)
    sets = np.repeat(of_document, CHUNKS_PER_DOCUMENT, axis=0)[:chunks]
    filters = tuple(_filters())
    queries = np.stack([_queries(random, vectors, np.flatnonzero(one.mask(sets)), questions) for one in filters])
    return FilteredCorpus(vectors, sets, filters, queries)


def exact(corpus: FilteredCorpus, filter_number: int) -> NDArray[np.int64]:
    """(q, at most K) the chunks most similar to each question of a filter among those that pass it, by fp32."""
    rows = np.flatnonzero(corpus.filters[filter_number].mask(corpus.sets))
    passing = corpus.vectors if len(rows) == len(corpus.vectors) else corpus.vectors[rows]
    queries = corpus.queries[filter_number]
    found = np.empty((len(queries), min(K, len(rows))), np.int64)
    for at in range(0, len(queries), K):  # so that the products of a million chunks take little memory
        products = passing @ queries[at : at + K].T
        found[at : at + K] = rows[np.argsort(-products, axis=0, kind="stable")[:K].T]
    return found


def write_corpus(corpus: FilteredCorpus, folder: Path) -> None:
    """What `evaluation/peers/filtered_programs.py` reads."""
    for name in ("vectors", "sets", "queries"):
        np.save(folder / f"{name}.npy", getattr(corpus, name))
    filters = [{"column": one.layout, "sets": one.sets} for one in corpus.filters]
    (folder / "filters.json").write_text(json.dumps(filters), "utf-8")


def _filters() -> Iterator[Filter]:
    for readable in READABLE:
        if readable == 1:
            yield Filter(readable, LAYOUTS[0], None)
            continue
        for layout in LAYOUTS:
            yield Filter(readable, layout, tuple(range(round(readable * ACCESS_SETS))))


def _queries(
    random: np.random.Generator, vectors: NDArray[np.float32], passing: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    about = random.integers(0, len(vectors), count)
    about[::2] = random.choice(passing, len(about[::2]))
    return _near(random, vectors[about], _QUESTION_SPREAD)


def _near(random: np.random.Generator, centres: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
    """Unit vectors, each `spread` away from a centre in a direction of its own."""
    return _unit(centres + np.float32(spread) * _unit(random.standard_normal(centres.shape, np.float32)))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
