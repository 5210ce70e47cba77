"""Vectors on their way into another engine: unit length, digests, and the rows that go into segments without them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from retrieval.index.building import unit_vectors
from retrieval.index.segment import IndexRow

# The vector of a chunk in segments whose vectors another engine has: segments must hold some.
NO_VECTOR = np.ones(1, np.float32)

_BATCH = 1_000


@dataclass(frozen=True)
class VectorBatch:
    """`n` vectors on their way into an engine."""

    rows: NDArray[np.int64]  # (n,) catalog rows
    localities: NDArray[np.int64]  # (n,) the access sets the rows had when published
    vectors: NDArray[np.float32]  # (n, dimension), of length 1
    digests: NDArray[np.int64]  # (n,) see `vector_digests`


def vector_batches(
    rows: Iterable[IndexRow], fingerprint: str, dimension: int
) -> Iterator[tuple[VectorBatch, list[IndexRow]]]:
    """Rows in batches: their vectors, and the rows as they go into segments without them.

    Raises `Conflict` for a vector that is not of the model's dimension, zero, NaN or infinite.
    """
    stream = iter(rows)
    while batch := list(islice(stream, _BATCH)):
        vectors = unit_vectors(batch, dimension, fingerprint)
        numbers = np.array([row.row for row in batch], np.int64)
        localities = np.array([row.locality for row in batch], np.int64)
        words = [replace(row, vector=NO_VECTOR) for row in batch]
        yield VectorBatch(numbers, localities, vectors, vector_digests(numbers, vectors)), words


def vector_digests(rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n,): 64 bits of BLAKE2b (RFC 7693) over each row and its vector, little-endian: what `verify` compares."""
    contents = np.ascontiguousarray(vectors, "<f4")
    digests = [
        hashlib.blake2b(vector.tobytes(), digest_size=8, key=int(row).to_bytes(8, "little")).digest()
        for row, vector in zip(rows, contents, strict=True)
    ]
    return np.frombuffer(b"".join(digests), "<i8").astype(np.int64)
