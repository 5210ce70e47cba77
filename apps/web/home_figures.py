"""What Prometheus sees of a home's state, looked up when it asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from catalog.job_records import count_jobs, oldest_queued
from catalog.models import Document
from ingest.sources import list_sources
from wiring.home import Home
from workers.doorbell import QUEUES


class HomeFigures(Collector):
    """Gauges of one home: documents, index, jobs, vLLM servers."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def describe(self) -> list[Metric]:
        """Nothing is looked up when the collector is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield self._documents()
        yield from self._index()
        yield from self._jobs()
        yield from self._model()
        yield from self._sources()

    def _sources(self) -> Iterator[Metric]:
        """By the source's number: its name may name a person or a matter."""
        lag = GaugeMetricFamily(
            "footnote_source_lag_seconds",
            "Time since everything a source had, or who may read it, was last known here.",
            labels=["source", "of"],
        )
        problems = GaugeMetricFamily(
            "footnote_source_problem", "1 where the last sync of a source came to no good end.", labels=["source"]
        )
        notices = GaugeMetricFamily(
            "footnote_source_notices", "Documents and groups that a source did not tell of.", labels=["source"]
        )
        now = datetime.now(UTC)
        for view in list_sources(self._home.catalog):
            if not view.standing:
                continue
            source = str(view.source_id)
            for of, moment in (("content", view.content_at), ("permissions", view.permissions_at)):
                if moment is not None:
                    lag.add_metric([source, of], max(0.0, (now - moment).total_seconds()))
            problems.add_metric([source], float(view.problem is not None))
            notices.add_metric([source], view.notices)
        yield lag
        yield problems
        yield notices

    def _documents(self) -> Metric:
        family = GaugeMetricFamily("footnote_documents", "Documents, by state.", labels=["state"])
        with self._home.catalog.read() as session:
            for state, count in session.execute(select(Document.state, func.count()).group_by(Document.state)):
                family.add_metric([state], count)
        return family

    def _jobs(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("footnote_jobs", "Jobs, by queue and state.", labels=["queue", "state"])
        for (queue, state), count in count_jobs(self._home.catalog).items():
            jobs.add_metric([queue, state], count)
        oldest = GaugeMetricFamily(
            "footnote_job_oldest_queued_seconds", "Wait of the oldest job that may run.", labels=["queue"]
        )
        waits = oldest_queued(self._home.catalog)
        for queue in QUEUES:
            oldest.add_metric([queue], waits.get(queue, timedelta()).total_seconds())
        yield jobs
        yield oldest

    def _index(self) -> Iterator[Metric]:
        snapshot = self._home.index_reader.snapshot()
        yield GaugeMetricFamily("footnote_index_generation", "Generation of the index.", value=snapshot.generation)
        yield GaugeMetricFamily("footnote_index_chunks", "Chunks in the index.", value=len(snapshot.rows()))

    def _model(self) -> Iterator[Metric]:
        """By the server's number in `vllm_urls`: an address belongs to no label."""
        outstanding = GaugeMetricFamily(
            "footnote_model_outstanding", "Requests under way at a vLLM server.", labels=["endpoint"]
        )
        left_out = GaugeMetricFamily(
            "footnote_model_breaker_open", "1 while a vLLM server is left out because it failed.", labels=["endpoint"]
        )
        for number, state in enumerate(self._home.vllm.states() if self._home.vllm else ()):
            outstanding.add_metric([str(number)], state.outstanding)
            left_out.add_metric([str(number)], state.open)
        yield outstanding
        yield left_out
