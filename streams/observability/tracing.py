"""OpenTelemetry spans: one per record, a child of its `traceparent`; none unless an endpoint is set."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from headrace.extras import MissingExtra
from headrace.schemas.headers import CORRELATION, ID, TRACEPARENT, TYPE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """Creates spans if it is `on`."""

    def __init__(self, endpoint: str = "", exporter: "SpanExporter | None" = None) -> None:
        self.on = bool(endpoint or exporter)
        if self.on:
            self._provider = _provider(endpoint, exporter)
            self._tracer = self._provider.get_tracer("headrace")

    def span(self, domain: str, headers: Mapping[str, bytes]) -> AbstractContextManager[Span]:
        """A span around the handling of one record."""

        def text(name: str) -> str:
            return headers.get(name, b"").decode(errors="replace")

        return self._tracer.start_as_current_span(
            f"{domain} {text(TYPE)}",
            context=_PROPAGATOR.extract({"traceparent": text(TRACEPARENT)}),
            kind=SpanKind.CONSUMER,
            attributes={"messaging.message.id": text(ID), "headrace.correlation_id": text(CORRELATION)},
        )

    def close(self) -> None:
        """Send the remaining spans."""
        if self.on:
            self._provider.shutdown()


def _provider(endpoint: str, exporter: "SpanExporter | None") -> "TracerProvider":
    """What makes spans and sends them off; MissingExtra where that is not installed."""
    # ruff: noqa: PLC0415 - an extra, of use only with an endpoint
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(endpoint)
    except ModuleNotFoundError as error:
        raise MissingExtra("otel", error) from error
    provider = TracerProvider(resource=Resource.create({"service.name": "headrace"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
