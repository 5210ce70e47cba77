"""What an ingest did, as in the published JSON."""

from __future__ import annotations

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
    failures: list[Failure] = field(default_factory=list)
    plan: list[PlannedChange] | None = None
    warnings: list[str] = field(default_factory=list)

    def fail(self, failure: Failure) -> None:
        self.failed += 1
        self.failures.append(failure)

    def to_json(self) -> dict[str, Any]:
        counts = ("added", "updated", "unchanged", "deleted", "failed", "access_changed", "moved", "missing")
        document: dict[str, Any] = {
            "source": self.source,
            "documents": {name: getattr(self, name) for name in counts},
            "chunks": self.chunks,
            "seconds": round(self.seconds, 3),
            "failures": [vars(failure) for failure in self.failures],
        }
        if self.plan is not None:
            document["plan"] = [vars(change) for change in self.plan]
        return document
