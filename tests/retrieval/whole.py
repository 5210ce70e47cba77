"""That an index holds, for each of its rows, the vector and the words of the text which that row has in the catalog."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from indexed import ENCODER, text_of

from retrieval.analysis import index_terms
from retrieval.index import Snapshot
from retrieval.index.postings import term_key
from retrieval.index.segment import Segment


def assert_whole(snapshot: Snapshot) -> None:
    """Fails where a live row has another's vector, or words that its text does not have or lacks."""
    for segment in snapshot.segments:
        words = words_by_position(segment)
        for position, row in enumerate(segment.arrays.rows.tolist()):
            if row in segment.live:
                text = text_of(row)
                vector = segment.arrays.vectors[position].astype(np.float32)
                np.testing.assert_allclose(vector, ENCODER.encode_query(text), atol=1e-6, err_msg=f"row {row}")
                counts, length = index_terms(text, "en")
                assert words[position] == {term_key(term): count for term, count in counts.items()}, f"row {row}"
                assert segment.arrays.lengths[position] == length, f"row {row}"


def words_by_position(segment: Segment) -> dict[int, dict[int, int]]:
    """The keys of the terms of each chunk with how often they occur, read back from the postings."""
    arrays = segment.arrays
    keys = np.repeat(arrays.terms, np.diff(arrays.offsets))
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for key, chunk, count in zip(keys.tolist(), arrays.chunks.tolist(), arrays.frequencies.tolist(), strict=True):
        found[chunk][key] = count
    return found
