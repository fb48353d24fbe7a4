"""`headrace projections` on real Kafka: two versions side by side, a switch, a way back, and dropping one."""

import asyncio
import json
import signal
import time
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from google.protobuf.message import Message

from headrace.streams.admin import serving
from tests.support.bank import messages_pb2 as pb
from tests.support.workflow_deployment import WorkflowDeployment, run_on

pytestmark = pytest.mark.kafka


class Command:
    """`headrace projections … --json`."""

    def __init__(self, deployment: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
        self._run = run_on(deployment, monkeypatch)

    def __call__(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        output = self._run("projections", *arguments, "--json", code=code).stdout
        return [json.loads(line) for line in output.splitlines()]

    def status(self, version: int, code: int = 0) -> dict[str, Any]:
        return next(row for row in self("status", "cards", code=code) if row["version"] == version)


@pytest.fixture
def projections(versions: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(versions, monkeypatch)


def execute(deployment: WorkflowDeployment, root: str, *commands: Message) -> None:
    async def go() -> None:
        async with deployment.client() as client:
            for command in commands:
                assert (await client.execute(command, root=root, timeout=60)).accepted

    asyncio.run(go())


def test_a_version_is_built_beside_the_one_that_serves(versions: WorkflowDeployment, projections: Command) -> None:
    first = versions.worker("first", BANK_COMPONENTS="account,cards-v1").start().await_ready()
    execute(versions, "a", *(pb.Deposit(amount=number) for number in range(1, 40)))
    assert projections("list") == [{"projection": "cards", "versions": [1, 2], "serves": 1, "in_topology": [1, 2]}]
    projections("wait", "cards", "1")
    assert projections.status(1, code=1) | {"seconds": 0.0} == {
        "projection": "cards",
        "version": 1,
        "component": "cards-v1",
        "serves": True,
        "state": "current",
        "records": 0,
        "seconds": 0.0,
        "dead_letters": 0,
        "since": "",
    }
    assert projections.status(2, code=1)["state"] == "stuck"  # nobody runs it
    assert "has not handled" in projections("switch", "cards", "2", "--timeout", "0.5", code=1)[0]["error"]

    second = versions.worker("second", BANK_COMPONENTS="cards-v2").start().await_ready()
    (switched,) = projections("switch", "cards", "2")
    assert (switched["version"], switched["before"]) == (2, None)
    assert [row["serves"] for row in projections("status")] == [False, True]
    assert projections.status(2)["since"] == switched["since"]
    documents = {entry.key: json.loads(entry.value or b"") for entry in versions.read("cards-v2", "documents")}
    assert documents == {b"a": {"balance": sum(range(1, 40)), "largest": 39}}
    (back,) = projections("switch", "cards", "1")
    assert (back["version"], back["before"]) == (1, 2)

    assert "serves; switch" in projections("drop", "cards", "1", code=1)[0]["error"]
    assert "1 worker(s) run cards-v2" in projections("drop", "cards", "2", code=3)[0]["error"]
    second.stop()
    sink_dead_letter(versions, "cards-v2", offset=1)
    (dropped,) = projections("drop", "cards", "2")
    prefix = f"{versions.settings.prefix}main.cards-v2."
    assert dropped["dropped"] == [
        f"deleted {versions.settings.prefix}main.cards-v2-search.sink-dead-letters",
        *(f"deleted {prefix}{kind}" for kind in ("dead-letters", "documents", "inbox", "snapshots")),
    ]
    there = AdminClient({"bootstrap.servers": versions.settings.bootstrap}).list_topics(timeout=10).topics
    assert not [name for name in there if name.startswith(prefix)]
    execute(versions, "a", pb.Deposit(amount=1))  # the one that serves goes on
    projections("wait", "cards", "1")
    assert first.ready


def sink_dead_letter(versions: WorkflowDeployment, component: str, offset: int) -> None:
    """A document of a version's that Connect has set aside, as it writes that."""
    topic = f"{versions.settings.prefix}main.{component}-search.sink-dead-letters"
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": versions.settings.bootstrap}
    admin = AdminClient(client)
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    about = {"topic": f"{versions.settings.prefix}main.{component}.documents", "partition": "0", "offset": str(offset)}
    headers: list[tuple[str, str | bytes | None]] = [(f"__connect.errors.{name}", text) for name, text in about.items()]
    producer = Producer(client)
    producer.produce(topic, b"{}", b"a", headers=headers)
    assert producer.flush(30) == 0


def test_a_frozen_version_is_reported_within_ten_seconds(versions: WorkflowDeployment, projections: Command) -> None:
    worker = versions.worker("cards", BANK_COMPONENTS="cards-v1,cards-v2").start().await_ready()
    versions.worker("account", BANK_COMPONENTS="account").start().await_ready()
    execute(versions, "a", pb.Deposit(amount=1))
    projections("wait", "cards", "1")
    worker.send(signal.SIGSTOP)
    execute(versions, "a", pb.Deposit(amount=2))
    began = time.monotonic()
    row = projections.status(1, code=1)
    took = time.monotonic() - began
    worker.send(signal.SIGCONT)
    assert (row["state"], row["records"] > 0) == ("stuck", True)
    assert row["seconds"] > 0
    assert took < 20  # two versions, one after the other
    projections("wait", "cards", "1")
    assert projections.status(1)["state"] == "current"


def test_nobody_switches_over_dead_letters_unless_told_to(versions: WorkflowDeployment, projections: Command) -> None:
    versions.worker().start().await_ready()
    execute(versions, "a", pb.Deposit(amount=1), pb.Annotate(note="poison"))
    refused = projections("switch", "cards", "1", code=1)[0]["error"]
    assert "cards-v1 and its sinks have 1 open dead letter(s)" in refused
    sink_dead_letter(versions, "cards-v1", offset=3)
    sink_dead_letter(versions, "cards-v2", offset=4)
    refused = projections("switch", "cards", "1", code=1)[0]["error"]
    assert "cards-v1 and its sinks have 2 open dead letter(s)" in refused
    assert projections("switch", "cards", "1", "--force")[0]["version"] == 1
    assert "no version 7" in projections("switch", "cards", "7", code=2)[0]["error"]
    assert "unknown projection" in projections("status", "nobody", code=2)[0]["error"]


def test_of_two_that_switch_at_once_one_is_told(versions: WorkflowDeployment) -> None:
    before = serving.record(versions.settings, "cards", 1, None)
    serving.record(versions.settings, "cards", 2, before)
    with pytest.raises(serving.ServingChanged, match="version 2 since"):
        serving.record(versions.settings, "cards", 1, before)
    assert serving.serving(versions.settings)["cards"].version == 2
