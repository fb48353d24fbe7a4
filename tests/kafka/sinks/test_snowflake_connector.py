"""Snowflake's own connector checks the rendered configuration, against an emulator; rows need the real service."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from headrace import Names, Sinks, Snowflake
from headrace.connectors.connect.client import ConnectClient
from headrace.embedded import EmbeddedConnect
from tests.support import fake_snowflake
from tests.support.sink_cards import PlayerCards

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def client(bootstrap: str) -> Iterator[ConnectClient]:
    """Of a worker with Snowflake's plug-in."""
    with EmbeddedConnect(
        bootstrap,
        [fake_snowflake.plugin()],
        group=f"connect-{uuid.uuid4().hex[:8]}",
        jvm=["--add-opens=java.base/java.nio=ALL-UNNAMED"],
    ) as worker:
        yield ConnectClient(worker.url)


def test_the_connector_takes_what_is_rendered_and_refuses_what_is_wrong(client: ConnectClient) -> None:
    with fake_snowflake.server() as (url, key):
        (one,) = Sinks(Snowflake(PlayerCards)).render(Names(), "main", client.plugins())
        values = {"snowflake.url.name": url, "snowflake.private.key": key, "snowflake.user.name": "fake"}
        config = {"name": one.name, **one.config, **values}
        assert client.validate(config) == {}
        assert "snowflake.private.key" in client.secret_settings(config["connector.class"])
        wrong = replace(one, config={**config, "snowflake.database.name": ""}).config
        assert "snowflake.database.name" in client.validate(wrong)
        assert "snowflake.private.key" in client.validate({**config, "snowflake.private.key": "none"})
