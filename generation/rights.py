"""Whether an answer in the making may still be shown: its passages readable, its quotes the stored text."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from core.answers import Citation, Hit, Passage
from core.cancellation import Cancellation
from core.principals import Principal
from governance.doors import Gate

# Rights lost while a model is silent end its writing after at most this long, in seconds; the promise is one second.
RECHECK_SECONDS = 0.5


@dataclass(frozen=True)
class Rights:
    """One principal's rights to the passages of one answer, looked up anew each time."""

    gate: Gate
    principal: Principal
    hits: Sequence[Hit]

    def hold(self, citations: Sequence[Citation] = ()) -> bool:
        """Whether the principal may still read every passage retrieved, and every quote is still the stored text.

        All passages count, not only the cited ones: a model has read them, and an abstention names what came near.
        """
        rows = [hit.passage.row for hit in self.hits]
        if not citations:
            return self.gate.readable(self.principal, rows) == len(rows)
        live = self.gate.passages(self.principal, rows)
        return len(live) == len(rows) and all(any(_quotes(one, passage) for passage in live) for one in citations)


@contextmanager
def watched(rights: Rights, cancel: Cancellation) -> Iterator[threading.Event]:
    """Cancel the writing when the rights are lost, also while nothing is written; the event then says so.

    Rights that cannot be looked up count as lost.
    """
    lost, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(RECHECK_SECONDS):
            held = False
            try:
                held = rights.hold()
            finally:
                if not held:
                    lost.set()
                    cancel.cancel()
            if not held:
                return

    thread = threading.Thread(target=watch, name="footnote-rights", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()


def _quotes(citation: Citation, passage: Passage) -> bool:
    """Whether the quote is exactly the passage's stored text at the citation's offsets."""
    if (citation.document_id, citation.version) != (passage.document_id, passage.version):
        return False
    if not passage.start <= citation.start < citation.end <= passage.end:
        return False
    return passage.text[citation.start - passage.start : citation.end - passage.start] == citation.quote
