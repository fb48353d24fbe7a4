"""Which variables turn spans on and off, and what they may ask for."""

import os

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from headrace.schemas.headers import CORRELATION, ID, SOURCE, SUBJECT, TRACEPARENT, TYPE
from headrace.schemas.record import Record
from headrace.streams.observability.tracing import Tracing, VariableUnfit


@pytest.fixture(autouse=True)
def without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_variables_turn_spans_on_and_off(variables: dict[str, str], on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Tracing().on == on


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER is 'zipkin'; otlp and none are there"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "is 'grpc'; http/protobuf is there"),
    ],
)
def test_what_is_not_there_is_said_at_start(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(VariableUnfit, match=said):
        Tracing("http://127.0.0.1:1")


def test_the_service_has_the_name_that_a_variable_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Tracing(exporter=InMemorySpanExporter())._provider.resource.attributes["service.name"] == "headrace"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "cards")
    assert Tracing(exporter=InMemorySpanExporter())._provider.resource.attributes["service.name"] == "cards"


def test_what_anyone_may_send_is_cut() -> None:
    """Thousands of spans wait to be exported, and each of these headers may have a megabyte."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter=exporter)
    headers = dict.fromkeys((ID, SOURCE, TYPE, SUBJECT, CORRELATION, TRACEPARENT), b"x" * 100_000)
    with tracing.span("account", "group", Record("commands", 0, 0, 0, b"k" * 100_000, b"", headers)):
        pass
    tracing.close()
    (span,) = exporter.get_finished_spans()
    assert max(len(str(value)) for value in (span.attributes or {}).values()) == 1024
