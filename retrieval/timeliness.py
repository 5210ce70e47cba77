"""Timeliness: which candidates are of the time that a question asks about, by what their documents are called."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.analysis import month_term
from retrieval.index.selection import Selection
from retrieval.lexical import frequencies, holding
from retrieval.periods import MONTHS, asks_for_the_latest, named_periods

# Of two documents the one that is so many months older is half as much the latest.
_HALF_MONTHS = 3


def shares_of_time(selection: Selection, query: str, slots: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """How far each slot is of the time that `query` asks about, in [0, 1]; None where it asks about none.

    A period that the question names counts before its "latest", which means the newest of the candidates.
    """
    if periods := named_periods(query):
        months = {month for period in periods for month in period}
        shares = np.logical_or.reduce([holding(selection, month_term(month), slots) for month in months])
    elif asks_for_the_latest(query) and len(slots):
        newest = _newest_months(selection, slots)
        shares = np.where(newest > 0, 0.5 ** ((newest.max() - newest) / _HALF_MONTHS), 0.0)
    else:
        return None
    return shares.astype(np.float64) if shares.any() else None


def _newest_months(selection: Selection, slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last month that each slot's document is of; 0 for one that is of none."""
    terms = [month_term(month) for month in MONTHS]
    newest = np.zeros(len(slots), np.int64)
    for month, term, having in zip(MONTHS, terms, frequencies(selection, terms), strict=True):
        if having:
            newest[holding(selection, term, slots)] = month
    return newest
