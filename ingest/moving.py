"""Moving the index to another engine: built there from the catalog, compared with what answers now, then switched."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import Conflict
from core.settings import EngineName
from ingest.indexing import IndexPublisher
from retrieval.engines.contents import contents_of
from retrieval.engines.protocol import IndexReading, IndexWriting
from retrieval.engines.switching import Place, Signpost, Whereabouts, new_place


@dataclass(frozen=True)
class MoveReport:
    """What was compared: chunks, and a checksum over every row's number, vector and words, on either side."""

    source: Place
    target: Place
    chunks: int
    target_chunks: int
    checksum: str
    target_checksum: str
    differing: tuple[int, ...]  # some of the rows that are not the same on both sides, ascending
    seconds: float

    @property
    def same(self) -> bool:
        """Both hold the same, to the last bit of every vector."""
        return self.checksum == self.target_checksum


@dataclass(frozen=True)
class Mover:
    """Moves an index between engines. Whoever calls holds the home's writer lock; readers follow the signpost."""

    publisher: IndexPublisher
    signpost: Signpost
    open_reader: Callable[[Place], IndexReading]
    open_writer: Callable[[Place], IndexWriting]
    remove: Callable[[Place], None]

    def move(self, engine: EngineName) -> MoveReport:
        """Build the index in `engine` from the catalog; once it is the same as the present one, that is the index.

        Questions are answered from the present one meanwhile, and those under way finish there: it stays until the
        next compaction. If both differ, nothing is switched, and what was built is removed. Raises `Conflict` where
        the index is in that engine already.
        """
        began = time.monotonic()
        whereabouts = self.signpost.read()
        source = whereabouts.present
        if source.engine == engine and source.begun:
            raise Conflict(f"The index is in {engine} already; nothing was changed.")
        target = new_place(engine)
        try:
            report = self._built(source, target, began)
        except BaseException:
            self.remove(target)
            raise
        if report.same:
            self.signpost.write(Whereabouts(target, (*whereabouts.former, source)))
        else:
            self.remove(target)
        return report

    def _built(self, source: Place, target: Place, began: float) -> MoveReport:
        self.open_writer(target).rebuild(self.publisher.index_rows(self.publisher.rows()))
        reader = self.open_reader(target)
        reader.verify()
        here, there = contents_of(self.open_reader(source).snapshot()), contents_of(reader.snapshot())
        return MoveReport(
            source,
            target,
            len(here.rows),
            len(there.rows),
            here.checksum(),
            there.checksum(),
            tuple(here.differing(there)[:_NAMED].tolist()),
            time.monotonic() - began,
        )


# Rows named in a report of a move that failed: enough to look into it.
_NAMED = 10
