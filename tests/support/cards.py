"""A read model of cards, its documents as an engine would write them, and its writer to Redis as a process."""

import json
import os
import random
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from confluent_kafka import Consumer, Producer, TopicPartition

from headrace import Projector, Sinks, Topology, projects
from headrace.connectors.redis import Redis
from headrace.streams.admin import topics
from headrace.streams.settings import Settings
from headrace.topology.topology import TopicSpec
from tests.support.bank.accounts import Accounts
from tests.support.bank.messages_pb2 import Deposited
from tests.support.deployment import Worker, until
from tests.support.independent_reader import murmur, read_topics
from tests.support.redis_server import RedisServer


@dataclass
class Card:
    """What is known of a player."""

    name: str = ""
    bankroll: int = 0
    hands: list[str] = field(default_factory=list)


class PlayerCards(Projector[Card]):
    """One card a player."""

    name = "player-cards"

    @projects
    def deposited(self, document: Card, event: Deposited) -> None:
        document.bankroll = event.balance


class LaterCards(PlayerCards):
    """The version after it."""

    name = "player-cards"
    version = 2


class BriefCards(PlayerCards):
    """Cards that Redis forgets."""

    name = "brief-cards"


topology = Topology(Accounts, PlayerCards, LaterCards, BriefCards)
sinks = Sinks(Redis(PlayerCards), Redis(LaterCards), Redis(BriefCards, expires=timedelta(hours=1)))


class Cards:
    """A deployment with a documents topic under a prefix of its own, and one Redis."""

    def __init__(self, bootstrap: str, redis: RedisServer, folder: Path, projector: type[Projector[Any]]) -> None:
        self.settings = Settings(bootstrap=bootstrap, prefix=f"t{uuid4().hex[:10]}.", partitions=3)
        self.redis, self.folder = redis, folder
        self.projector, self.component = projector, f"{projector.name}-v{projector.version}"
        self.topic = self.settings.names.topic("main", self.component, "documents")
        self.writers: list[Worker] = []
        self._producer: Producer | None = None

    def create(self, config: Mapping[str, str] | None = None) -> None:
        """Create the topic."""
        spec = TopicSpec(self.topic, self.settings.partitions, {"cleanup.policy": "compact", **(config or {})})
        topics.create(self.settings, [spec])

    def delete(self) -> None:
        """Delete the topic."""
        self._producer = None
        admin = topics.admin(self.settings)  # its futures complete only while it is referenced
        (future,) = admin.delete_topics([self.topic], request_timeout=20).values()
        future.result(20)

    def writer(self, name: str = "w", **variables: Any) -> Worker:
        """`headrace sinks redis` as a process, not started yet."""
        worker = Worker(
            self.folder / name, self.settings, **{"REDIS_URL": self.redis.url, "CARDS": self.component, **variables}
        )
        worker.runner = Path(__file__)
        self.writers.append(worker)
        return worker

    def write(self, documents: Mapping[str, object], *, commit: bool = True) -> None:
        """Write documents in one transaction; None deletes one."""
        if self._producer is None:
            self._producer = Producer(self.settings.producer(transactional_id=f"{self.settings.prefix}cards"))
            self._producer.init_transactions(20)
        self._producer.begin_transaction()
        for key, document in documents.items():
            value = None if document is None else json.dumps(document).encode()
            headers: Any = {"ce_id": uuid4().hex, "ce_source": f"/main/{self.component}", "ce_type": "Card"}
            self._producer.produce(self.topic, value, key, headers={**headers, "content-type": "application/json"})
        if commit:
            self._producer.commit_transaction(20)
        else:
            self._producer.flush(20)  # else they would never be on the log
            self._producer.abort_transaction(20)

    def churn(self, seed: int, count: int = 500) -> dict[str, object]:
        """Documents to write: most are set, some deleted; the same seed gives the same ones."""
        chance = random.Random(seed)
        names = [f"player-{chance.randrange(400)}" for _ in range(count)]
        return {
            name: None
            if chance.random() < 0.2
            else {"name": name, "bankroll": chance.randrange(10**6), "hands": [str(seed)]}
            for name in names
        }

    def folded(self) -> dict[bytes, bytes]:
        """What must be in Redis, by key: a fold of the committed log."""
        found: dict[bytes, bytes] = {}
        for entry in read_topics(self.settings.bootstrap, [self.topic])[self.topic]:
            assert entry.key is not None
            number = murmur(entry.key, self.settings.partitions)
            assert entry.partition == number
            key = f"{{{self.settings.prefix}main.{self.component}.{number}}}:".encode() + entry.key
            if entry.value is None:
                found.pop(key, None)
            else:
                found[key] = entry.value
        return found

    def committed(self) -> dict[int, int]:
        """The offsets of the writers' group, by partition."""
        group = f"{self.settings.prefix}main.{self.component}.redis"
        with Consumer({"bootstrap.servers": self.settings.bootstrap, "group.id": group}) as reader:
            asked = [TopicPartition(self.topic, number) for number in range(self.settings.partitions)]
            return {place.partition: place.offset for place in reader.committed(asked, 20)}

    def stored(self) -> dict[bytes, bytes]:
        """What is in Redis."""
        with self.redis.client() as client:
            keys = list(client.scan_iter(f"{{{self.settings.prefix}main.{self.component}.*}}:*", 1000))
            pipe = client.pipeline(transaction=False)  # MGET needs all keys in one slot
            for key in keys:
                pipe.get(key)
            values = pipe.execute()
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    def await_exact(self, seconds: float = 30.0) -> dict[bytes, bytes]:
        """Wait until Redis has what the log says; the difference is shown when it does not come to that."""
        wanted = self.folded()

        def exact() -> bool:
            return self.stored() == wanted

        try:
            until(exact, "Redis had what the log says", seconds)
        except AssertionError:
            found = self.stored()
            wrong = [key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)]
            raise AssertionError(
                f"{len(wrong)} of {len(wanted)} documents differ, such as {sorted(wrong)[:3]}"
            ) from None
        return wanted


@contextmanager
def cards(
    bootstrap: str,
    redis: RedisServer,
    folder: Path,
    projector: type[Projector[Any]] = PlayerCards,
    *,
    config: Mapping[str, str] | None = None,
) -> Iterator[Cards]:
    """A deployment; in the end its writers are killed, and its topic deleted."""
    deployment = Cards(bootstrap, redis, folder, projector)
    deployment.create(config)
    try:
        yield deployment
    finally:
        for writer in deployment.writers:
            writer.end()
        deployment.delete()


def _with_faults(write: Any, folder: Path) -> Any:
    """`Store.write` with the points `before` and `after` it, at which the process can be hit; see bank/worker.py."""
    fault = folder / "fault"

    def reach(point: str) -> None:
        try:
            planned, name = fault.read_text().split()
        except FileNotFoundError:
            return
        if planned == point:
            fault.unlink()
            os.kill(os.getpid(), signal.Signals[name])

    def faulty(*arguments: Any) -> Any:
        reach("before")
        written = write(*arguments)
        reach("after")
        return written

    return faulty


if __name__ == "__main__":
    from headrace.cli.main import app
    from headrace.connectors.redis.store import Store

    store: Any = Store
    store.write = _with_faults(store.write, Settings().state_dir)
    os.environ["HEADRACE_TOPOLOGY"] = os.environ.get("CARDS_TOPOLOGY", "tests.support.cards:topology")
    chosen = [word for name in os.environ["CARDS"].split(",") for word in ("--projection", name)]
    app(["sinks", "redis", *chosen])
