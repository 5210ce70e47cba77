"""Patterns of paths: a folder with everything under it, or a glob, as one regular expression for many paths."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.errors import WrongUsage

MAX_PATTERN_CHARACTERS = 1_000

# Matching takes time in the power of how many `**` there are: with this many, a path of 30 folders takes microseconds.
MAX_DEEP_WILDCARDS = 3


def paths_matching(patterns: Sequence[str]) -> re.Pattern[str]:
    """Finds lines that are a path matching one of `patterns`: use `search` on paths, one a line.

    Without a wildcard a pattern names a document, or a folder with all that is under it. `*` and `?` stand for
    characters of one part, `**` for any number of parts; with a wildcard and no slash the last part alone is compared,
    as in .gitignore. Everything else stands for itself, and case counts. Raises `WrongUsage` for a pattern that is
    empty or too much to match.
    """
    return re.compile("^(?:" + "|".join(map(_expression, patterns)) + ")$", re.MULTILINE)


def checked_pattern(pattern: str) -> str:
    """The pattern; raises `WrongUsage` as `paths_matching` does."""
    _expression(pattern)
    return pattern


def _expression(pattern: str) -> str:
    path = pattern.removeprefix("/")
    if not path.strip("/ ") or "\n" in path:
        raise WrongUsage(f"{pattern!r} names no path; write a folder such as legal, or a pattern such as *.pdf.")
    if len(path) > MAX_PATTERN_CHARACTERS:
        raise WrongUsage(f"A path of {len(path):,} characters is too long; at most {MAX_PATTERN_CHARACTERS:,} are.")
    if "*" not in path and "?" not in path:
        return re.escape(path.rstrip("/")) + r"(?:/.*)?"
    parts = path.split("/")
    if parts.count("**") > MAX_DEEP_WILDCARDS:
        raise WrongUsage(f"{pattern!r} has more than {MAX_DEEP_WILDCARDS} times `**`; write fewer.")
    if len(parts) == 1:
        parts = ["**", *parts]
    if parts[-1] == "":  # a folder, as in .gitignore: what is in it
        parts[-1] = "**"
    expression = ""
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "**":
            expression += ".+" if last else "(?:[^/\n]+/)*"
        else:
            expression += _part(part) + ("" if last else "/")
    return expression


def _part(part: str) -> str:
    """One part of a path. What follows a wildcard is looked for at its first place only, which is enough: so that
    no pattern takes more than time in proportion to its path (Russ Cox, "Glob Matching Can Be Simple And Fast Too")."""
    first, *rest = [_literal(piece) for piece in re.split(r"\*+", part)]
    if not rest:
        return first
    middle = "".join(rf"(?>[^/\n]*?{piece})" for piece in rest[:-1])
    return rf"{first}{middle}[^/\n]*{rest[-1]}"


def _literal(piece: str) -> str:
    return "".join(r"[^/\n]" if character == "?" else re.escape(character) for character in piece)
