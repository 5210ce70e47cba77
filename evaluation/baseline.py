"""A result beside an earlier one: which figures have become worse by more than chance explains."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import WrongUsage

Result = Mapping[str, Any]

# More questions make a figure steadier: twice the standard error would be about 1 / sqrt(n) for a share near one half,
# and paired runs over the same questions vary far less than that.
LEAST_TOLERANCE = 0.005
TOLERANCE_FOR_ONE = 0.2

_LOWER_IS_BETTER = frozenset({"false_positive_rate"})
_NO_QUALITY = frozenset({"questions", "abstained", "rows", "threshold", "seconds"})
_PARTS = ("retrieval", "answers")

_Path = tuple[str, ...]
_Figure = tuple[float | None, int]


@dataclass(frozen=True)
class Regression:
    """One figure of one set that is worse than it was by more than `tolerance`."""

    set: str
    figure: str
    was: float
    now: float | None
    tolerance: float

    def __str__(self) -> str:
        now = "no longer measured" if self.now is None else f"{self.now:.3f} now"
        return f"{self.set}: {self.figure} was {self.was:.3f} and is {now} (tolerance {self.tolerance:.3f})"


def tolerance(count: int) -> float:
    """How much worse a mean over `count` questions may be before it is called worse."""
    return max(LEAST_TOLERANCE, TOLERANCE_FOR_ONE / math.sqrt(max(count, 1)))


def compare(result: Result, baseline: Result) -> list[Regression]:
    """Every figure of the baseline that `result` falls short of; a part that this run skipped is not compared."""
    now = dict(_figures(result))
    return [
        Regression(str(baseline["set"]), ".".join(path), was, now.get(path, (None, 0))[0], tolerance(count))
        for path, (was, count) in _figures(baseline)
        if was is not None and _ran(result, path) and _is_worse(path[-1], was, now.get(path, (None, 0))[0], count)
    ]


def read_baseline(file: Path) -> dict[str, Result]:
    """The results of an earlier `footnote eval --json`, one or a list of them, by set; raises `WrongUsage`."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUsage(f"{file} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise WrongUsage(f"{file} is not JSON ({error}).") from error
    results = document if isinstance(document, list) else [document]
    if not all(isinstance(one, dict) and isinstance(one.get("set"), str) for one in results):
        raise WrongUsage(f"{file} holds no results: write it with `footnote eval DIR --json`.")
    return {one["set"]: one for one in results}


def _is_worse(figure: str, was: float, now: float | None, count: int) -> bool:
    if now is None:
        return True
    loss = now - was if figure in _LOWER_IS_BETTER else was - now
    return loss > tolerance(count)


def _ran(result: Result, path: _Path) -> bool:
    """Whether this run did the part that a figure belongs to."""
    parts = [name for name in path if name in _PARTS]
    return not parts or parts[0] in result


def _figures(part: Result, path: _Path = (), count: int = 0) -> Iterator[tuple[_Path, _Figure]]:
    """Each figure by its path, with the number of questions (or rows) that it is a mean over."""
    count = int(part.get("questions", part.get("rows", count)))
    for name, value in part.items():
        if isinstance(value, Mapping):
            yield from _figures(value, (*path, name), count)
        elif name not in _NO_QUALITY and (value is None or isinstance(value, int | float)):
            yield (*path, name), (value, count)
