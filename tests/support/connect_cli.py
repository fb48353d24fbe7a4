"""`headrace connect` on real brokers and a real worker, for sinks of the player cards under a prefix of their own."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from typer.testing import CliRunner

from headrace import Sinks
from headrace.cli.main import app
from headrace.connectors.connect.client import ConnectClient
from headrace.embedded import EmbeddedConnect
from tests.support import sink_cards
from tests.support.connector import Connector
from tests.support.deployment import until
from tests.support.search_sink import Documents


class SinksDeployment:
    """Documents of player cards, and their sinks as `headrace connect` has them."""

    def __init__(self, patch: pytest.MonkeyPatch, bootstrap: str, connect: EmbeddedConnect, folder: Path) -> None:
        self.prefix = f"t{uuid.uuid4().hex[:8]}."
        self.connect = connect
        self.documents = Documents(bootstrap, f"{self.prefix}main.player-cards-v1.documents")
        self._secrets = folder / "secrets.properties"
        self._patch = patch
        variables = {"BOOTSTRAP": bootstrap, "PREFIX": self.prefix, "CONNECT_URL": connect.url}
        for name, value in {"TOPOLOGY": "tests.support.sink_cards:topology", **variables}.items():
            patch.setenv(f"HEADRACE_{name}", value)

    def secret(self, name: str, value: str) -> str:
        """A reference to a value, in a file that the worker can read."""
        with self._secrets.open("a") as file:
            file.write(f"{name}={value}\n")
        return f"${{file:{self._secrets}:{name}}}"

    def declare(self, *sinks: Any) -> None:
        """The sinks, in place of those that were declared before."""
        self._patch.setattr(sink_cards, "sinks", Sinks(*sinks))

    def run(self, *arguments: str, code: int = 0) -> str:
        """Output of `headrace connect …`, which must end with `code`."""
        return self.headrace("connect", *arguments, code=code)

    def headrace(self, *arguments: str, code: int = 0) -> str:
        """Output of `headrace …`, which must end with `code`."""
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == code, result.output
        return result.output

    def status(self) -> list[dict[str, Any]]:
        """What `status` says of each sink, whether it runs or not."""
        result = CliRunner().invoke(app, ["connect", "status", "--json"])
        assert result.exit_code in (0, 1), result.output
        return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]

    def await_caught_up(self) -> None:
        """Wait until all sinks run and have nothing before them; a task that has failed ends the wait."""

        def done() -> bool:
            found = self.status()
            assert not any(task["error"] for row in found for task in row["tasks"]), found
            return all(row["runs"] and row["lag"] == 0 for row in found)

        try:
            until(done, "all sinks had caught up", 60)
        except AssertionError as error:
            error.add_note(f"{self.status()}\n{self.connect.logs[0].read_text()[-5000:]}")
            raise

    def keep_deletions(self, milliseconds: int) -> None:
        """Let the topic of documents keep deletions for so long."""
        resource = ConfigResource(ResourceType.TOPIC, self.documents.topic)
        entry = ConfigEntry("delete.retention.ms", str(milliseconds), incremental_operation=AlterConfigOpType.SET)
        resource.add_incremental_config(entry)
        admin = AdminClient({"bootstrap.servers": self.documents.bootstrap})
        admin.incremental_alter_configs([resource])[resource].result(30)

    def connector(self, kind: str) -> Connector:
        """One of its connectors."""
        return Connector(self.connect.url, f"{self.prefix}main.player-cards-v1.{kind}")

    def client(self) -> ConnectClient:
        """Of its worker, for what a person might do by hand."""
        return ConnectClient(self.connect.url)

    def clean(self) -> None:
        """Remove its connectors."""
        for sink in sink_cards.sinks:
            if (connector := self.connector(sink.kind)).states():
                connector.delete()
