"""OpenTelemetry spans: one per record, a child of its `traceparent`; none unless an endpoint is set.

The variables `OTEL_…` of the SDK's specification are respected: endpoint, headers, time-outs and certificates of the
exporter, sampler, limits, batches, resource and name of the service, `OTEL_TRACES_EXPORTER` and `OTEL_SDK_DISABLED`.
Attributes have the names of the semantic conventions for messaging and CloudEvents.
"""

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from headrace.extras import MissingExtra
from headrace.schemas.headers import CORRELATION, ID, SOURCE, SUBJECT, TRACEPARENT, TYPE
from headrace.schemas.record import Record

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_LONGEST = 1024
"""Bytes of a key or header that an attribute has. What anyone may send waits here by the thousand to be exported."""
_PROPAGATOR = TraceContextTextMapPropagator()
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS = {
    "messaging.message.id": ID,
    "messaging.message.conversation_id": CORRELATION,
    "cloudevents.event_id": ID,
    "cloudevents.event_source": SOURCE,
    "cloudevents.event_type": TYPE,
    "cloudevents.event_subject": SUBJECT,
}
"""Header that each attribute is of."""


class VariableUnfit(ValueError):
    """A variable of OpenTelemetry asks for something that is not there."""


class Tracing:
    """Creates spans if it is `on`."""

    def __init__(self, endpoint: str = "", exporter: "SpanExporter | None" = None) -> None:
        """`endpoint` comes before those of the variables. Raises VariableUnfit."""
        wanted = endpoint or exporter is not None or any(os.environ.get(name) for name in _ENDPOINTS)
        self.on = bool(wanted) and not _disabled()
        if self.on:
            self._provider = _provider(endpoint, exporter)
            self._tracer = self._provider.get_tracer("headrace")

    def span(self, component: str, group: str, record: Record) -> AbstractContextManager[Span]:
        """A span around the handling of one record by a component, whose consumer group is `group`."""
        headers = record.headers
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.consumer.group.name": group,
            "messaging.kafka.offset": record.offset,
            "headrace.component": component,
        }
        if record.key is not None:
            attributes["messaging.kafka.message.key"] = record.key[:_LONGEST].decode(errors="replace")
        for attribute, name in _HEADERS.items():
            if (value := headers.get(name)) is not None:
                attributes[attribute] = value[:_LONGEST].decode(errors="replace")
        return self._tracer.start_as_current_span(
            f"process {record.topic}",
            context=_PROPAGATOR.extract(
                {"traceparent": headers.get(TRACEPARENT, b"")[:_LONGEST].decode(errors="replace")}
            ),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
        )

    def close(self) -> None:
        """Send the remaining spans."""
        if self.on:
            self._provider.shutdown()


def _disabled() -> bool:
    exporters = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if exporters not in ("otlp", "none"):
        raise VariableUnfit(f"OTEL_TRACES_EXPORTER is {exporters!r}; otlp and none are there")
    protocol = next((value for name in _PROTOCOLS if (value := os.environ.get(name))), "http/protobuf")
    if protocol != "http/protobuf":
        raise VariableUnfit(f"{' or '.join(_PROTOCOLS)} is {protocol!r}; http/protobuf is there")
    return exporters == "none" or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _provider(endpoint: str, exporter: "SpanExporter | None") -> "TracerProvider":
    """What makes spans and sends them off; MissingExtra where that is not installed."""
    # ruff: noqa: PLC0415 - an extra, of use only with an endpoint
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(endpoint or None)
    except ModuleNotFoundError as error:
        raise MissingExtra("otel", error) from error
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # no variable names it
        resource = resource.merge(Resource({SERVICE_NAME: "headrace"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
