"""Neighbours: what stands before and after the passages that were found, for whoever reads them to answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import aliased

from catalog.database import Catalog
from catalog.models import ChunkRow
from core.answers import Hit, SearchResult
from governance.doors import Gate


@dataclass(frozen=True)
class Neighbours:
    """Reads the chunks beside each of the best `passages` of a search: a list begun in one, a table continued in it."""

    catalog: Catalog
    gate: Gate
    passages: int

    def read_with(self, found: SearchResult) -> SearchResult:
        """What was found, and after it, with score 0, what stands beside the best of it and was not found itself.

        A neighbour is of the same version of the same document, and comes through the gate for the same principal: it
        is a passage like any other, cited by its own place and looked up again before an answer is shown.
        """
        have = {hit.passage.row for hit in found.hits}
        best = [hit.passage.row for hit in found.hits[: self.passages]]
        with self.catalog.read() as session:
            beside = session.execute(_BESIDE, {"rows": best}).all()
        places = {row: place for place, row in enumerate(best)}
        ordered = sorted(beside, key=lambda one: (places[one.row], one.neighbour))
        rows = [row for row in dict.fromkeys(one.neighbour for one in ordered) if row not in have]
        read = self.gate.passages(found.principal, rows)
        further = (Hit(rank, 0.0, passage) for rank, passage in enumerate(read, start=len(found.hits) + 1))
        return replace(found, hits=(*found.hits, *further))


_FOUND, _NEAR = aliased(ChunkRow), aliased(ChunkRow)
_BESIDE = (
    select(_FOUND.id.label("row"), _NEAR.id.label("neighbour"))
    .join(_NEAR, _NEAR.version_id == _FOUND.version_id)
    .where(
        _FOUND.id.in_(bindparam("rows", expanding=True)),
        or_(_NEAR.ordinal == _FOUND.ordinal - 1, _NEAR.ordinal == _FOUND.ordinal + 1),
    )
)
