"""What the rest of the house asks of an index: reading follows its generations, writing makes the next one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from retrieval.index.reader import Snapshot
from retrieval.index.segment import IndexRow


class IndexReading(Protocol):
    """Follows an index that other processes may be writing; safe to share between threads."""

    def snapshot(self) -> Snapshot:
        """The present generation; one that another process has just published is seen at once.

        Raises `IndexDamaged` if what is stored is not what was written or an earlier version wrote it, `Conflict` if a
        later one did, and `Transient` if an engine on another machine does not answer.
        """

    def sound(self) -> Snapshot:
        """What is not damaged of the present generation; nothing, where an engine cannot tell."""

    def verify(self) -> None:
        """Read everything; raises `IndexDamaged` naming the first thing that is not what was written."""

    def check_remembered(self) -> None:
        """Read what opening took on trust; if any of it is damaged, the next `snapshot` says so or has made it good."""


class IndexWriting(Protocol):
    """Writes an index of vectors of one model.

    Several may exist; publishing, they wait for each other. Whoever is killed at any point leaves the present
    generation as it was.
    """

    def publish(self, added: Iterable[IndexRow], dropped: Iterable[int] = ()) -> int:
        """Add and drop chunks in one step, and return the number of the generation that shows it.

        A row that is added again replaces the former. Raises `Conflict`, and changes nothing, if the index holds
        vectors of another model or another analysis of text, a row is given twice, or a vector is not of this model's
        dimension or not finite.
        """

    def rebuild(self, rows: Iterable[IndexRow]) -> int:
        """Replace all that the index holds, whatever model or version it was made with, or how damaged it is."""

    def merge(self, if_more_than: int = 0) -> bool:
        """Merge what publishes have left unmerged, while others publish; whether anything was. Nothing, where there are
        not more than so many segments, or an engine does this by itself."""

    def compact(self) -> None:
        """Remove what is left of dropped chunks from where the index is stored."""
