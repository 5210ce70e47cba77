"""Periods: the quarter, month or year that a document's name says it is of, and the one that a question asks about.

A report of one quarter reads like the next one's; what tells them apart is their name. Which quarter of a calendar a
company's fiscal one is does not matter here: the name and the question say the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

import regex

# Months are numbered from the year 0 on: 12 times the year, and 0 to 11.
_YEARS = range(1900, 2100)
MONTHS = range(12 * _YEARS.start, 12 * _YEARS.stop)

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}

_YEAR = r"(?:fy ?)?'?(?P<year>\d{4}|\d{2})"
_FULL_YEAR = r"(?P<year>\d{4})"
_GAP = r"[\s_./-]*(?:of )?(?:the )?(?:fiscal )?(?:year )?"
_REST = r"(?:uary|ruary|ch|il|e|y|ust|t|tember|ober|ember)?"
_MONTH = rf"(?P<month>{'|'.join(_NAMES)}){_REST}\.?"


def _quarter(found: regex.Match[str]) -> range:
    nth = found["nth"]
    first = 12 * _year(found) + 3 * ((_ORDINALS.get(nth) or int(nth)) - 1)
    return range(first, first + 3)


def _half(found: regex.Match[str]) -> range:
    first = 12 * _year(found) + 6 * (int(found["nth"]) - 1)
    return range(first, first + 6)


def _named_month(found: regex.Match[str]) -> range:
    first = 12 * _year(found) + _NAMES.index(found["month"])
    return range(first, first + 1)


def _numbered_month(found: regex.Match[str]) -> range:
    first = 12 * _year(found) + int(found["month"]) - 1
    return range(first, first + 1)


def _written_date(found: regex.Match[str]) -> range:
    """The month of a date, or its whole year where either number may be the month."""
    one, other = sorted((int(found["one"]), int(found["other"])))
    if one > 12 or (other <= 12 and other != one):
        return _whole_year(found)
    first = 12 * _year(found) + one - 1
    return range(first, first + 1)


def _whole_year(found: regex.Match[str]) -> range:
    first = 12 * _year(found)
    return range(first, first + 12)


# In this order; what one has read none after it reads again.
_FORMS: tuple[tuple[regex.Pattern[str], Callable[[regex.Match[str]], range]], ...] = tuple(
    (regex.compile(rf"(?<![\p{{L}}\p{{N}}])(?:{form})(?![\p{{L}}\p{{N}}])"), months)
    for form, months in (
        (rf"q(?P<nth>[1-4]){_GAP}{_YEAR}", _quarter),
        (rf"(?P<nth>[1-4])q{_GAP}{_YEAR}", _quarter),
        (rf"(?:fy ?)?{_FULL_YEAR}[\s_./-]*q(?P<nth>[1-4])", _quarter),
        (rf"(?P<nth>{'|'.join(_ORDINALS)})[ -](?:fiscal )?quarter,?{_GAP}{_FULL_YEAR}", _quarter),
        (rf"h(?P<nth>[12]){_GAP}{_YEAR}", _half),
        (rf"(?:fy ?)?{_FULL_YEAR}[\s_./-]*h(?P<nth>[12])", _half),
        (rf"(?:\d{{1,2}}\.? )?{_MONTH}(?: \d{{1,2}}(?:st|nd|rd|th)?)?,?[\s_-]*{_FULL_YEAR}", _named_month),
        (rf"{_FULL_YEAR}[-_./](?P<month>0[1-9]|1[0-2])(?:[-_./]\d{{2}})?", _numbered_month),
        (rf"(?P<one>\d{{1,2}})(?P<joint>[./])(?P<other>\d{{1,2}})(?P=joint){_FULL_YEAR}", _written_date),
        (rf"fy ?'?(?P<year>\d{{4}}|\d{{2}})|{_FULL_YEAR}", _whole_year),
    )
)

# Not every current is of today, and what is recent need not be the last of its kind.
_LATEST = regex.compile(
    r"\b(?:latest|newest|most recent"
    r"|(?:current|last|this) (?:\w+ )?(?:quarter|month|year|report|filing|edition|version|release|issue)(?:ly)?)\b"
)


def named_periods(text: str) -> list[range]:
    """The periods that a text names, as months; a quarter's year is not named by itself."""
    return list(_read(_plain(text)))


@lru_cache(maxsize=1 << 12)
def months_of(*names: str) -> tuple[int, ...]:
    """The months of all periods in the first of a document's names that names one, in order."""
    told = next(filter(None, map(named_periods, names)), [])
    return tuple(sorted({month for period in told for month in period}))


def asks_for_the_latest(question: str) -> bool:
    """Whether a question means the newest of several, whatever its date is."""
    return _LATEST.search(_plain(question)) is not None


def _read(text: str) -> Iterator[range]:
    for form, months in _FORMS:
        for found in form.finditer(text):
            if _year(found) in _YEARS:
                yield months(found)
        text = form.sub(" | ", text)


def _year(found: regex.Match[str]) -> int:
    year = int(found["year"])
    return year if year >= 100 else 2000 + year


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
