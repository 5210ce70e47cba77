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
