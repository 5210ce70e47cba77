"""Building: chunks in, the arrays of a segment out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.errors import Conflict
from retrieval.index.postings import build_postings
from retrieval.index.segment import IndexRow, SegmentArrays, language_code


def build_arrays(rows: Iterable[IndexRow], dimension: int, fingerprint: str) -> SegmentArrays:
    """The arrays of a segment of these chunks, ordered by locality, then row.

    Raises `Conflict` for a vector that is not of `dimension` numbers, or zero or not finite.
    """
    batch = sorted(rows, key=lambda row: (row.locality, row.row))
    postings, lengths = build_postings(batch)
    return SegmentArrays(
        vectors=unit_vectors(batch, dimension, fingerprint),
        rows=np.array([row.row for row in batch], np.int64),
        locality=np.array([row.locality for row in batch], np.int64),
        languages=np.array([language_code(row.language) for row in batch], np.uint16),
        lengths=lengths,
        terms=postings.terms,
        offsets=postings.offsets,
        chunks=postings.chunks,
        frequencies=postings.frequencies,
    )


def unit_vectors(batch: list[IndexRow], dimension: int, fingerprint: str) -> NDArray[np.float32]:
    """(len(batch), dimension): the vectors, scaled to length 1; raises as `build_arrays` does."""
    for row in batch:
        if row.vector.shape != (dimension,):
            raise Conflict(
                f"The vector of row {row.row} has shape {row.vector.shape}, the index holds vectors of "
                f"{dimension}: embed the chunk again with the model {fingerprint}."
            )
    vectors = np.array([row.vector for row in batch], np.float32).reshape(len(batch), dimension)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    sound = np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)
    if not sound.all():
        unsound = batch[int(np.argmin(sound))].row
        raise Conflict(f"The vector of row {unsound} is zero, NaN or infinite: embed the chunk again.")
    unit: NDArray[np.float32] = vectors / lengths
    return unit
