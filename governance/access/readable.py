"""The rows one principal may read, as a bitmap that both indexes apply before they rank."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

from pyroaring import BitMap, FrozenBitMap
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.database import Catalog
from catalog.models import ChunkRow, Document, Epoch
from core.principals import Principal
from governance.access.membership import asking
from governance.access.sets import READABLE_SETS

_KEPT_VIEWS = 256


@dataclass(frozen=True)
class Readable:
    """The catalog rows (chunk ids) that were readable at an epoch."""

    rows: FrozenBitMap
    epoch: int
    view: str
    """The same for people who may read the same access sets, and for nobody else."""


@dataclass(frozen=True)
class _Placed:
    access_set_id: int
    rows: FrozenBitMap


class ReadableRows:
    """Keeps, per access set, the rows of the documents under it, and follows the catalog by its epoch.

    A grant or a group change costs one row here too: rows belong to access sets, and which sets a principal may
    read is asked of the catalog at every query. This only narrows the search; the gate decides again on the text.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._epoch = -1
        self._documents: dict[str, _Placed] = {}
        self._rows: dict[int, BitMap] = {}
        self._views: dict[frozenset[int], FrozenBitMap] = {}

    def of(self, principal: Principal) -> Readable:
        """What `principal` may read now: every change committed before the call is in it."""
        with self._catalog.read() as session:
            epoch = session.scalars(select(Epoch.value)).one()
            sets = frozenset(session.scalars(READABLE_SETS, asking(principal)))
            with self._lock:
                if epoch > self._epoch:
                    self._follow(session, epoch)
                return Readable(self._view(sets), self._epoch, _name(sets))

    def _follow(self, session: Session, epoch: int) -> None:
        changed = session.execute(
            select(Document.id, Document.access_set_id, Document.version_id).where(Document.changed_epoch > self._epoch)
        ).all()
        rows = _rows_of(session, [version_id for _, _, version_id in changed if version_id is not None])
        for document_id, access_set_id, version_id in changed:
            placed = self._documents.pop(document_id, None)
            if placed is not None:
                self._rows[placed.access_set_id] -= placed.rows
            if version_id is not None:  # what was deleted, or never read, has no current version
                now = _Placed(access_set_id, FrozenBitMap(rows.get(version_id, ())))
                self._documents[document_id] = now
                self._rows.setdefault(access_set_id, BitMap()).update(now.rows)
        if changed:
            self._views.clear()
        self._epoch = epoch

    def _view(self, sets: frozenset[int]) -> FrozenBitMap:
        view = self._views.get(sets)
        if view is None:
            if len(self._views) >= _KEPT_VIEWS:
                self._views.clear()
            view = FrozenBitMap(BitMap.union(BitMap(), *(self._rows[s] for s in sets if s in self._rows)))
            self._views[sets] = view
        return view


def _name(sets: frozenset[int]) -> str:
    return hashlib.sha256(repr(sorted(sets)).encode()).hexdigest()[:32]


def _rows_of(session: Session, version_ids: list[int]) -> dict[int, list[int]]:
    """The rows of each of these versions; asked in slices, since databases bound the length of a list."""
    found: dict[int, list[int]] = {}
    for at in range(0, len(version_ids), 500):
        for row, version_id in session.execute(
            select(ChunkRow.id, ChunkRow.version_id).where(ChunkRow.version_id.in_(version_ids[at : at + 500]))
        ):
            found.setdefault(version_id, []).append(row)
    return found
