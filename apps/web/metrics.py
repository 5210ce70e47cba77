"""What is counted and timed, for Prometheus; no label ever names a person or a document."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from core.answers import Answer

# From a cached check to an upload that waits for another writer, in seconds.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_AUDIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0)


class Metrics:
    """The metrics of one app, in a registry of their own, so that two apps in a process keep apart."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "footnote_http_requests",
            "Requests answered, by route template and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "footnote_http_request_seconds",
            "Time from a request's head to the end of its answer.",
            ["method", "route"],
            buckets=_REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._answers = Counter(
            "footnote_answers", "Questions answered with citations, by mode.", ["mode"], registry=self.registry
        )
        self._abstentions = Counter(
            "footnote_abstentions", "Questions not answered, by reason.", ["reason"], registry=self.registry
        )
        self._audit_wait = Histogram(
            "footnote_audit_wait_seconds",
            "Time an answer waited for its audit records.",
            buckets=_AUDIT_BUCKETS,
            registry=self.registry,
        )

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def answered(self, answer: Answer) -> None:
        """Count one answer or abstention."""
        if answer.abstained:
            self._abstentions.labels(answer.reason or "unknown").inc()
        else:
            self._answers.labels(answer.mode).inc()
        self._audit_wait.observe(answer.timings_ms.get("audit", 0.0) / 1000)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)
