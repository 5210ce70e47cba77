"""What a parsed document links to, for tests of the formats that have links."""

from __future__ import annotations

from core.documents import Parsed


def links(parsed: Parsed) -> list[tuple[str, str]]:
    """What each link shows and where it leads, in the order of the text."""
    return [(parsed.text[one.start : one.end], one.target) for one in parsed.links]
