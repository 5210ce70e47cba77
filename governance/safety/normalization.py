"""Text as detectors read it: what looks alike is written alike, what cannot be seen is gone, and offsets lead back."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import regex

# Letters that pass for Latin ones: the commonest pairs of Unicode Technical Standard #39, small capitals, and letters
# in circles, squares and flags.
_LOOKALIKES = (
    str.maketrans("аеорсухіјѕһԁԛԝɡαοενικρτυАВЕКМНОРСТХІЈЅ", "aeopcyxijshdqwgaoevikptuABEKMHOPCTXIJS")
    | str.maketrans("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢıօոսհ", "abcdefghijklmnoprstuvwyzionuh")
    | {first + at: chr(ord("A") + at) for first in (0x1F150, 0x1F170, 0x1F1E6) for at in range(26)}
)
# Unicode's tag characters spell ASCII that nobody sees.
_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
_DASHES = dict.fromkeys((*range(0x2010, 0x2016), 0x2043, 0x2212, 0xFE58, 0xFE63, 0xFF0D), "-")

# A character with the marks on it is folded as one, because marks compose with their letter.
_WITH_MARKS = regex.compile(r".\p{M}*", regex.DOTALL)
_BEYOND_ASCII = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+")
# Characters without a glyph (UAX #44, 5.9), and what is drawn around or through a letter or a digit: a mark that is
# part of the spelling of a Latin letter has composed with it, and other scripts have marks of their own.
_NOT_READ = regex.compile(
    r"[\p{DI}\p{Cf}\p{Me}]|(?<=[\p{Latin}\p{Nd}\p{DI}\p{Cf}\p{Me}])[\p{Mn}&&\p{Script=Inherited}]+", regex.VERSION1
)
_REMEMBERED_CHARACTERS = 16
_HIDDEN = regex.compile(
    # Joiners are part of the spelling of some scripts and of emoji; elsewhere they hide.
    r"(?<![\p{Arabic}\p{Devanagari}\p{Bengali}\p{Tamil}\p{Sinhala}\p{Malayalam}\p{So}\p{Sk}\ufe0f])[\u200c\u200d]"
    r"|[\p{Cf}--[\u200c\u200d]]|[\p{Cc}--[\n\t]]|[\u2028\u2029\ufffc\ufff9-\ufffb\u034f\u115f\u1160\u3164\uffa0]"
    # A selector chooses the form of the sign before it; more of them, or one after anything else, spell out of sight.
    r"|(?<=[\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
    r"|(?<!\p{Han})[\U000e0100-\U000e01ef]",
    regex.VERSION1,
)


@dataclass(frozen=True)
class Normalized:
    """`text` as detectors read it, and where each of its characters stands in the text it came from.

    From `folded_starts[i]` of `text` on, the characters come from `origin_starts[i]` on: one from one where
    `linear[i]`, else all of the run from all of it.
    """

    text: str
    folded_starts: tuple[int, ...]
    origin_starts: tuple[int, ...]
    linear: tuple[bool, ...]
    origin_length: int

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that `text[start:end]`, which is not empty, was written as."""
        return self._bounds(start)[0], self._bounds(end - 1)[1]

    def _bounds(self, at: int) -> tuple[int, int]:
        """Where the character at `at` begins and ends in the original."""
        run = bisect_right(self.folded_starts, at) - 1
        begins = self.origin_starts[run]
        if self.linear[run]:
            begins += at - self.folded_starts[run]
            return begins, begins + 1
        following = run + 1
        return begins, self.origin_starts[following] if following < len(self.linear) else self.origin_length


def normalize(text: str) -> Normalized:
    """`text` in NFKC (Unicode Standard Annex #15), Latin look-alikes as Latin letters, digits and dashes as ASCII's,
    tag characters spelled out, and nothing invisible."""
    if text.isascii():
        return Normalized(text, (0,), (0,), (True,), len(text))
    pieces: list[str] = []
    runs: list[tuple[int, int, bool]] = []
    length = seen = 0
    for start, end, folded in _changes(text):
        if start > seen or not runs:
            runs.append((length, seen, True))
            pieces.append(text[seen:start])
            length += start - seen
        runs.append((length, start, False))
        pieces.append(folded)
        length += len(folded)
        seen = end
    runs.append((length, seen, True))
    pieces.append(text[seen:])
    folded_starts, origin_starts, linear = zip(*runs, strict=True)
    return Normalized("".join(pieces), folded_starts, origin_starts, linear, len(text))


def without_invisible(text: str) -> str:
    """`text` without what is not seen or changes how its neighbours are seen: format and control characters, tags.

    Line breaks and tabs stay, and so do joiners where a script is spelled with them.
    """
    return text if text.isascii() and text.isprintable() else str(_HIDDEN.sub("", text))


def _changes(text: str) -> Iterator[tuple[int, int, str]]:
    """The spans of `text` that detectors read otherwise, and how."""
    for run in _BEYOND_ASCII.finditer(text):
        if _folded(run[0]) != run[0]:
            for found in _WITH_MARKS.finditer(text, *run.span()):
                if (folded := _folded(found[0])) != found[0]:
                    yield *found.span(), folded


def _folded(seen: str) -> str:
    """Characters with their marks. Only short runs come again: a paragraph of Chinese is one long run."""
    return _fold_again(seen) if len(seen) <= _REMEMBERED_CHARACTERS else _fold(seen)


def _fold(seen: str) -> str:
    spelled = unicodedata.normalize("NFKC", seen.translate(_TAGS)).translate(_LOOKALIKES).translate(_DASHES)
    return "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in _NOT_READ.sub("", spelled))


_fold_again = lru_cache(maxsize=16_384)(_fold)
