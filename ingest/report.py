"""What an ingest did, as in the published JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Failure:
    """A document that could not be read: `verdict` for machines, `cause` for its owner."""

    external_id: str
    verdict: str
    cause: str


@dataclass(frozen=True)
class PlannedChange:
    """One line of a dry run: what would happen to a document, and who could then read it."""

    external_id: str
    change: str
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    rule: str


@dataclass
class EmbedderTimes:
    """How long the embedder was at work, and how long it waited in between: for documents, or for room behind it."""

    busy_s: float = 0.0
    waited_s: float = 0.0
    _free_since: float | None = field(default=None, repr=False)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """One piece of its work; what lies between two pieces was waiting."""
        began = time.monotonic()
        if self._free_since is not None:
            self.waited_s += began - self._free_since
        yield
        self._free_since = time.monotonic()
        self.busy_s += self._free_since - began

    def add(self, other: EmbedderTimes) -> None:
        self.busy_s += other.busy_s
        self.waited_s += other.waited_s

    def to_json(self) -> dict[str, float]:
        return {"busy_s": round(self.busy_s, 3), "waited_s": round(self.waited_s, 3)}


@dataclass
class IngestReport:
    """Counts of one run over one source; `moved` documents are among the updated."""

    source: str
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    access_changed: int = 0
    moved: int = 0
    missing: int = 0
    chunks: int = 0
    seconds: float = 0.0
    embedder: EmbedderTimes = field(default_factory=EmbedderTimes)
    failures: list[Failure] = field(default_factory=list)
    plan: list[PlannedChange] | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the run has changed anything."""
        return any((self.added, self.updated, self.deleted, self.access_changed))

    @property
    def done(self) -> int:
        """How many documents were looked at."""
        return self.added + self.updated + self.unchanged + self.failed

    def add(self, other: IngestReport) -> None:
        """Count what another run over the same source did as well."""
        for name in ("added", "updated", "unchanged", "deleted", "failed", "access_changed", "moved", "chunks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seconds += other.seconds
        self.embedder.add(other.embedder)
        self.failures += other.failures
        self.warnings += other.warnings

    def fail(self, failure: Failure) -> None:
        self.failed += 1
        self.failures.append(failure)

    def note_partial(self, external_id: str, cause: str) -> None:
        """Name a document among the failures of which something could not be read; it is counted as what it became."""
        self.failures.append(Failure(external_id, "partial", cause))

    def to_json(self) -> dict[str, Any]:
        counts = ("added", "updated", "unchanged", "deleted", "failed", "access_changed", "moved", "missing")
        document: dict[str, Any] = {
            "source": self.source,
            "documents": {name: getattr(self, name) for name in counts},
            "chunks": self.chunks,
            "seconds": round(self.seconds, 3),
            "embedder": self.embedder.to_json(),
            "failures": [vars(failure) for failure in self.failures],
        }
        if self.plan is not None:
            document["plan"] = [vars(change) for change in self.plan]
        return document
