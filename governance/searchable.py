"""Text as indexes hold it: nobody can search for what the standard policy masks, whatever their own policy shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from core.documents import Chunk, span_with_context
from governance.redaction import masked_line
from governance.safety.sensitive import Policy, Span, mask, masked_categories

UNSEARCHABLE: Policy = "standard"
"""What this policy masks, no index holds: a ranking would tell who searches for it where it stands."""


def searchable_texts(title: str, chunks: Sequence[Chunk], text: str, sensitive: Sequence[Span]) -> Iterator[str]:
    """What is embedded and indexed of each chunk of `text`, in which `sensitive` stands."""
    masked = mask(text, masked_categories(UNSEARCHABLE, sensitive))
    return (searchable_text(title, chunk, masked[chunk.start : chunk.end]) for chunk in chunks)


def searchable_text(title: str, chunk: Chunk, masked: str) -> str:
    """What is embedded and indexed of one chunk: its masked span below its title, headings and table header."""
    heading = tuple(masked_line(part, UNSEARCHABLE) for part in chunk.heading)
    chunk = replace(chunk, heading=heading, header=masked_line(chunk.header, UNSEARCHABLE))
    return span_with_context(masked_line(title, UNSEARCHABLE), chunk, masked)


def about_text(title: str, heading: Sequence[str], place: str) -> str:
    """What is indexed of one chunk beside `searchable_text`: the words that say what it is about.

    Titles and headings count once more, for they are few and chosen; of its place in the source (a path, an address, a
    file's name) the words count that people know a document by. An id that is neither says nothing.
    """
    told = place if _tells(place) else ""
    return "\n".join(masked_line(part, UNSEARCHABLE) for part in (title, *heading, told) if part)


def names(title: str, place: str) -> tuple[str, ...]:
    """What a document is called: by its place where that has words that people know it by, and by its title."""
    return tuple(masked_line(part, UNSEARCHABLE) for part in (place if _tells(place) else "", title) if part)


def _tells(place: str) -> bool:
    return any(joint in place for joint in "/. ")
