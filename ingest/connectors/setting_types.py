"""Settings that several systems have: patterns of what to bring in, and links to where a person opens it."""

from __future__ import annotations

from string import Formatter
from typing import Annotated

import pathspec
from pydantic import AfterValidator


def _known_patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    try:
        pathspec.GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise ValueError("one of the patterns is none that .gitignore knows") from error
    return patterns


Patterns = Annotated[tuple[str, ...], AfterValidator(_known_patterns)]
"""Patterns as in .gitignore, the last that fits deciding."""


def link_with(*fields: str) -> AfterValidator:
    """A template of an address in which nothing stands in braces but these fields."""
    only = " and ".join(f"{{{name}}}" for name in fields)

    def check(link: str | None) -> str | None:
        try:
            named = [(name, form, turned) for _, name, form, turned in Formatter().parse(link or "")]
        except ValueError as error:
            raise ValueError(f"a brace of the link has no other; what may stand in it is {only}") from error
        # None: plain text, with nothing in braces.
        if any(name not in (None, *fields) or form or turned for name, form, turned in named):
            raise ValueError(f"nothing may stand in the braces of a link but {only}")
        return link

    return AfterValidator(check)
