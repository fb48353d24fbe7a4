"""`headrace editions` on real Kafka: where an edition begins, its topics, and what is left when it is deleted."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.schemas.stored_event import split_event_key
from headrace.streams.editions import deletion
from headrace.streams.editions.holders import Holder, holders
from headrace.streams.editions.registry import Registry
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import until
from tests.support.workflow_deployment import WorkflowDeployment, run_on, workflow_of

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def bank(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkflowDeployment]:
    """Three deposits of anna, and one of zoe; no worker runs any more."""
    with workflow_of(bootstrap, "topology", tmp_path_factory.mktemp("editions")) as deployment:
        worker = deployment.worker().start().await_ready()

        async def go() -> None:
            async with deployment.client() as client:
                for amount in (1, 2, 3):
                    assert (await client.execute(pb.Deposit(amount=amount), root="anna")).accepted
                assert (await client.execute(pb.Deposit(amount=4), root="zoe")).accepted

        asyncio.run(go())
        worker.stop()
        yield deployment


class Editions:
    """`headrace editions … --json`."""

    def __init__(self, deployment: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
        self._run = run_on(deployment, monkeypatch)

    def __call__(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        output = self._run("editions", *arguments, "--json", code=code).stdout
        return [json.loads(line) for line in output.splitlines()]

    def refused(self, *arguments: str, code: int = 1) -> str:
        (row,) = self(*arguments, code=code)
        return str(row["error"])


@pytest.fixture
def editions(bank: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Editions]:
    yield Editions(bank, monkeypatch)
    left = Registry(bank.settings).all().values()
    while live := [one.name for one in left if one.state != "deleted"]:
        for name in live:
            if not any(one.parent == name for one in left if one.name in live):
                deletion.delete(bank.settings, name)
        left = Registry(bank.settings).all().values()


def topics_of(bank: WorkflowDeployment, edition: str) -> dict[str, int]:
    """Topics of an edition without prefix and edition, with their numbers of partitions."""
    begin = f"{bank.settings.prefix}{edition}."
    found = AdminClient(bank.settings.client()).list_topics(timeout=10).topics
    return {name.removeprefix(begin): len(t.partitions) for name, t in found.items() if name.startswith(begin)}


def test_an_edition_is_made_and_deleted(bank: WorkflowDeployment, editions: Editions) -> None:
    assert editions("list", code=1) == []
    (made,) = editions("create", "trial", "--expires", "7d", "--note", "what if")
    assert (made["parent"], made["follow"], made["note"], made["sequences"]) == ("main", False, "what if", {})
    first = topics_of(bank, "trial")
    assert first == {name: count for name, count in topics_of(bank, "main").items() if name in first}
    assert {name.split(".")[1] for name in first} == {"commands", "events", "snapshots"}
    (listed,) = editions("list")
    assert listed == {name: value for name, value in made.items() if name not in ("topics", "registry_ms")}
    assert editions("prune") == []  # its time has not come
    assert "there is an edition trial already" in editions.refused("create", "trial")

    (gone,) = editions("delete", "trial")
    assert gone["topics"] == sorted(made["topics"])
    until(lambda: topics_of(bank, "trial") == {}, "its topics were gone")
    assert editions("list", code=1) == []
    (again,) = editions("create", "trial")
    assert again["id"] != made["id"]


def test_an_edition_begins_when_an_event_was_recorded(bank: WorkflowDeployment, editions: Editions) -> None:
    purse = next(iter(bank.topology.aggregates))
    events = {split_event_key(entry.key or b""): entry.timestamp for entry in bank.read(purse, "events")}
    (made,) = editions("create", "trial", "--at", f"{purse}/anna:1")
    cut = Registry(bank.settings).find("trial").cut
    assert cut.moment == events[b"anna", 1]
    assert made["sequences"] == {f"{purse}/anna": 1}
    assert "beyond the log: its last event in main is 2" in editions.refused("create", "b", "--at", f"{purse}/anna:3")
    # of an edition, only what it sees is there
    error = editions.refused("create", "b", "--from", "trial", "--at", f"{purse}/anna:2")
    assert "its last event in trial is 1" in error
    assert f"{purse}/zoe has no events in trial" in editions.refused(
        "create", "b", "--from", "trial", "--at", f"{purse}/zoe:0"
    )
    editions("create", "b", "--from", "trial", "--at", f"{purse}/anna:0")
    assert "trial is continued by b" in editions.refused("delete", "trial")
    (described,) = editions("describe", "trial")
    assert described["children"] == ["b"]


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("create", "main"), 1, "'main' is reserved"),
        (("create", "Trial"), 1, "cannot name an edition"),
        (("create", "a" * 250), 1, "too long by"),
        (("create", "trial", "--from", "nobody"), 2, "there is no edition 'nobody'"),
        (("create", "trial", "--at", "nothing:1"), 2, "unknown domain 'nothing'"),
        (("create", "trial", "--at", "2999-01-01T00:00Z"), 1, "has not come yet"),
        (("create", "trial", "--at", "2026-01-01T00:00Z", "--follow"), 1, "not both"),
        (("create", "trial", "--projections", "nothing"), 2, "unknown projection 'nothing'"),
        (("create", "trial", "--expires", "soon"), 2, "no duration"),
        (("delete", "main"), 1, "main cannot be deleted"),
        (("delete", "nobody"), 2, "there is no edition 'nobody'"),
        (("describe", "nobody"), 2, "there is no edition 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused(editions: Editions, arguments: tuple[str, ...], code: int, what: str) -> None:
    assert what in editions.refused(*arguments, code=code)
    editions("list", code=1)


def test_topics_that_no_edition_explains_are_left_alone(bank: WorkflowDeployment, editions: Editions) -> None:
    editions("create", "trial")
    editions("delete", "trial")
    other = f"{bank.settings.prefix}trial.main.purse.commands"  # of a deployment with a longer prefix
    client = AdminClient(bank.settings.client())
    client.create_topics([NewTopic(other, 1)])[other].result()
    assert f"such as {other}" in editions.refused("create", "trial")
    client.delete_topics([other])[other].result()


def test_topics_stay_as_long_as_a_worker_holds_the_edition(bank: WorkflowDeployment, editions: Editions) -> None:
    (made,) = editions("create", "trial")
    worker = Holder(bank.settings, "w-1")
    worker.write([made["id"], "another"])
    assert holders(bank.settings) == {"w-1": frozenset({made["id"], "another"})}
    assert "worker(s) w-1 still hold it" in editions.refused("delete", "trial", "--timeout", "0", code=4)
    assert topics_of(bank, "trial")
    assert "are still being deleted" in editions.refused("create", "trial")
    (listed,) = editions("list")
    assert listed["state"] == "deleting"

    with ThreadPoolExecutor(1) as pool:
        pruned = pool.submit(deletion.prune, bank.settings)
        worker.write(["another"])
        assert [one.name for one in pruned.result()] == ["trial"]
    assert holders(bank.settings) == {"w-1": frozenset({"another"})}
    worker.close()
    assert holders(bank.settings) == {}


def test_a_deletion_that_was_stopped_goes_on(bank: WorkflowDeployment, editions: Editions) -> None:
    editions("create", "trial")
    Registry(bank.settings).begin_deletion("trial")
    (gone,) = editions("delete", "trial")
    assert gone["topics"]
    assert Registry(bank.settings).all()["trial"].state == "deleted"


def test_a_client_makes_editions_too(bank: WorkflowDeployment, editions: Editions) -> None:
    async def go() -> None:
        async with bank.client() as client:
            made = await client.editions.create("trial", note="by a client")
            assert await client.editions.list() == [await client.editions.describe("trial")] == [made.edition]
            gone = await client.editions.delete("trial")
            assert gone.topics == sorted(made.topics)
            assert await client.editions.list() == []

    asyncio.run(go())
