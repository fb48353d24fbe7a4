"""What all tests share: limits that fit the machine."""

import pytest

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
