"""What all tests share: limits that fit the machine, and logging that each test finds as the first one did."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.support import deadlines, progress
from tests.support.scheduling import OneHeavyServer, place

# no example has to be quick: machines differ, and a test that is too long has a limit of its own
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

_LONGEST = 900.0
"""Seconds that a test may take on a slow machine, unless it says itself that it takes longer on any."""


def pytest_configure(config: pytest.Config) -> None:
    """Measure before xdist starts its workers, which take the figure from the environment."""
    deadlines.slowness()
    progress.register(config)
    configure = structlog.configure

    def without_cache(*arguments: object, **named: object) -> None:
        """No logger keeps what it was bound to when it was first used: a command may have been the first."""
        configure(*arguments, **{**named, "cache_logger_on_first_use": False})  # type: ignore[arg-type]

    structlog.configure = without_cache


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneHeavyServer:
    """Also where files, or single tests, are named on the command line."""
    return OneHeavyServer(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test's limit, its own or that of pyproject.toml, is that of a fast machine.

    On a slower one it is longer, but not so long that one test that hangs takes the time of all others.
    """
    items.sort(key=lambda item: place(item.nodeid))
    usual = float(config.getini("timeout"))
    for item in items:
        own = item.get_closest_marker("timeout")
        limit = float(own.args[0]) if own is not None else usual
        item.add_marker(pytest.mark.timeout(max(limit, min(deadlines.seconds(limit), _LONGEST))), append=False)


@pytest.fixture(autouse=True)
def logging_as_at_first() -> Iterator[None]:
    """What a command has done to logging is undone, also one that a fixture of a whole module has run."""
    structlog.reset_defaults()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
