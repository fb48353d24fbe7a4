"""`headrace sinks redis` before anything runs: what is wrong is said."""

from types import ModuleType

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.declared_sinks import declared
from headrace.cli.deployment import Deployment
from headrace.cli.main import app
from headrace.examples.poker import sinks as poker_sinks

CARDS = "tests.support.cards:topology"


def sinks(*options: str, topology: str = CARDS) -> Result:
    """`headrace sinks redis`."""
    return CliRunner().invoke(app, ["sinks", "redis", "--topology", topology, "--bootstrap", "127.0.0.1:1", *options])


def test_a_topology_without_redis() -> None:
    result = sinks(topology="tests.support.bank.accounts:topology")
    assert (result.exit_code, "tests.support.bank.accounts declares no Redis" in result.stderr) == (2, True)


def test_a_projection_that_is_not_declared() -> None:
    result = sinks("--projection", "player-card")
    assert result.exit_code == 2
    assert (
        "no Redis is declared for 'player-card'; there are: brief-cards, brief-cards-v1, player-cards" in result.stderr
    )


@pytest.mark.parametrize("address", ["", "cache:6379", "redis://:hunter2@cache:x"])
def test_an_address_that_is_missing_or_none(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("REDIS_URL", address)
    result = sinks("--web-port", "0")
    assert result.exit_code == 3, result.stderr
    assert "Redis" in result.stderr
    assert "hunter2" not in result.stderr


def test_a_module_named_sinks_declares_nothing() -> None:
    """A package that has one may be the module of a topology; somebody imports the other, and nothing changes."""
    assert isinstance(poker_sinks, ModuleType)
    assert declared(Deployment("headrace.examples.poker:topology")) is None
