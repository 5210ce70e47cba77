"""Merging: which segments become one, and the arrays of the one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.index.manifest import SegmentRecord
from retrieval.index.postings import Postings, merge_postings, vocabulary_of
from retrieval.index.segment import Segment, SegmentArrays

LARGEST_MERGED = 2_000_000
"""No segment of more chunks comes of a merge."""

# A segment joins the smaller ones when together they hold at least this part of what it does.
_GROWTH = 0.5

# So much is in memory at once, beside a few numbers for each chunk: 50 MB of vectors, and of postings 200 MB while they
# are sorted.
_CHUNKS_AT_ONCE = 32_768
_POSTINGS_AT_ONCE = 4_000_000


def segments_to_merge(records: Sequence[SegmentRecord], at_most: int = LARGEST_MERGED) -> list[SegmentRecord]:
    """The segments to be merged into one of `at_most` chunks, smallest first; none if all is well.

    Sizes grow geometrically, so n chunks lie in at most about log(n) segments and each is rewritten as often: the
    logarithmic method (Bentley and Saxe, 1980). A segment of which more than half has been dropped joins as well.
    """
    chosen: list[SegmentRecord] = []
    total = 0
    for record in sorted(records, key=lambda record: record.live):
        wasteful = 2 * record.live < record.count
        grown = bool(chosen) and total >= _GROWTH * record.live
        if total + record.live > at_most or not (wasteful or grown or not chosen):
            continue
        chosen.append(record)
        total += record.live
    lone = len(chosen) == 1 and 2 * chosen[0].live >= chosen[0].count
    return [] if lone else chosen


def merge_segments(segments: Sequence[Segment], scratch: Path | None = None) -> SegmentArrays:
    """The live chunks of `segments` as the arrays of one, ordered by locality, then row.

    What is large is gathered a part at a time: in files in `scratch`, a folder of the caller's, or else in memory.
    """
    live = [np.isin(segment.arrays.rows, np.array(segment.live.to_array(), np.int64)) for segment in segments]
    rows = _gather(segments, live, "rows")
    locality = _gather(segments, live, "locality")
    order = np.lexsort((rows, locality))
    places = _places(live, order)
    postings = _merged_postings(segments, places, scratch)
    return SegmentArrays(
        vectors=_merged_vectors(segments, live, order, scratch),
        rows=rows[order],
        locality=locality[order],
        languages=_gather(segments, live, "languages")[order],
        lengths=_gather(segments, live, "lengths")[order],
        terms=postings.terms,
        offsets=postings.offsets,
        chunks=postings.chunks,
        frequencies=postings.frequencies,
    )


def _gather(segments: Sequence[Segment], live: Sequence[NDArray[np.bool_]], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(segment.arrays, name)[kept] for segment, kept in zip(segments, live, strict=True)])


def _places(live: Sequence[NDArray[np.bool_]], order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Where each chunk of each segment goes in the merged order, -1 for what is dropped."""
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    places, start = [], 0
    for kept in live:
        place = np.full(len(kept), -1, np.int64)
        end = start + int(kept.sum())
        place[kept] = position[start:end]
        places.append(place)
        start = end
    return places


def _merged_vectors(
    segments: Sequence[Segment], live: Sequence[NDArray[np.bool_]], order: NDArray[np.int64], scratch: Path | None
) -> NDArray[np.float32]:
    merged = _room(scratch, "vectors", np.float32, (len(order), segments[0].arrays.vectors.shape[1]))
    owners = np.repeat(np.arange(len(segments)), [int(kept.sum()) for kept in live])[order]
    positions = np.concatenate([np.flatnonzero(kept) for kept in live])[order]
    for start in range(0, len(order), _CHUNKS_AT_ONCE):
        part = slice(start, start + _CHUNKS_AT_ONCE)
        for number, segment in enumerate(segments):
            here = np.flatnonzero(owners[part] == number)
            merged[start + here] = segment.arrays.vectors[positions[part][here]]
    return merged


def _merged_postings(
    segments: Sequence[Segment], places: Sequence[NDArray[np.int64]], scratch: Path | None
) -> Postings:
    """The postings of all, merged for some of the vocabulary at a time: each segment has those of a term together."""
    terms, counts = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    most = sum(len(segment.arrays.chunks) for segment in segments)
    chunks = _room(scratch, "chunks", np.uint32, (most,))
    frequencies = _room(scratch, "frequencies", np.uint16, (most,))
    end = 0
    for first, last in _vocabulary_parts([segment.arrays for segment in segments]):
        parts = [_some_terms(segment.arrays, first, last) for segment in segments]
        merged = merge_postings(list(zip(parts, places, strict=True)))
        start, end = end, end + len(merged.chunks)
        chunks[start:end], frequencies[start:end] = merged.chunks, merged.frequencies
        terms.append(merged.terms)
        counts.append(np.diff(merged.offsets))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    return Postings(np.concatenate(terms), offsets, chunks[:end], frequencies[:end])


def _vocabulary_parts(segments: Sequence[SegmentArrays]) -> Iterator[tuple[np.uint64, np.uint64]]:
    """The first and the last term of parts of the vocabulary, ascending, each of about as many postings as are merged
    at once; or of one term, of which there may be more."""
    vocabulary = vocabulary_of(segments)
    before = np.zeros(len(vocabulary), np.int64)
    for arrays in segments:
        before += arrays.offsets[np.searchsorted(arrays.terms, vocabulary, side="right")]
    start = 0
    while start < len(vocabulary):
        done = before[start - 1] if start else 0
        end = max(int(np.searchsorted(before, done + _POSTINGS_AT_ONCE, side="right")), start + 1)
        yield vocabulary[start], vocabulary[end - 1]
        start = end


def _some_terms(arrays: SegmentArrays, first: np.uint64, last: np.uint64) -> SegmentArrays:
    start = int(np.searchsorted(arrays.terms, first))
    end = int(np.searchsorted(arrays.terms, last, side="right"))
    offsets = arrays.offsets[start : end + 1]
    postings = slice(int(offsets[0]), int(offsets[-1]))
    return replace(
        arrays,
        terms=arrays.terms[start:end],
        offsets=offsets - offsets[0],
        chunks=arrays.chunks[postings],
        frequencies=arrays.frequencies[postings],
    )


def _room(scratch: Path | None, name: str, dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    if scratch is None or 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(scratch / name, dtype, "w+", shape=shape).view(np.ndarray)
