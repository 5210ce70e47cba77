"""BM25 at a million chunks: how long a question's words take, whatever part of them may be read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from evaluation.bench.corpus import WORDS_PER_CHUNK, synthetic_queries, word_of
from evaluation.bench.report import BenchReport, Claim, Row, this_machine
from retrieval.analysis import index_terms, query_terms
from retrieval.index.manifest import SegmentRecord
from retrieval.index.postings import term_key
from retrieval.index.segment import Segment, SegmentArrays
from retrieval.index.selection import Selection, select
from retrieval.lexical import bm25
from retrieval.scoring import CompiledLoops, Loops, NumpyLoops, loops

CHUNKS = 1_000_000
ACCESS_SETS = 10_000
DEPTH = 200
TARGET_MS = 5.0
FRACTIONS = (1.0, 0.3, 0.1, 0.01, 0.001, 0.0001)
_SEGMENTS = (0.5, 0.25, 0.125, 0.125)  # the logarithmic method's sizes
_QUERIES = 60
_REPETITIONS = 5
_VOCABULARY = 60_000
_TOPICS, _TOPIC_WORDS, _TOPIC_SHARE = 500, 400, 0.3
_BATCH = 50_000


def run_lexical(chunks: int = CHUNKS) -> BenchReport:
    """Milliseconds to find a question's 200 best chunks by its words and to score 200 others, at every readable part.

    What may be read is a union of access sets of neighbouring chunks ("clustered"), or chunks drawn singly.
    """
    segments = synthetic_segments(chunks, seed=7)
    queries = [query_terms(query, "en") for query in synthetic_queries(_QUERIES, seed=3)]
    rows, slowest = [], 0.0
    for layout, fraction, readable in readable_parts(chunks):
        selection = select(segments, readable)
        selection.words  # noqa: B018  # taken once for a readable set, as `footnote bench access` counts it
        figures: dict[str, float] = {"readable": len(selection)}
        for name, using in _engines():
            spent = _spent(selection, queries, using)
            figures[f"{name}_ms_p50"] = round(float(np.median(spent[:, 0])), 3)
            figures[f"{name}_ms_p95"] = round(float(np.percentile(spent[:, 0], 95)), 3)
            figures[f"{name}_processor_ms_p50"] = round(float(np.median(spent[:, 1])), 3)
        rows.append(Row(f"{layout}, {fraction:.4%}", figures))
        slowest = max(slowest, next(iter(value for name, value in figures.items() if name.endswith("_ms_p50"))))
    claim = f"BM25 over {chunks:,} chunks takes at most {TARGET_MS:g} ms at the median, whatever part is readable"
    return BenchReport("lexical", this_machine(), tuple(rows), (Claim.at_most(claim, slowest, TARGET_MS),))


def readable_parts(chunks: int) -> Iterator[tuple[str, float, BitMap]]:
    """Readable rows of every size, gathered in access sets of neighbours and scattered."""
    random = np.random.default_rng(1)
    size = max(chunks // ACCESS_SETS, 1)
    for fraction in FRACTIONS:
        wanted = max(round(chunks * fraction / size), 1)
        sets = random.permutation(chunks // size)[:wanted]
        yield "clustered", fraction, BitMap((sets[:, None] * size + np.arange(size)).ravel().astype(np.uint32))
        if fraction < 1:
            drawn = np.flatnonzero(random.random(chunks) < fraction)
            yield "scattered", fraction, BitMap(drawn.astype(np.uint32))


def synthetic_segments(chunks: int, seed: int) -> list[Segment]:
    """Segments as publishing texts of `corpus.synthetic_rows` would make them, without the texts and the vectors.

    Their chunks have the rows 0 to `chunks` - 1. Making the texts and taking them apart again would take minutes.
    """
    random = np.random.default_rng(seed)
    topic_words = random.integers(100, _VOCABULARY, (_TOPICS, _TOPIC_WORDS))
    names = [list(index_terms(word_of(rank), "en")[0]) for rank in range(_VOCABULARY)]
    segments, first = [], 0
    for share in _SEGMENTS:
        size = round(chunks * share)
        segments.append(_segment(random, size, first, topic_words, names))
        first += size
    return segments


def _segment(
    random: np.random.Generator, size: int, first: int, topic_words: NDArray[np.int64], names: list[list[str]]
) -> Segment:
    topics = np.sort(random.integers(0, _TOPICS, size))
    owners, frequencies, words = _occurrences(random, topics, topic_words)
    ends = np.concatenate([[0], np.cumsum(np.bincount(words, minlength=_VOCABULARY))])
    order = np.argsort(words, kind="stable")
    owners, frequencies = owners[order], frequencies[order]
    # Words share a stem here and there; one of them then stands for it.
    keyed = {term_key(term): word for word, terms in enumerate(names) for term in terms if ends[word] < ends[word + 1]}
    terms = sorted(keyed)
    parts = [slice(ends[keyed[term]], ends[keyed[term] + 1]) for term in terms]
    arrays = SegmentArrays(
        vectors=np.zeros((size, 1), np.float32),
        rows=np.arange(first, first + size, dtype=np.int64),
        locality=topics.astype(np.int64),
        languages=np.zeros(size, np.uint16),
        lengths=random.integers(WORDS_PER_CHUNK // 2, WORDS_PER_CHUNK * 3 // 2, size).astype(np.uint32),
        terms=np.array(terms, np.uint64),
        offsets=np.cumsum([0, *(part.stop - part.start for part in parts)], dtype=np.int64),
        chunks=np.concatenate([owners[part] for part in parts]),
        frequencies=np.concatenate([frequencies[part] for part in parts]),
    )
    return Segment(SegmentRecord(f"synthetic-{first}", size, size, 0.0, 0.0, {}), arrays, None, BitMap())


def _occurrences(
    random: np.random.Generator, topics: NDArray[np.int64], topic_words: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint16], NDArray[np.uint16]]:
    """Each word of each chunk: the chunk, how often, and the word; by chunk."""
    shares = np.cumsum(1 / np.arange(1, _VOCABULARY + 1))  # Zipf's law
    found = []
    for start in range(0, len(topics), _BATCH):
        some = topics[start : start + _BATCH]
        drawn = np.searchsorted(shares, random.random((len(some), WORDS_PER_CHUNK)) * shares[-1])
        own = topic_words[some[:, None], random.integers(0, _TOPIC_WORDS, drawn.shape)]
        words = np.where(random.random(drawn.shape) < _TOPIC_SHARE, own, drawn).astype(np.uint64)
        keys = np.sort((words + (np.arange(len(some), dtype=np.uint64) << np.uint64(16))[:, None]).ravel())
        places = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        counts = np.diff(np.append(places, len(keys)))
        distinct = keys[places]
        owners = (distinct >> np.uint64(16)).astype(np.uint32) + np.uint32(start)
        found.append((owners, counts.astype(np.uint16), (distinct & np.uint64(0xFFFF)).astype(np.uint16)))
    owners, frequencies, words = (np.concatenate(part) for part in zip(*found, strict=True))
    return owners, frequencies, words


def _engines() -> Iterator[tuple[str, Loops]]:
    if isinstance(loops(), CompiledLoops):
        yield "footnote", loops()
        yield "without_compiler", NumpyLoops()
    else:
        yield "footnote", NumpyLoops()


def _spent(selection: Selection, queries: list[list[tuple[str, float]]], using: Loops) -> NDArray[np.float64]:
    """Milliseconds of each query by the clock and of the processor, the fastest of a few: (queries, 2)."""
    random = np.random.default_rng(2)
    others = np.sort(random.permutation(selection.slots())[:DEPTH])

    def search(terms: list[tuple[str, float]]) -> None:
        scores = bm25(selection, terms, using)
        scores.best(DEPTH)
        scores.of(others)

    repetitions = _REPETITIONS if isinstance(using, CompiledLoops) else 1
    return np.array([np.min([_milliseconds(search, query) for _ in range(repetitions)], axis=0) for query in queries])


def _milliseconds(
    work: Callable[[list[tuple[str, float]]], None], query: list[tuple[str, float]]
) -> tuple[float, float]:
    began, own = time.perf_counter(), time.thread_time()
    work(query)
    return (time.perf_counter() - began) * 1000, (time.thread_time() - own) * 1000
