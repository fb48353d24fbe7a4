"""The features on real Kafka: one broker, one worker process, one set of topics for all of them."""

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from google.protobuf.message import Message
from opentelemetry.context import attach, detach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client.parser import text_string_to_metric_families
from pytest_bdd import scenarios

from headrace import History
from headrace.embedded.broker import free_ports
from headrace.schemas.headers import TYPE
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.schemas.record import Record
from headrace.streams.admin import topics
from headrace.streams.client import Client, Reply
from headrace.streams.settings import Settings
from headrace.topology.as_of import AsOf
from headrace.topology.partitioner import partition_of
from headrace.topology.reply import Event, OnError, Sync
from tests.features import past, shop, tables
from tests.features.faults import faults
from tests.features.world import Answer, World, answer_of
from tests.support import deadlines
from tests.support.deployment import until
from tests.support.log_ends import end_offsets

pytest_plugins = [
    "tests.features.shop_steps",
    "tests.features.projection_steps",
    "tests.features.what_if_steps",
    "tests.features.temporal_steps",
]
pytestmark = pytest.mark.kafka
scenarios("../features")

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ROOT / "tests" / "features"
T = TypeVar("T")
_SET_PARENT_DEATH_SIGNAL = 1


class KafkaWorld(World):
    """A deployment of the shop, as a client, an operator and a plain reader of its topics see it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self._folder = folder
        self._log = folder / "worker.log"
        (self._port,) = free_ports(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._admin = AdminClient(settings.client())
        self._producer = Producer(settings.producer())
        self._topics = [spec.name for spec in shop.topology.topics(settings.names, 1)]
        self._found: dict[str, list[Record]] = defaultdict(list)
        self._read: dict[tuple[str, int], int] = {}
        """Up to where each partition is read, by committed readers' measure."""
        self._changed = True

    # ---- from beginning to end

    def open(self) -> None:
        """Start worker, client and reader."""
        topics.create(self.settings, topics.wanted(self.settings, shop.topology))
        self._write_past()
        self._worker = self._start("topology", "state", self._port, self._log)
        self._consumer = Consumer(
            self.settings.client(
                group_id="features",
                enable_auto_commit=False,
                enable_partition_eof=True,
                isolation_level="read_committed",
                fetch_wait_max_ms=25,
            )
        )
        places = [TopicPartition(t, p, OFFSET_BEGINNING) for t in self._topics for p in range(self.settings.partitions)]
        self._consumer.assign(places)
        self._client = self._do(Client(shop.topology, self.settings).__aenter__())
        until(self._ready, f"the worker was ready; see {self._log}", 90)

    def close(self) -> None:
        """Stop everything; the worker must end in order."""
        self._do(self._client.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._consumer.close()
        self._worker.terminate()
        code = self._worker.wait(60)
        assert code == 0, self._log.read_text(errors="replace")[-3000:]

    def clear(self) -> None:
        """Whatever has become of it, the worker is no more, nor are the topics."""
        self._worker.kill()
        self._worker.wait()
        for future in self._admin.delete_topics(self._topics, request_timeout=deadlines.seconds(60)).values():
            future.exception(60)

    def _start(self, topology: str, state: str, port: int, log: Path) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "OTEL_"))} | {
            "HEADRACE_BOOTSTRAP": self.settings.bootstrap,
            "HEADRACE_PREFIX": self.settings.prefix,
            "HEADRACE_TOPOLOGY": f"tests.features.shop:{topology}",
            "HEADRACE_STATE_DIR": str(self._folder / state),
            "HEADRACE_WEB_PORT": str(port),
            "PYTHONPATH": str(ROOT),
        }
        with log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "headrace.cli.main", "worker"],
                cwd=self._folder,  # where the faults are
                env=environment,
                stderr=file,
                preexec_fn=lambda: ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL),
            )

    def _ready(self) -> bool:
        assert self._worker.poll() is None, self._log.read_text(errors="replace")[-3000:]
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._port}/readyz", timeout=deadlines.seconds(2)
            ) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    # ---- what changes something, after all that came before has been handled

    def send(
        self,
        domain: str,
        root: str,
        command: Message,
        *,
        command_id: str,
        correlation_id: str,
        traceparent: str,
        sync: Sync,
        on_error: OnError,
    ) -> Answer:
        self._rest()
        self._changed = True

        async def execute() -> Reply:
            token = attach(TraceContextTextMapPropagator().extract({"traceparent": traceparent}))
            try:
                return await self._client.execute(
                    command,
                    root=root,
                    domain=domain,
                    command_id=command_id or None,
                    correlation_id=correlation_id or None,
                    timeout=60,
                    sync=sync,
                    on_error=on_error,
                )
            finally:
                detach(token)

        return answer_of(lambda: self._do(execute()))

    def record_fact(self, domain: str, root: str, fact: Message, *, external_id: str, correlation_id: str) -> Answer:
        self._rest()
        self._changed = True
        stating = self._client.record_fact(
            fact,
            root=root,
            external_id=external_id,
            domain=domain,
            correlation_id=correlation_id or None,
            timeout=60,
        )
        return answer_of(lambda: self._do(stating))

    def deliver(self, record: Record) -> None:
        self._rest()
        self._changed = True
        headers: Any = list(record.headers.items())
        self._producer.produce(record.topic, record.value, record.key, record.partition, headers=headers)
        assert self._producer.flush(60) == 0

    def _write_past(self) -> None:
        """What older releases have written: events, and snapshots that no release of today uses."""
        for domain, root, table in past.tables():
            partition = partition_of(root.encode(), self.settings.partitions)
            events = list(past.records(domain, root, tables.past(table)))
            for key, value, headers in events:
                self._producer.produce(self.topic(domain, "events"), value, key, partition, headers=headers)
            snapshot = Snapshot(sequence=len(events) - 1, fingerprint="of another release")
            self._producer.produce(self.topic(domain, "snapshots"), snapshot.SerializeToString(), root, partition)
        assert self._producer.flush(60) == 0

    def has_written(self, domain: str, root: str, events: Sequence[tuple[str, bytes]]) -> None:
        """It has, before the worker started."""
        found = [r for r in self.records(domain, "events") if (r.key or b"").rpartition(b"|")[0] == root.encode()]
        assert [(r.headers[TYPE].decode(), r.value) for r in found] == events

    def history(self, domain: str, root: str) -> Sequence[Event]:
        async def read() -> list[Event]:
            return [event async for event in self._client.events(root, domain=domain)]

        self._rest()
        return self._do(read())

    def pass_time(self, seconds: float) -> None:
        self._rest()
        end = time.monotonic() + seconds
        until(lambda: time.monotonic() >= end, "time passed", seconds + 1)
        self._changed = True

    def break_down(self, component: str, root: str, stumbles: int = 0) -> None:
        self._rest()
        super().break_down(component, root, stumbles)

    def repair(self, component: str, root: str) -> None:
        self._rest()
        super().repair(component, root)

    def settle(self, found: Sequence[Any], *, discard: bool) -> None:
        self._rest()
        self._changed = True
        super().settle(found, discard=discard)

    def refusal(self, topology: str) -> str:
        self._rest()
        self._changed = True
        log = self._folder / f"{topology}.log"
        (port,) = free_ports(1)
        other = self._start(topology, topology, port, log)
        try:
            until(lambda: other.poll() is not None, f"the worker was refused; see {log}", 90)
        finally:
            other.kill()
            other.wait()
        assert other.returncode == 3, log.read_text(errors="replace")[-3000:]
        return log.read_text(errors="replace")

    # ---- what there is, once all is handled

    def records(self, component: str, kind: str) -> Sequence[Record]:
        self._rest()
        return self._found[self.topic(component, kind)]

    def dead_letters(self, component: str, root: str) -> list[Any]:
        self._rest()
        return super().dead_letters(component, root)

    def trace(self, correlation_id: str) -> list[dict[str, Any]]:
        self._rest()
        return super().trace(correlation_id)

    def history_up_to(self, domain: str, root: str, as_of: int | None) -> History:
        self._rest()
        return self._do(self._client.history({domain: [root]}, as_of=as_of))

    def state(self, domain: str, root: str, as_of: AsOf | None) -> Any:
        self._rest()
        return self._do(self._client.state(root, domain, as_of=as_of))

    def events(self, domain: str, root: str, first: int, as_of: AsOf | None) -> Sequence[Event]:
        async def read() -> list[Event]:
            return [event async for event in self._client.events(root, first, domain, as_of=as_of)]

        self._rest()
        return self._do(read())

    def figures(self) -> Mapping[tuple[str, str], int]:
        self._rest()
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=deadlines.seconds(10)) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return {
            (sample.labels["domain"], sample.labels["outcome"]): int(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == "headrace_records_processed_total"
        }

    def escalations(self) -> Sequence[dict[str, str]]:
        self._rest()
        lines = self._log.read_text(errors="replace").splitlines()
        said = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("}"))
        return [line for line in said if line.get("event") == "escalation"]

    # ---- rest

    def _rest(self) -> None:
        """Wait until every component has handled all of its input, and all of it is read here."""
        if self._changed:
            until(self._rests, "all components had handled their input", 90)
            self._changed = False

    def _rests(self) -> bool:
        assert self._worker.poll() is None, self._log.read_text(errors="replace")[-3000:]
        ends = end_offsets(self.settings.bootstrap, self._topics)
        self._read_to(ends)
        groups = {word: f"{self.settings.prefix}headrace.{word}" for word in shop.topology.components}
        asked = {
            word: self._admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], require_stable=True, request_timeout=20
            )[group]
            for word, group in groups.items()
        }
        for word, answer in asked.items():
            try:
                known = {(p.topic, p.partition): p.offset for p in answer.result().topic_partitions}
            except KafkaException as error:  # a busy broker, or a transaction that is open for long
                if error.args[0].retriable() or error.args[0].code() == KafkaError._TIMED_OUT:
                    return False
                raise
            for name in shop.topology.inputs(word, self.settings.names, "main"):
                last = {record.partition: record.offset for record in self._found[name]}
                if any(known.get((name, partition), -1) <= offset for partition, offset in last.items()):
                    return False
        return end_offsets(self.settings.bootstrap, self._topics) == ends

    def _read_to(self, ends: dict[tuple[str, int], int]) -> None:
        """Read all partitions up to their ends; transactions that are open there are waited for."""
        deadline = time.monotonic() + deadlines.seconds(90)
        while any(self._read.get(place, 0) < end for place, end in ends.items()):
            assert time.monotonic() < deadline, "the topics could not be read to their ends"
            for message in self._consumer.consume(1000, 0.02):
                error, place = message.error(), (message.topic() or "", message.partition() or 0)
                if error is None:
                    headers: Any = message.headers() or ()
                    offset = message.offset() or 0
                    self._found[place[0]].append(
                        Record(*place, offset, message.timestamp()[1], message.key(), message.value(), dict(headers))
                    )
                    self._read[place] = offset + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._read[place] = message.offset() or 0
                else:
                    raise AssertionError(f"{place}: {error}")


def _answer(reply: Reply) -> Answer:
    events = [(event.type, event.raw) for event in reply.events]
    return Answer(reply.status.value, reply.reason, reply.already_processed, events)


@pytest.fixture(scope="module")
def deployment(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaWorld]:
    """The shop, ready."""
    folder = tmp_path_factory.mktemp("shop")
    settings = Settings(bootstrap=bootstrap, prefix=f"t{uuid.uuid4().hex[:10]}.", partitions=2, reply_partitions=1)
    world = KafkaWorld(settings, folder)
    try:
        world.open()
        yield world
        world.close()
    finally:
        world.clear()


@pytest.fixture
def world(deployment: KafkaWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KafkaWorld:
    """The one shop of all scenarios, each of which has roots of its own."""
    monkeypatch.setattr(faults, "folder", deployment._folder / "faults")
    return deployment
