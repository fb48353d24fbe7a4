"""A documents topic, and a search sink that keeps an index as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.connectors.search.plugin import CONNECTOR
from headrace.embedded import EmbeddedConnect
from tests.support.connector import Connector
from tests.support.deployment import until
from tests.support.independent_reader import Entry, read_topics
from tests.support.search_server import PASSWORD, SearchServer

FIELDS = {"name": {"type": "keyword"}, "chips": {"type": "long"}}
PARTITIONS = 3


class Documents:
    """A compacted topic of documents, written in transactions."""

    def __init__(self, bootstrap: str, topic: str, **config: str) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        settings = {"cleanup.policy": "compact", **config}
        new = NewTopic(topic, num_partitions=PARTITIONS, config=settings)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_topics([new])[topic].result(30)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": topic,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "log_level": 0,  # when the broker goes, this goes on
            }
        )
        self._producer.init_transactions(30)

    def write(self, records: dict[str, Any], *, abort: bool = False, at: int = 0) -> None:
        """One transaction: documents by id, None for one that is deleted; bytes and str go as they are.

        `at` is their time in milliseconds since 1970, else it is now.
        """
        self._producer.begin_transaction()
        for key, value in records.items():
            self.put(key.encode(), value, at)
        if abort:
            self._producer.flush(30)  # so that the records are in the log, and not only dropped here
            self._producer.abort_transaction(30)
        else:
            self._producer.commit_transaction(30)

    def put(self, key: bytes | None, value: Any, at: int = 0) -> None:
        """One record of the transaction that is open."""
        raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        headers: list[tuple[str, str | bytes | None]] = [("ce_type", "Card"), ("content-type", "application/json")]
        self._producer.produce(self.topic, raw, key, headers=headers, timestamp=at)
        self._producer.poll(0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction for `put`, which is committed."""
        self._producer.begin_transaction()
        yield
        self._producer.commit_transaction(30)

    def read(self) -> list[Entry]:
        """The committed records, as another reader sees them."""
        return read_topics(self.bootstrap, [self.topic])[self.topic]

    def expected(self, refused: set[bytes] = frozenset()) -> dict[str, tuple[int, Any]]:  # type: ignore[assignment]
        """The documents that the log stands for, each with offset + 1 as version, without the values in `refused`."""
        found: dict[str, tuple[int, Any]] = {}
        for entry in self.read():
            if entry.key is None or (entry.value is not None and entry.value in refused):
                continue
            if entry.value is None:
                found.pop(entry.key.decode(), None)
            else:
                found[entry.key.decode()] = (entry.offset + 1, json.loads(entry.value))
        return found

    def committed(self, connector: str) -> dict[int, int]:
        """How far a connector has come in each partition."""
        reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"connect-{connector}"})
        try:
            asked = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
            return {found.partition: max(found.offset, 0) for found in reader.committed(asked, 20)}
        finally:
            reader.close()


class Sink:
    """A search sink for a documents topic and the index of the same name."""

    def __init__(self, connect: EmbeddedConnect, server: SearchServer, documents: Documents) -> None:
        self.server = server
        self.documents = documents
        self.index = documents.topic
        self.dead = f"{documents.topic}.dead"
        self.connector = Connector(connect.url, documents.topic)
        self.config: dict[str, Any] = {
            "connector.class": CONNECTOR,
            "tasks.max": "2",
            "topics": documents.topic,
            "index": self.index,
            "connection.url": server.url,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "header.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "consumer.override.isolation.level": "read_committed",
            "consumer.override.max.poll.records": "2000",
            # after kill -9, the group waits for the dead member's session to end
            "consumer.override.session.timeout.ms": "6000",
            "consumer.override.heartbeat.interval.ms": "1000",
            "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": self.dead,
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true",
        }
        if server.product.user:
            self.config |= {"connection.username": server.product.user, "connection.password": PASSWORD}

    def deploy(self, **changes: str) -> None:
        """Let it run, with these settings for others; `_` in a name stands for a dot."""
        self.connector.deploy(self.config | {name.replace("_", "."): value for name, value in changes.items()})
        self.connector.await_running()

    def await_caught_up(self) -> None:
        """Wait until all that is committed in the topic is done."""
        ends: dict[int, int] = {}
        for entry in self.documents.read():
            ends[entry.partition] = entry.offset + 1

        def done() -> bool:
            at = self.documents.committed(self.connector.name)
            return all(at[partition] >= end for partition, end in ends.items())

        until(done, f"{self.connector.name} caught up; its states are {self.connector.states()}", 60)

    def dead_letters(self) -> list[Entry]:
        """The records that were set aside; Connect makes the topic when it is first needed, or before."""
        known = AdminClient({"bootstrap.servers": self.documents.bootstrap}).list_topics(timeout=10).topics
        return read_topics(self.documents.bootstrap, [self.dead])[self.dead] if self.dead in known else []
