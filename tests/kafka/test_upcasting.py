"""Two releases on real brokers: side by side, one after the other, and checked before a deployment."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.streams.admin import topics
from headrace.streams.client import Client
from headrace.streams.settings import Settings
from headrace.topology.reply import Reply
from headrace.topology.topology import Topology
from tests.support.deployment import Worker, until
from tests.support.independent_reader import Entry, read_topics
from tests.support.purse import Contents, Fill, Filled1, Mix, Note, Spend, Spent, before, today

pytestmark = pytest.mark.kafka
T = TypeVar("T")
PURSES = [f"purse-{number}" for number in range(12)]


class TopologyWorker(Worker):
    runner = Path(__file__).parents[1] / "support" / "topology_worker.py"


class Shop:
    """A deployment whose topics both releases share."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self._folder = settings, folder
        self.workers: list[Worker] = []

    def worker(self, name: str, release: str) -> Worker:
        worker = TopologyWorker(self._folder / name, self.settings, HEADRACE_TOPOLOGY=f"tests.support.purse:{release}")
        self.workers.append(worker)
        return worker

    def do(self, release: Topology, ask: Callable[[Client], Awaitable[T]]) -> T:
        async def go() -> T:
            async with Client(release, self.settings) as client:
                return await ask(client)

        return asyncio.run(go())

    def tell(self, release: Topology, commands: dict[str, Any]) -> dict[str, Reply]:
        async def ask(client: Client) -> dict[str, Reply]:
            sent = [client.execute(command, root=root, domain="purse") for root, command in commands.items()]
            return dict(zip(commands, await asyncio.gather(*sent), strict=True))

        return self.do(release, ask)

    def states(self) -> dict[str, Any]:
        async def ask(client: Client) -> dict[str, Any]:
            found = await asyncio.gather(*(client.state(root, "purse") for root in PURSES))
            return dict(zip(PURSES, found, strict=True))

        return self.do(today, ask)

    def log(self) -> dict[bytes, Entry]:
        name = self.settings.names.topic("main", "purse", "events")
        return {entry.key or b"": entry for entry in read_topics(self.settings.bootstrap, [name])[name]}


@pytest.fixture
def shop(bootstrap: str, tmp_path: Path) -> Iterator[Shop]:
    settings = Settings(bootstrap=bootstrap, prefix=f"t{uuid.uuid4().hex[:10]}.", partitions=4, reply_partitions=1)
    specs = topics.wanted(settings, today)
    topics.create(settings, specs)
    shop = Shop(settings, tmp_path)
    try:
        yield shop
    finally:
        for worker in shop.workers:
            worker.end()
        admin = topics.admin(settings)
        for future in admin.delete_topics([spec.name for spec in specs], request_timeout=20).values():
            future.exception(20)


@pytest.fixture
def run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command on this deployment, with one of its releases; it must end with `code`."""
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", shop.settings.bootstrap)
    monkeypatch.setenv("HEADRACE_PREFIX", shop.settings.prefix)

    def run(*arguments: str, release: str = "today", code: int = 0) -> Result:
        monkeypatch.setenv("HEADRACE_TOPOLOGY", f"tests.support.purse:{release}")
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == code, result.output
        return result

    return run


def held(worker: Worker) -> float:
    """How many partitions of purses a worker has."""
    return worker.metrics().get('headrace_partitions{domain="purse"}', 0)


def test_an_old_and_a_new_release_work_side_by_side_and_one_after_the_other(
    shop: Shop, run: Callable[..., Result]
) -> None:
    old = shop.worker("old", "before").start().await_ready()
    accepted = shop.tell(before, {root: Fill(coins=5) for root in PURSES})
    assert all(reply.messages == [Filled1(coins=5)] for reply in accepted.values())
    for command in (Spend(coins=20), Mix(coins=7, spent=1), Note(text="well")):
        shop.tell(before, dict.fromkeys(PURSES, command))
    written = shop.log()
    run("check", "--against-log", "--domain", "purse", release="before")
    planned = json.loads(run("check", "--against-log", "--domain", "purse", "--json").output)
    assert (planned["roots"], planned["events"], planned["compared"], planned["outdated"]) == (12, 48, 12, 12)

    # side by side: whoever has a root decides on the same state, and the new client reads what either has written
    new = shop.worker("new", "today").start().await_ready(60)
    until(lambda: held(old) == held(new) == 2 and old.ready and new.ready, "each worker had half of the purses", 60)
    replies = shop.tell(today, {root: Spend(coins=30) for root in PURSES})
    assert all(reply.messages == [Spent(coins=30)] for reply in replies.values())
    fifth = {key.decode()[:-21]: entry for key, entry in shop.log().items() if key not in written}
    assert sorted(fifth) == sorted(PURSES)
    versions = {entry.headers.get("ce_dataschema") for entry in fifth.values()}
    assert versions == {None, b"headrace:purse.v1.Spent/2"}, "each release has written some of them"

    # an old worker that gets a root with a newer event says so, and is right about all others
    new.stop()
    until(lambda: held(old) == 4 and old.ready, "the old worker had all purses", 60)
    root = next(root for root, entry in fifth.items() if "ce_dataschema" in entry.headers)
    other = next(root for root, entry in fifth.items() if "ce_dataschema" not in entry.headers)
    replies = shop.tell(before, {root: Fill(coins=1), other: Fill(coins=1)})
    text = f"no @applies method for purse.v1.Spent of version 2, which the log holds as event 4 of {root}"
    assert text in replies[root].reason
    assert replies[other].accepted
    old.stop()

    # the new release alone; what failed is decided
    new.start().await_ready(60)
    run("dead-letters", "replay", "--component", "purse")
    shop.tell(today, {root: Fill(coins=2) for root in PURSES})
    for name, state in shop.states().items():
        more = name in (root, other)
        metals = ["copper", "brass", *["copper"] * (1 + more)]
        assert state == Contents(coins=14 + more, spent=51, metals=metals), name
    after = shop.log()
    assert {key: after[key] for key in written} == written, "what is on the log is never rewritten"
    shows(run, other)
    checks(run)


def shows(run: Callable[..., Result], root: str) -> None:
    """What a person sees of a history."""
    lifted = run("events", root, "--domain", "purse", "--json").output.splitlines()
    shown = [(row["sequence"], row["type"], row.get("stored")) for row in map(json.loads, lifted)]
    assert shown[:4] == [
        (0, "purse.v1.Filled", {"type": "purse.v1.Filled1", "version": 1}),
        (1, "purse.v1.Spent", None),
        (2, "purse.v1.Filled", {"type": "purse.v1.Mixed", "version": 1}),
        (2, "purse.v1.Spent", {"type": "purse.v1.Mixed", "version": 1}),
    ]
    assert [number for number, *_ in shown[4:]] == [4, 5, 6], "one event has become none"
    raw = run("events", root, "--domain", "purse", "--json", "--raw").output.splitlines()
    assert [json.loads(row)["type"].rpartition(".")[2] for row in raw][:4] == ["Filled1", "Spent", "Mixed", "Noted"]


def checks(run: Callable[..., Result]) -> None:
    """What is said before a deployment."""
    found = [json.loads(row) for row in run("check", "--against-log", "--json").output.splitlines()]
    assert {row["component"]: row["roots"] for row in found} == {"purse": 12, "vault": 12, "auditor": 62}
    assert [(row["differences"], row["unreadable"]) for row in found] == [([], [])] * 3
    repaired = run("check", "--against-log", release="repaired", code=1).output
    assert re.search(r"purse purse-3: spent differs from the snapshot of event \d, which would be used; inc", repaired)
    announced = run("check", "--against-log", release="announced", code=1).output
    assert "purse purse-3: spent differs from the snapshot of event " in announced
    assert "which would be used" not in announced
    run("check", "--against-log", "--changes-meant", release="announced")
    forgetful = run("check", "--against-log", "--domain", "purse", release="forgetful", code=1).output
    assert "no @applies method for purse.v1.Filled1, which the log holds as event 0 of purse-0" in forgetful
    assert "purse: 12 roots, 74 events; 12 cannot be read" in forgetful
