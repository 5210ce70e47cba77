"""What each policy masks, and masking that moves no offset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from core.answers import Span

MASK = "█"

Policy = Literal["open", "standard", "strict"]
"""From the most permissive to the strictest."""


_ALWAYS_READABLE = frozenset({"pii.email", "pii.phone"})


def masked_categories(policy: Policy, spans: Iterable[Span]) -> list[Span]:
    """Those of `spans` that `policy` masks: none, all but e-mail addresses and telephone numbers, or all."""
    if policy == "open":
        return []
    return [span for span in spans if policy == "strict" or span.category not in _ALWAYS_READABLE]


def mask(text: str, spans: Iterable[Span], offset: int = 0) -> str:
    """`text` with every character of `spans` replaced by `MASK`, line breaks kept; as long as it was.

    `text` begins at `offset` of what the spans count in; what lies outside of it is left out.
    """
    pieces, done = [], 0
    for span in sorted(spans):
        start, end = max(span.start - offset, done), min(span.end - offset, len(text))
        if start < end:
            pieces += [text[done:start], "".join("\n" if c == "\n" else MASK for c in text[start:end])]
            done = end
    return "".join([*pieces, text[done:]])
