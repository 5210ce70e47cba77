"""What could not be read, grouped by cause: an operator acts on a cause, not on a thousand lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from sqlalchemy import select

from catalog.database import Catalog
from catalog.models import Document, Source
from core.errors import Verdict
from ingest.report import Failure

NEXT_STEPS: Mapping[Verdict, str] = {
    "encrypted": "Have the owner save it without a password, then bring it in again.",
    "unsupported": "Have it saved in a format that is read, as the cause says, or leave it out.",
    "hostile": "Do not open it. Have whoever put it there explain it, and remove it from the source.",
    "timeout": "Split it, or raise parser_timeout_s; the next run tries it again.",
    "oom": "Split it, or raise parser_memory_bytes; the next run tries it again.",
    "too_large": "Split it, or raise max_document_bytes.",
    "crash": "The next run tries it again. If it stays, save it anew from the program that made it.",
    "partial": "What could be read is found. Have the rest repaired or saved anew.",
    "empty": "Nothing is lost: there is no text in it.",
    "malformed": "Fetch or save it anew from the program that made it.",
    "unreadable": "Let the account that runs Footnote read it; the next run tries it again.",
}
"""What to do about a verdict; the cause of a document says more."""

# What differs between documents with the same cause: sizes, counts, page numbers, and what is quoted.
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d.,]*")


@dataclass(frozen=True)
class FailureGroup:
    """Documents that could not be read for one reason: the cause of the first, and what to do about it."""

    verdict: str
    cause: str
    documents: tuple[str, ...]
    next_step: str


def grouped(failures: Iterable[Failure]) -> list[FailureGroup]:
    """Failures by verdict and cause, numbers and quoted names left aside; the largest group first."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((failure.verdict, _VARIABLE.sub("…", failure.cause)), []).append(failure)
    found = [
        FailureGroup(
            verdict,
            some[0].cause,
            tuple(one.external_id for one in some),
            NEXT_STEPS.get(cast(Verdict, verdict), ""),
        )
        for (verdict, _), some in groups.items()
    ]
    return sorted(found, key=lambda group: (-len(group.documents), group.verdict, group.cause))


def failures_of(catalog: Catalog, source_id: int | None = None) -> list[Failure]:
    """Every document that could not be read, or not whole, of a source or of all, by source and name."""
    query = (
        select(Document.external_id, Document.failure_verdict, Document.failure_cause)
        .join(Source, Source.id == Document.source_id)
        .where(Document.failure_verdict.is_not(None), Document.state != "deleted")
        .order_by(Source.name, Document.external_id)
    )
    if source_id is not None:
        query = query.where(Document.source_id == source_id)
    with catalog.read() as session:
        return [Failure(name, verdict or "", cause or "") for name, verdict, cause in session.execute(query)]
