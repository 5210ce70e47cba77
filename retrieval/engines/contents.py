"""What an index holds, row by row as digests: the same for the same chunks, whatever engine has them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.engines.vectors import vector_digests
from retrieval.index.reader import Snapshot
from retrieval.index.segment import Segment
from retrieval.index.selection import Selection

_AT_ONCE = 2_000


@dataclass(frozen=True)
class Contents:
    """`n` chunks in the order of their rows, each with digests of 64 bits: of its vector, and of its words.

    Words are terms with their frequencies, length and language. The access set that a chunk was published with is
    left out: it is a hint, and may be another by now.
    """

    rows: NDArray[np.int64]  # (n,) ascending
    vectors: NDArray[np.int64]  # (n,)
    words: NDArray[np.int64]  # (n,)

    def checksum(self) -> str:
        """All of it as 128 bits of BLAKE2b (RFC 7693), in hexadecimal."""
        parts = (np.ascontiguousarray(part, "<i8").tobytes() for part in (self.rows, self.vectors, self.words))
        return hashlib.blake2b(b"".join(parts), digest_size=16).hexdigest()

    def differing(self, other: Contents) -> NDArray[np.int64]:
        """The rows that only one of both has, or that are not the same in both, ascending."""
        alone = np.setxor1d(self.rows, other.rows)
        _, here, there = np.intersect1d(self.rows, other.rows, return_indices=True)
        same = (self.vectors[here] == other.vectors[there]) & (self.words[here] == other.words[there])
        return np.sort(np.concatenate([alone, self.rows[here[~same]]]))


def contents_of(snapshot: Snapshot) -> Contents:
    """Everything that a generation holds; reads all of its vectors."""
    selection = snapshot.select(snapshot.rows())
    slots = selection.slots()
    rows = selection.rows_of(slots)
    words = np.concatenate([np.zeros(0, np.int64), *map(_word_digests, selection.segments)])[slots]
    order = np.argsort(rows)
    return Contents(rows[order], _vectors(selection, slots, rows)[order], words[order])


def _vectors(selection: Selection, slots: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    digests = [
        vector_digests(rows[at : at + _AT_ONCE], selection.vectors(slots[at : at + _AT_ONCE]))
        for at in range(0, len(slots), _AT_ONCE)
    ]
    return np.concatenate([np.zeros(0, np.int64), *digests])


def _word_digests(segment: Segment) -> NDArray[np.int64]:
    """(n,): for every chunk of a segment, in the order in which it is stored."""
    arrays = segment.arrays
    # Stable, so that the terms of a chunk stay ascending.
    order = np.argsort(arrays.chunks, kind="stable")
    terms = np.repeat(arrays.terms, np.diff(arrays.offsets)).astype("<u8")[order]
    frequencies = arrays.frequencies.astype("<u2")[order]
    ends = np.searchsorted(arrays.chunks[order], np.arange(len(arrays.rows) + 1))
    about = np.stack([arrays.rows, arrays.languages, arrays.lengths], axis=1).astype("<i8")
    digests = []
    for chunk, (start, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        digest = hashlib.blake2b(about[chunk].tobytes(), digest_size=8)
        digest.update(terms[start:end].tobytes())
        digest.update(frequencies[start:end].tobytes())
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), "<i8").astype(np.int64)
