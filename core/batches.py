"""A batch of questions: the rows of a file that was handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from core.answers import Answer, NearDocument

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

# A pause (an interruption, a night) counts as no more than this many ordinary gaps between two rows.
_LONGEST_GAP = 20


@dataclass(frozen=True)
class BatchQuestion:
    """One row of a file: the line it begins on, its question, and everything that stood in it, by column.

    `fault` says why it cannot be asked; empty where it can.
    """

    line: int
    question: str
    carried: Mapping[str, Json] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True)
class QuestionSheet:
    """A file of questions: its columns, the one that holds the question among them, and its rows in order."""

    columns: tuple[str, ...]
    rows: tuple[BatchQuestion, ...]


def time_left(finished: Sequence[datetime], waiting: int) -> timedelta | None:
    """How long `waiting` rows will take at the pace of those that finished last, given oldest first.

    None until two have finished; a pause between two runs hardly counts.
    """
    if not waiting:
        return timedelta()
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(finished)]
    if not gaps:
        return None
    longest = _LONGEST_GAP * max(median(gaps), 0.001)
    return timedelta(seconds=sum(min(gap, longest) for gap in gaps) / len(gaps) * waiting)


@dataclass(frozen=True)
class BatchResult:
    """What came of one row, as it may be shown now.

    `document` is the one a grid asked, None where it may not be read. Without an `answer`, `error` says why: it could
    not be asked, failed, waits still, or is withheld.
    """

    ordinal: int
    question: BatchQuestion
    document_id: str | None = None
    document: NearDocument | None = None
    answer: Answer | None = None
    audit_id: str | None = None
    error: str = ""
