"""The engine on real Kafka when nothing is broken: routing, answers, reads, pages, and an orderly end."""

import asyncio
import random
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.streams.client import Reply
from headrace.topology.partitioner import partition_of
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Deployment, Load, check_clients, deployed, until
from tests.support.independent_reader import murmur, read_topics

pytestmark = pytest.mark.kafka


# ---- routing


def test_invariant_6_roots_lie_where_java_clients_put_them(bootstrap: str, tmp_path: Path) -> None:
    """The engine's partitioner, the reader's, and librdkafka's murmur2_random agree on any key."""
    chance = random.Random(6)
    roots = ["a", "ab", "abc", "abcd", "ä", "日本語", "x" * 1024, *(f"{chance.getrandbits(60):x}" for _ in range(300))]
    roots += ["".join(chance.choices("abcdefgé😀-_.|", k=n)) for n in range(1, 60)]
    placed: dict[str, int | None] = {}

    def delivered(error: object, message: Message) -> None:
        assert error is None
        placed[(message.key() or b"").decode()] = message.partition()

    with deployed(bootstrap, tmp_path, partitions=7) as bank:
        producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        for root in roots:
            producer.produce(bank.topic("commands"), b"", root, on_delivery=delivered)
        assert producer.flush(30) == 0
    assert placed.keys() == set(roots)
    for root, partition in placed.items():
        assert partition == partition_of(root.encode(), 7) == murmur(root.encode(), 7), root
    assert len(set(placed.values())) == 7


def test_invariant_6_a_misrouted_command_is_forwarded(bank: Deployment) -> None:
    """A foreign producer puts commands into wrong partitions; each is handled once, by its own partition."""
    worker = bank.worker().start().await_ready()
    producer = Producer({"bootstrap.servers": bank.settings.bootstrap})
    wrong = 0
    for number in range(40):
        root = f"r{number}"
        partition = number % 4
        wrong += partition != murmur(root.encode(), 4)
        headers = command_headers(f"c{number}", "bank.v1.Deposit", reply_to=f"{bank.settings.names.replies}/0")
        value = pb.Deposit(amount=number).SerializeToString()
        producer.produce(bank.topic("commands"), value, root, partition, headers=headers)
    assert producer.flush(30) == 0
    assert wrong > 20
    until(lambda: len(replies(bank)) == 40, "each command had its answer")
    log = bank.log().verify()
    assert {root: [e.message.amount for e in events] for root, events in log.events.items()} == {
        f"r{number}": [number] for number in range(40)
    }
    assert len(log.topics["commands"]) == 40 + wrong
    assert worker.metrics()['headrace_records_processed_total{domain="account",outcome="forwarded"}'] == wrong


def command_headers(command_id: str, kind: str, reply_to: str = "") -> list[tuple[str, str | bytes | None]]:
    """Headers as a foreign producer would write them."""
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_specversion", "1.0"),
        ("ce_id", command_id),
        ("ce_source", "/elsewhere"),
        ("ce_type", kind),
    ]
    return [*headers, ("ce_replyto", reply_to)] if reply_to else headers


def replies(bank: Deployment) -> list[WireReply]:
    """All answers so far."""
    topic = bank.settings.names.replies
    entries = read_topics(bank.settings.bootstrap, [topic], wait=False)[topic]
    return [WireReply.FromString(e.value or b"") for e in entries if e.headers["ce_type"] == b"headrace.v1.Reply"]


# ---- pages


def test_pages_for_operation(bank: Deployment) -> None:
    """/healthz, /readyz and /metrics say what has happened."""
    worker = bank.worker().start().await_ready()
    assert worker.readiness() == {"ready": True, "components": {"account": True}, "status": 200}

    async def scenario() -> None:
        async with bank.client() as client:
            for number in range(20):
                await client.execute(pb.Deposit(amount=1), root=f"r{number}", command_id=f"c{number}")
            await client.execute(pb.Deposit(amount=1), root="r3", command_id="c3")
            await client.execute(pb.Withdraw(amount=100), root="r0")
            await client.execute(pb.Burst(how="raise"), root="r0")
            await client.state("r0")

    asyncio.run(scenario())
    found = worker.metrics()
    expected = {"accepted": 20, "repeated": 1, "rejected": 1, "failed": 1, "queries": 1}
    for outcome, count in expected.items():
        assert found[f'headrace_records_processed_total{{domain="account",outcome="{outcome}"}}'] == count
    of_it = '{domain="account"}'
    assert found[f"headrace_events_total{of_it}"] == 20
    assert found[f"headrace_ready{of_it}"] == 1
    assert found[f"headrace_partitions{of_it}"] == 4
    assert found[f"headrace_batch_records_sum{of_it}"] == 24
    assert 1 <= found[f"headrace_batch_records_count{of_it}"] <= 24
    assert found[f"headrace_transaction_seconds_count{of_it}"] == found[f"headrace_batch_records_count{of_it}"]
    assert 0 < found[f"headrace_transaction_seconds_sum{of_it}"] < 60
    assert found[f"headrace_lag_records{of_it}"] >= 0
    assert found[f"headrace_restored_records{of_it}"] == 0
    assert worker.page("/healthz") == (200, '{"status":"ok"}')
    worker.stop()
    worker.start().await_ready()
    assert worker.metrics()[f"headrace_restored_records{of_it}"] == 0
    worker.stop()
    shutil.rmtree(worker.folder / "0")
    in_changelog = len(bank.log().verify().topics["snapshots"])
    worker.start().await_ready()
    assert in_changelog > 20
    assert worker.metrics()[f"headrace_restored_records{of_it}"] == in_changelog


def test_spans_go_to_a_collector(bank: Deployment) -> None:
    """One span a command, child of the caller's; its traceparent stands on the events too."""
    received: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        worker = bank.worker(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{server.server_port}",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test",
        )
        worker.start().await_ready()

        async def scenario() -> tuple[int, int]:
            with TracerProvider().get_tracer("test").start_as_current_span("caller") as caller:
                assert trace.get_current_span() is caller
                async with bank.client() as client:
                    await client.execute(pb.Deposit(amount=1), root="r", command_id="c", correlation_id="k")
                context = caller.get_span_context()
                return context.trace_id, context.span_id

        trace_id, span_id = asyncio.run(scenario())
        worker.stop()  # sends what is left
        server.shutdown()
    spans = [s for request in received for r in request.resource_spans for c in r.scope_spans for s in c.spans]
    (span,) = spans
    resource = {a.key: a.value.string_value for r in received[0].resource_spans for a in r.resource.attributes}
    assert (resource["service.name"], resource["deployment.environment"]) == ("headrace", "test")
    attributes = {a.key: a.value.string_value or a.value.int_value for a in span.attributes}
    assert span.name == f"process {bank.topic('commands')}"
    assert (int.from_bytes(span.trace_id, "big"), int.from_bytes(span.parent_span_id, "big")) == (trace_id, span_id)
    source = attributes.pop("cloudevents.event_source")
    assert str(source).startswith("/main/client/")
    partition = partition_of(b"r", bank.settings.partitions)
    assert attributes == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": bank.topic("commands"),
        "messaging.destination.partition.id": str(partition),
        "messaging.consumer.group.name": f"{bank.settings.prefix}headrace.account",
        "messaging.kafka.offset": 0,
        "messaging.kafka.message.key": "r",
        "messaging.message.id": "c",
        "messaging.message.conversation_id": "k",
        "headrace.component": "account",
        "cloudevents.event_id": "c",
        "cloudevents.event_type": "bank.v1.Deposit",
        "cloudevents.event_subject": "r",
    }
    (event,) = bank.log().verify().topics["events"]
    assert event.headers["ce_traceparent"].startswith(f"00-{trace_id:032x}-{span_id:016x}-".encode())
    assert event.headers["ce_correlationid"] == b"k"


# ---- workers


def test_an_orderly_end_under_load(bank: Deployment) -> None:
    """SIGTERM while commands flow: ended within five seconds, nothing lost, nothing twice, nothing to restore."""
    worker = bank.worker().start().await_ready()

    async def scenario() -> tuple[Load, list[float]]:
        seconds: list[float] = []
        async with bank.client() as client:
            load = Load(client, 8, callers=32, patience=5)
            for _ in range(2):
                await load.progress(200)
                seconds.append(await asyncio.to_thread(worker.stop))
                worker.start()
            await load.progress(100)
            assert worker.restored_records() == 0
            await load.finish()
            return load, seconds

    load, seconds = asyncio.run(scenario())
    assert max(seconds) < deadlines.seconds(5)
    check_clients(load, bank.log().verify())


def test_the_classic_group_protocol(bank: Deployment) -> None:
    """For brokers older than 4.0; a second worker joins, the first leaves, and the second has all partitions."""
    one = bank.worker("one", HEADRACE_GROUP_PROTOCOL="classic").start().await_ready()
    two = bank.worker("two", HEADRACE_GROUP_PROTOCOL="classic")

    async def scenario() -> Load:
        async with bank.client() as client:
            load = Load(client, 9, patience=5)
            await load.progress(100)
            two.start()
            await asyncio.to_thread(until, lambda: two.said("partition ready"), "the second took partitions over")
            await load.progress(100)
            await asyncio.to_thread(one.stop)
            await load.progress(100)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    check_clients(load, bank.log().verify())
    assert {line["partition"] for line in two.said("partition ready")} == {0, 1, 2, 3}


def test_deployments_of_other_prefixes_are_strangers(bootstrap: str, tmp_path: Path) -> None:
    """Same roots and same command ids in two deployments on one cluster, one prefix beginning with the other."""
    with (
        deployed(bootstrap, tmp_path / "a") as a,
        deployed(bootstrap, tmp_path / "b", prefix=f"{a.settings.prefix}b.") as b,
    ):

        async def deposit(bank: Deployment, amount: int) -> Reply:
            async with bank.client() as client:
                return await client.execute(pb.Deposit(amount=amount), root="r", command_id="c", timeout=30)

        for bank in (a, b):
            bank.worker().start()
        for bank, amount in ((a, 1), (b, 2)):
            reply = asyncio.run(deposit(bank, amount))
            assert (reply.sequence, reply.already_processed) == (0, False)
        for bank, amount in ((a, 1), (b, 2)):
            assert [e.message.amount for e in bank.log().verify().events["r"]] == [amount]


def test_more_roots_than_states_kept_in_memory(bootstrap: str, tmp_path: Path) -> None:
    """States that fell out of memory come back from the store as they were."""
    with deployed(bootstrap, tmp_path, partitions=1) as bank:
        bank.worker(HEADRACE_LIVE_STATES=1, HEADRACE_BATCH=50).start().await_ready()

        async def scenario() -> Load:
            async with bank.client() as client:
                load = Load(client, 11, callers=32, roots=500)
                await load.progress(1500)
                await load.finish()
                return load

        load = asyncio.run(scenario())
        log = bank.log().verify()
        check_clients(load, log)
        assert len(log.events) > 400
