"""What Prometheus sees of a home's state, looked up when it asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from catalog.models import Document
from wiring.home import Home


class HomeFigures(Collector):
    """Gauges of one home: documents, index."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def describe(self) -> list[Metric]:
        """Nothing is looked up when the collector is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield self._documents()
        yield from self._index()

    def _documents(self) -> Metric:
        family = GaugeMetricFamily("footnote_documents", "Documents, by state.", labels=["state"])
        with self._home.catalog.read() as session:
            for state, count in session.execute(select(Document.state, func.count()).group_by(Document.state)):
                family.add_metric([state], count)
        return family

    def _index(self) -> Iterator[Metric]:
        snapshot = self._home.index_reader.snapshot()
        yield GaugeMetricFamily("footnote_index_generation", "Generation of the index.", value=snapshot.generation)
        yield GaugeMetricFamily("footnote_index_chunks", "Chunks in the index.", value=len(snapshot.rows()))
