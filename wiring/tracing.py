"""Sending traces to an OpenTelemetry collector."""

from __future__ import annotations

from importlib.metadata import version

from opentelemetry import trace

from core.errors import WrongUsage


def send_traces(url: str) -> None:
    """Send this process's spans to the collector at `url` (OTLP over HTTP, such as http://collector:4318/v1/traces).

    Nothing happens for an empty `url`, or when this process sends already. What is
    pending is sent when the process ends.
    """
    if not url:
        return
    # Imported here because it takes longer to load than most commands take to run.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    if not url.startswith(("http://", "https://")):
        raise WrongUsage(
            f"traces_url must be an http(s) address, such as http://collector:4318/v1/traces; it is {url!r}."
        )
    provider = TracerProvider(
        resource=Resource.create({"service.name": "footnote", "service.version": version("footnote")})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=5)))
    trace.set_tracer_provider(provider)
