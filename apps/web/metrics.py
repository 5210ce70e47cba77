"""What is counted and timed, for Prometheus (docs/metrics.md); no label ever names a person or a document."""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, generate_latest
from prometheus_client.registry import Collector

from core.answers import Answer, SearchResult

# From a cached check to an upload that waits for another writer, in seconds.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SEARCH_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_AUDIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0)
_STAGES = ("retrieve", "first_token", "total")
_PARTS = ("embed", "access", "dense", "lexical", "gate", "rerank", "total")


class Metrics:
    """The metrics of one app, in a registry of their own, so that two apps in a process keep apart."""

    def __init__(self, *collectors: Collector) -> None:
        """`collectors` look at something when Prometheus asks."""
        self.registry = CollectorRegistry()
        for collector in collectors:
            self.registry.register(collector)
        Info("footnote_build", "The version that runs.", registry=self.registry).info({"version": version("footnote")})
        self._requests = self._counter(
            "footnote_http_requests", "Requests answered, by route template and status.", "method", "route", "status"
        )
        self._seconds = self._histogram(
            "footnote_http_request_seconds",
            "Time from a request's head to the end of its answer.",
            _REQUEST_BUCKETS,
            "method",
            "route",
        )
        self._answers = self._counter("footnote_answers", "Questions answered with citations, by mode.", "mode")
        self._degraded = self._counter(
            "footnote_answers_degraded", "Answers that quotes began or ended because the model could not.", "cause"
        )
        self._abstentions = self._counter("footnote_abstentions", "Questions not answered, by reason.", "reason")
        self._answer_seconds = self._histogram(
            "footnote_answer_seconds",
            "Time from a question to its passages, to its first sentence and to its end.",
            _REQUEST_BUCKETS,
            "stage",
        )
        self._search_seconds = self._histogram(
            "footnote_search_seconds", "Time that the parts of a search took.", _SEARCH_BUCKETS, "part"
        )
        self._tokens = self._counter("footnote_tokens", "Tokens that a model read and wrote.", "direction")
        self._findings = self._counter(
            "footnote_safety_findings", "What the guards found, and what they did.", "where", "category", "action"
        )
        self._audit_wait = self._histogram(
            "footnote_audit_wait_seconds", "Time an answer waited for its audit records.", _AUDIT_BUCKETS
        )

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def searched(self, result: SearchResult) -> None:
        """Time one search."""
        for part in _PARTS:
            self._search_seconds.labels(part).observe(result.timings_ms.get(part, 0.0) / 1000)

    def answered(self, answer: Answer) -> None:
        """Count one answer or abstention."""
        if answer.abstained:
            self._abstentions.labels(answer.reason or "unknown").inc()
        else:
            self._answers.labels(answer.mode).inc()
        if answer.degraded:
            self._degraded.labels(answer.degraded["kind"]).inc()
        for stage in _STAGES:
            self._answer_seconds.labels(stage).observe(answer.timings_ms.get(stage, 0.0) / 1000)
        self._audit_wait.observe(answer.timings_ms.get("audit", 0.0) / 1000)
        self._tokens.labels("prompt").inc(answer.usage["prompt_tokens"])
        self._tokens.labels("completion").inc(answer.usage["completion_tokens"])
        for where in ("input", "output"):
            for finding in answer.safety[where]:
                self._findings.labels(where, finding["category"], finding["action"]).inc()
        for finding in answer.safety["passages"]:
            self._findings.labels("passages", finding["verdict"], "mark").inc()

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self.registry)
