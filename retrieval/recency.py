"""Recency: a bounded preference for what came in lately, for those who want it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

_DAY_US = timedelta(days=1) // timedelta(microseconds=1)

# The most of its score that age takes from a passage. So much parts passages that answer about as well, and brings none
# before one that answers clearly better.
MAX_DISCOUNT = 0.1


@dataclass(frozen=True)
class Recency:
    """Age takes at most `MAX_DISCOUNT` of a score, half of that once `half_life` has passed.

    Age counts in whole days (UTC), so that a question has one ranking on one day. Of equal scores the newer comes
    first.
    """

    half_life: timedelta

    def preferred(
        self, hits: Sequence[tuple[int, float]], changed_us: NDArray[np.int64], today: date
    ) -> tuple[tuple[tuple[int, float], ...], int]:
        """Rows and scores, best first, with the discount of their age; and how many of them are certain.

        `hits` are the best of a ranking, best first. A row behind them has at most the last one's score and loses
        something or nothing, so those that keep more than that are the best of all rows, by proof.
        """
        if not hits:
            return (), 0
        scores = np.array([score for _, score in hits]) * self.kept(changed_us, today)
        order = np.lexsort((np.array([row for row, _ in hits]), -changed_us, -scores))
        certain = int(np.count_nonzero(scores > hits[-1][1]))
        return tuple((hits[place][0], float(scores[place])) for place in order), certain

    def kept(self, changed_us: NDArray[np.int64], today: date) -> NDArray[np.float64]:
        """The share of its score that each passage keeps, from 1 - `MAX_DISCOUNT` to 1: all of tomorrow's."""
        day = np.floor_divide(changed_us, _DAY_US)
        age = np.maximum((today - date(1970, 1, 1)).days - day, 0)
        return np.asarray(1 - MAX_DISCOUNT * (1 - np.exp2(-age / (self.half_life / timedelta(days=1)))))
