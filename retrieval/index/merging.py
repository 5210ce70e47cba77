"""Merging: which segments become one, and the arrays of the one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.index.manifest import SegmentRecord
from retrieval.index.postings import merge_postings
from retrieval.index.segment import Segment, SegmentArrays

# A segment joins the smaller ones when together they hold at least this part of what it does.
_GROWTH = 0.5

# A segment larger than this is left alone: rewriting it would delay a publish too long.
_LARGEST_MERGED = 1_000_000


def segments_to_merge(records: Sequence[SegmentRecord]) -> list[SegmentRecord]:
    """The segments to be merged into one, smallest first; none if all is well.

    Sizes grow geometrically, so n chunks lie in at most about log(n) segments and each is rewritten as often: the
    logarithmic method (Bentley and Saxe, 1980). A segment of which more than half has been dropped joins as well.
    """
    chosen: list[SegmentRecord] = []
    total = 0
    for record in sorted(records, key=lambda record: record.live):
        wasteful = 2 * record.live < record.count
        grown = bool(chosen) and total >= _GROWTH * record.live
        if record.live > _LARGEST_MERGED or not (wasteful or grown or not chosen):
            continue
        chosen.append(record)
        total += record.live
    lone = len(chosen) == 1 and 2 * chosen[0].live >= chosen[0].count
    return [] if lone else chosen


def merge_segments(segments: Sequence[Segment]) -> SegmentArrays:
    """The live chunks of `segments` as the arrays of one, ordered by locality, then row."""
    live = [np.isin(segment.arrays.rows, np.array(segment.live.to_array(), np.int64)) for segment in segments]
    rows = _gather(segments, live, "rows")
    locality = _gather(segments, live, "locality")
    order = np.lexsort((rows, locality))
    places = _places(live, order)
    postings = merge_postings([(segment.arrays, place) for segment, place in zip(segments, places, strict=True)])
    return SegmentArrays(
        vectors=_gather(segments, live, "vectors")[order],
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
