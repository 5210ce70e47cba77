"""The rows one principal may read, as a bitmap that both indexes apply before they rank."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap
from sqlalchemy import bindparam, func, select, true
from sqlalchemy.engine import Connection

from catalog.database import Catalog
from catalog.models import AccessEntry, ChunkRow, Document, Epoch
from core.principals import Principal
from governance.access.bitmaps import bitmap_of, bits_at
from governance.access.membership import HELD, asking

_KEPT_VIEWS = 256

_NO_ROWS = np.zeros(0, np.int64)

# How often it is asked again who somebody is, while others change documents all the time.
_READINGS = 5

_LISTED = 500

_NOW = select(Epoch.value, HELD.c.id).select_from(Epoch).outerjoin(HELD, true())
"""The epoch, and everything somebody is: one statement, so that both are of one moment."""

# Built once: building a statement takes longer than running it.
_CHANGED = select(Document.id, Document.access_set_id, Document.version_id, Document.changed_epoch).where(
    Document.changed_epoch > bindparam("followed")
)
_RUNS = (
    select(ChunkRow.version_id, func.count(ChunkRow.id), func.min(ChunkRow.id), func.max(ChunkRow.id))
    .where(ChunkRow.version_id.in_(bindparam("listed", expanding=True)))
    .group_by(ChunkRow.version_id)
)
_ROWS = select(ChunkRow.version_id, ChunkRow.id).where(ChunkRow.version_id.in_(bindparam("listed", expanding=True)))
_ENTRIES = select(AccessEntry.access_set_id, AccessEntry.grantee_id, AccessEntry.effect).where(
    AccessEntry.access_set_id.in_(bindparam("listed", expanding=True))
)


@dataclass(frozen=True)
class Readable:
    """The catalog rows (chunk ids) that were readable at an epoch."""

    rows: FrozenBitMap
    epoch: int
    view: str
    """The same for people who may read the same access sets, and for nobody else."""


@dataclass(frozen=True)
class _View:
    rows: FrozenBitMap
    name: str


class ReadableRows:
    """Keeps, per access set, whom it names and the rows of the documents under it, following the catalog's epoch.

    Who somebody is, is asked of the catalog at every query. The rest is kept: an access set never changes, so a grant
    or a group change costs no row here. Which sets let somebody in is what `sets.READABLE_SETS` says, over what is
    kept. This only narrows the search; the gate decides again on the text.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._epoch = -1
        self._places = _Places()
        self._lists = _Lists()
        self._views: dict[FrozenBitMap, _View] = {}

    def of(self, principal: Principal) -> Readable:
        """What `principal` may read now: every change committed before the call is in it."""
        for _ in range(_READINGS):
            with self._catalog.read() as session:
                connection = session.connection()
                asked = connection.execute(_NOW, asking(principal)).all()
                epoch, held = asked[0][0], [number for _, number in asked if number is not None]
                with self._lock:
                    if epoch > self._epoch:
                        self._follow(connection, epoch)
                    view, at = self._view(FrozenBitMap(self._lists.letting_in(held) & self._places.used)), self._epoch
            if epoch == at:
                break
            # Others have changed documents since: what somebody was then and what lies where now is of no moment.
        return Readable(view.rows, at, view.name)

    def rows_of(self, document_id: str) -> NDArray[np.int64]:
        """The rows of a document, ascending, as of the last question; none of one that is not known."""
        with self._lock:
            return self._places.rows_of(document_id)

    def _follow(self, connection: Connection, epoch: int) -> None:
        """Take over what has changed: one statement tells where documents are, so it may tell of a later moment."""
        changed = connection.execute(_CHANGED, {"followed": self._epoch}).all()
        rows = _rows_of(connection, [version for _, _, version, _ in changed if version is not None])
        self._lists.learn(connection, {access_set_id for _, access_set_id, _, _ in changed})
        for document_id, access_set_id, version, _ in changed:
            # What was deleted, or never read, has no current version, so no rows.
            self._places.put(document_id, access_set_id, rows.get(version or 0, _NO_ROWS))
        if changed:
            self._views.clear()
        self._epoch = max([epoch, *(stamp for _, _, _, stamp in changed)])

    def _view(self, sets: FrozenBitMap) -> _View:
        view = self._views.get(sets)
        if view is None:
            if len(self._views) >= _KEPT_VIEWS:
                self._views.clear()
            view = _View(self._places.under(sets), _name(sets))
            self._views[sets] = view
        return view


class _Places:
    """Where every document is: its rows, which mostly follow one another, and its access set.

    Which rows may be read is looked up for all of them at once, in a time that depends neither on how many access sets
    there are nor on how many documents changed. It takes 4 bytes for each row number, and a number for each document.
    """

    def __init__(self) -> None:
        self._runs: dict[str, int] = {}  # the first row and the number of rows, 32 bits each
        self._scattered: dict[str, NDArray[np.int64]] = {}
        self._sets = np.zeros(0, np.uint32)  # of each row; 0, which is no access set, where there is no row any more
        self._highest = 0
        self._documents: Counter[int] = Counter()  # how many each access set has
        self.used = BitMap()
        """The access sets that have documents."""

    def put(self, document_id: str, access_set_id: int, rows: NDArray[np.int64]) -> None:
        """A document has these rows from now on, and no others."""
        before = self._runs.pop(document_id, None)
        if before is not None:
            gone = self._scattered.pop(document_id, _run(before))
            self._count(int(self._sets[gone[0]]), -1)
            self._sets[gone] = 0
        if len(rows) == 0:
            return
        if rows[-1] >= len(self._sets):
            self._sets = np.concatenate([self._sets, np.zeros(max(len(self._sets), int(rows[-1]) + 1), np.uint32)])
        self._runs[document_id] = int(rows[0]) << 32 | len(rows)
        if rows[-1] - rows[0] >= len(rows):
            self._scattered[document_id] = rows
        self._sets[rows] = access_set_id
        self._highest = max(self._highest, access_set_id)
        self._count(access_set_id, 1)

    def rows_of(self, document_id: str) -> NDArray[np.int64]:
        """The rows of a document, ascending."""
        run = self._runs.get(document_id)
        return self._scattered.get(document_id, _run(run)) if run is not None else _NO_ROWS

    def under(self, sets: FrozenBitMap) -> FrozenBitMap:
        """The rows of all documents under some access sets, which are used."""
        chosen = np.zeros(1 + self._highest, np.bool_)
        chosen[np.asarray(sets.to_array())] = True
        return bitmap_of(bits_at(chosen, self._sets)[0])

    def _count(self, access_set_id: int, documents: int) -> None:
        self._documents[access_set_id] += documents
        if self._documents[access_set_id]:
            self.used.add(access_set_id)
        else:
            del self._documents[access_set_id]
            self.used.discard(access_set_id)


class _Lists:
    """Whom the access sets of documents allow and deny, by whom they name."""

    def __init__(self) -> None:
        self._known = BitMap()
        self._naming: dict[int, BitMap] = {}
        self._denying: dict[int, BitMap] = {}

    def learn(self, connection: Connection, sets: Iterable[int]) -> None:
        new = [one for one in sets if one not in self._known]
        for some in _listed(new):
            for access_set_id, grantee_id, effect in connection.execute(_ENTRIES, {"listed": some}):
                self._naming.setdefault(grantee_id, BitMap()).add(access_set_id)
                if effect == "deny":
                    self._denying.setdefault(grantee_id, BitMap()).add(access_set_id)
        self._known.update(new)

    def letting_in(self, held: list[int]) -> BitMap:
        """The access sets that name one of `held` and deny none of them."""
        return _united(self._naming, held) - _united(self._denying, held)


def _united(sets: dict[int, BitMap], grantees: list[int]) -> BitMap:
    return BitMap.union(BitMap(), *filter(None, map(sets.get, grantees)))


def _run(place: int) -> NDArray[np.int64]:
    first, count = place >> 32, place & 0xFFFFFFFF
    return np.arange(first, first + count)


def _name(sets: FrozenBitMap) -> str:
    return hashlib.sha256(bytes(sets.to_array())).hexdigest()[:32]


def _rows_of(connection: Connection, version_ids: list[int]) -> dict[int, NDArray[np.int64]]:
    """The rows of versions, ascending; each row is asked for only where they do not follow one another."""
    found: dict[int, NDArray[np.int64]] = {}
    scattered: dict[int, list[int]] = {}
    for some in _listed(version_ids):
        for version_id, count, first, last in connection.execute(_RUNS, {"listed": some}):
            found[version_id] = np.arange(first, first + count)
            if last - first >= count:
                scattered[version_id] = []
    for some in _listed(list(scattered)):
        for version_id, row in connection.execute(_ROWS, {"listed": some}):
            scattered[version_id].append(row)
    return found | {version_id: np.sort(np.array(rows, np.int64)) for version_id, rows in scattered.items()}


def _listed(numbers: list[int]) -> Iterator[list[int]]:
    """Slices of a list, since databases bound the length of one."""
    for at in range(0, len(numbers), _LISTED):
        yield numbers[at : at + _LISTED]
