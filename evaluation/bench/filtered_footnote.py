"""What `evaluation/peers/filtered_programs.py` does with a peer, done with our index and with a plain scan beside it.

Run as `python -m evaluation.bench.filtered_footnote SYSTEM CORPUS STORE RESULT SECONDS`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from evaluation.bench.filtered_corpus import LAYOUTS, K
from evaluation.peers.filtered_programs import Search, main
from retrieval.dense import nearest
from retrieval.index import IndexReader, IndexRow, IndexWriter

FOOTNOTE, FLAT = "footnote", "flat fp32"
_FINGERPRINT = "synthetic vectors"


def footnote(vectors: NDArray[np.float32], sets: NDArray[np.int64], store: Path) -> Search:
    """The dense part of our index, published as ingestion does. Who is new pays for their selection once.

    Localities follow the clustered sets; the scattered ones are therefore nobody's locality.
    """
    writer = IndexWriter(store, _FINGERPRINT, vectors.shape[1])
    writer.publish(
        IndexRow(row, vector, "chunk", "en", locality=int(sets[row, 1])) for row, vector in enumerate(vectors)
    )
    reader = IndexReader(store)
    rows_of = [_rows_by_set(sets[:, column]) for column in range(len(LAYOUTS))]
    known: dict[tuple[str, int], BitMap] = {}

    def search(query: NDArray[np.float32], layout: str, allowed: list[int] | None) -> list[int]:
        key = (layout, len(allowed or ()))
        if key not in known:
            known[key] = (
                BitMap(range(len(sets)))
                if allowed is None
                else BitMap.union(*(rows_of[LAYOUTS.index(layout)].get(one, BitMap()) for one in allowed))
            )
        selection = reader.snapshot().select(known[key])
        slots, _ = nearest(selection, query, K)
        found: list[int] = selection.rows_of(slots).tolist()
        return found

    return search


def flat(vectors: NDArray[np.float32], sets: NDArray[np.int64], store: Path) -> Search:
    """NumPy compares the query with every vector that passes, on one thread; which these are is known beforehand."""
    known: dict[tuple[str, int], NDArray[np.int64]] = {}

    def search(query: NDArray[np.float32], layout: str, allowed: list[int] | None) -> list[int]:
        key = (layout, len(allowed or ()))
        if key not in known:
            known[key] = np.flatnonzero(np.isin(sets[:, LAYOUTS.index(layout)], allowed)) if allowed else np.arange(0)
        rows = known[key]
        products = vectors[rows] @ query if allowed else vectors @ query
        best = np.argpartition(-products, K)[:K] if len(products) > K else np.arange(len(products))
        best = best[np.argsort(-products[best])]
        found: list[int] = (rows[best] if allowed else best).tolist()
        return found

    return search


SYSTEMS: dict[str, Callable[[NDArray[np.float32], NDArray[np.int64], Path], Search]] = {FOOTNOTE: footnote, FLAT: flat}


def _rows_by_set(sets: NDArray[np.int64]) -> dict[int, BitMap]:
    order = np.argsort(sets, kind="stable")
    names, starts = np.unique(sets[order], return_index=True)
    return {int(name): BitMap(rows) for name, rows in zip(names, np.split(order, starts[1:]), strict=True)}


if __name__ == "__main__":
    main(sys.argv[1:], SYSTEMS)
