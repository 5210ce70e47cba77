"""Postings: which chunks a term occurs in and how often, built from texts and merged from segments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.analysis import index_terms, link_term, month_term, telling_stems
from retrieval.index.segment import IndexRow, SegmentArrays

_MOST_FREQUENT = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Postings:
    """The lexical part of a segment's arrays, see `SegmentArrays`."""

    terms: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    chunks: NDArray[np.uint32]
    frequencies: NDArray[np.uint16]


@lru_cache(maxsize=1 << 18)
def term_key(term: str) -> int:
    """A term as 64 bits of BLAKE2b (RFC 7693).

    Two of a million terms share a key with a probability of 3e-8; the files hold no words.
    """
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")


def build_postings(rows: Iterable[IndexRow]) -> tuple[Postings, NDArray[np.uint32]]:
    """The postings and the lengths of chunks, given in the order of the segment."""
    keys: list[NDArray[np.uint64]] = []
    frequencies: list[NDArray[np.uint16]] = []
    lengths: list[int] = []
    for row in rows:
        counts, length = index_terms(row.text, row.language)
        counts.update(map(month_term, row.months))
        for number, link in enumerate(row.links, start=1):
            if stems := telling_stems(link, row.language):
                # Of which link it is the name, in place of how often it occurs: the first of several of one name.
                counts.setdefault(link_term(stems), number)
        keys.append(np.fromiter(map(term_key, counts), np.uint64, len(counts)))
        frequencies.append(np.minimum(np.fromiter(counts.values(), np.int64, len(counts)), _MOST_FREQUENT))
        lengths.append(length)
    owners = np.repeat(np.arange(len(keys), dtype=np.uint32), [len(chunk) for chunk in keys])
    terms, which = np.unique(_joined(keys, np.uint64), return_inverse=True)
    postings = _grouped(terms, which, owners, _joined(frequencies, np.uint16))
    return postings, np.array(lengths, dtype=np.uint32)


def merge_postings(parts: Sequence[tuple[SegmentArrays, NDArray[np.int64]]]) -> Postings:
    """The postings of several segments as one.

    With each segment comes where its chunks go, -1 for those that are left out.
    """
    which: list[NDArray[np.int64]] = []
    owners: list[NDArray[np.uint32]] = []
    frequencies: list[NDArray[np.uint16]] = []
    terms = vocabulary_of([arrays for arrays, _ in parts])
    for arrays, places in parts:
        place = places[arrays.chunks]
        kept = place >= 0
        own = np.repeat(np.searchsorted(terms, arrays.terms), np.diff(arrays.offsets))
        which.append(own[kept])
        owners.append(place[kept].astype(np.uint32))
        frequencies.append(arrays.frequencies[kept])
    return _grouped(terms, _joined(which, np.int64), _joined(owners, np.uint32), _joined(frequencies, np.uint16))


def vocabulary_of(segments: Sequence[SegmentArrays]) -> NDArray[np.uint64]:
    """The terms of all segments, ascending, each once.

    As `numpy.unique`, which for a million of them held Python's lock for 175 ms; sorting lets go of it.
    """
    terms = np.sort(_joined([arrays.terms for arrays in segments], np.uint64))
    first = np.ones(len(terms), np.bool_)
    first[1:] = terms[1:] != terms[:-1]
    return terms[first]


def _grouped(
    terms: NDArray[np.uint64],
    which: NDArray[np.int64],
    owners: NDArray[np.uint32],
    frequencies: NDArray[np.uint16],
) -> Postings:
    """Postings in the order of term, then chunk; a term that no chunk is left of goes."""
    order = np.argsort(which << 32 | owners)
    counts = np.bincount(which, minlength=len(terms))
    used = counts > 0
    offsets = np.concatenate([[0], np.cumsum(counts[used])]).astype(np.int64)
    return Postings(terms[used], offsets, owners[order], frequencies[order])


def _joined(parts: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype, copy=False)
