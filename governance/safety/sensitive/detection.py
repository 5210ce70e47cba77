"""Every detector over one text, and one list of spans that do not overlap."""

from __future__ import annotations

from collections.abc import Iterable

from core.answers import Span
from governance.safety.normalization import normalize
from governance.safety.sensitive.personal import personal_data
from governance.safety.sensitive.secrets import secrets

DETECTOR = "2"
"""Raised when detection changes what it finds, so that stored texts are looked at again."""

# What a span is taken for where several detectors found it: the first of these.
_PRECEDENCE = ("secret", "pii.iban", "pii.card", "pii.national_id", "pii.email", "pii.phone")


def sensitive_spans(text: str) -> tuple[Span, ...]:
    """Where secrets and personal data stand in `text`, in its own offsets, in order, none overlapping another."""
    seen = normalize(text)
    found = {*secrets(seen.text), *personal_data(seen.text)}
    return _disjoint(Span(*seen.origin(span.start, span.end), span.category) for span in found)


def _disjoint(spans: Iterable[Span]) -> tuple[Span, ...]:
    """What overlaps becomes one span of the category that comes first in `_PRECEDENCE`."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            last = merged.pop()
            category = min(last.category, span.category, key=_rank)
            span = Span(last.start, max(last.end, span.end), category)
        merged.append(span)
    return tuple(merged)


def _rank(category: str) -> int:
    return next(rank for rank, prefix in enumerate(_PRECEDENCE) if category.startswith(prefix))
