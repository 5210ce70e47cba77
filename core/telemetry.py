"""Spans of work for OpenTelemetry: names, numbers and ids, never what people wrote.

Without a collector (see `wiring.tracing`) a span costs a few microseconds and goes nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

Fact = bool | int | float | str

_tracer = trace.get_tracer("footnote")
# A fact in words is an id, a name of ours or a model's: no white space, no sentence.
_NAME = re.compile(r"[\w.:/@{}-]{1,100}", re.ASCII)


class Span:
    """One piece of work while it runs."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, **facts: Fact) -> None:
        """Add what came of it. A string that is no name (see `_NAME`) is left out, whoever passes it."""
        for name, fact in facts.items():
            if not isinstance(fact, str) or _NAME.fullmatch(fact):
                self._span.set_attribute(f"footnote.{name}", fact)


@contextmanager
def span(name: str, **facts: Fact) -> Iterator[Span]:
    """Trace the work inside. An error is noted by its class only: its message may quote a document or a question."""
    with _started(name, SpanKind.INTERNAL, facts) as one:
        yield one


@contextmanager
def request_span(name: str, headers: Mapping[str, str], **facts: Fact) -> Iterator[Span]:
    """Trace the answering of a request, as part of the caller's trace where it sent one (W3C Trace Context)."""
    token = context.attach(propagate.extract(headers))
    try:
        with _started(name, SpanKind.SERVER, facts) as one:
            yield one
    finally:
        context.detach(token)


def carry(headers: MutableMapping[str, str]) -> None:
    """Add the present trace to the headers of a request that leaves (W3C Trace Context)."""
    propagate.inject(headers)


@contextmanager
def _started(name: str, kind: SpanKind, facts: Mapping[str, Fact]) -> Iterator[Span]:
    with _tracer.start_as_current_span(
        name, kind=kind, record_exception=False, set_status_on_exception=False
    ) as current:
        one = Span(current)
        one.note(**facts)
        try:
            yield one
        except GeneratorExit:
            # Whoever listened has left: no failure.
            raise
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR))
            one.note(error=type(error).__name__)
            raise
