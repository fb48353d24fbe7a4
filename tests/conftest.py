"""What all tests share: limits that fit the machine, and logging that each test finds as the first one did."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.support import deadlines


def pytest_configure(config: pytest.Config) -> None:
    """Measure before xdist starts its workers, which take the figure from the environment."""
    deadlines.slowness()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test's limit, its own or that of pyproject.toml, is that of a fast machine."""
    usual = float(config.getini("timeout"))
    for item in items:
        own = item.get_closest_marker("timeout")
        limit = float(own.args[0]) if own is not None else usual
        item.add_marker(pytest.mark.timeout(deadlines.seconds(limit)), append=False)


@pytest.fixture(autouse=True)
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a command does to logging is undone; no logger keeps what it was bound to when it was first used."""
    configure = structlog.configure

    def without_cache(*arguments: object, **named: object) -> None:
        configure(*arguments, **{**named, "cache_logger_on_first_use": False})  # type: ignore[arg-type]

    monkeypatch.setattr(structlog, "configure", without_cache)
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    configure(**configuration)
