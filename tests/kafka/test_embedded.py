"""The embedded Kafka, for real: it starts, keeps data, survives what it should, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from headrace.cli import kafka as command
from headrace.embedded import BrokerFailed, DataMismatch, EmbeddedKafka, PortTaken
from tests.support import deadlines

pytestmark = pytest.mark.kafka

SECONDS = 30.0
# Where speed is not looked at, the quick compiler alone: a third less of processor time for a start.
LIGHT = ["-XX:TieredStopAtLevel=1"]
# A client would else leave a broker that went away alone for up to ten seconds.
QUIET: dict[str, Any] = {"log_level": 0, "error_cb": lambda error: None, "reconnect.backoff.max.ms": 500}


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + deadlines.seconds(SECONDS)
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True


def topic(bootstrap: str, **config: str) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
    admin.create_topics([NewTopic(name, num_partitions=1, config=config)], request_timeout=SECONDS)[name].result()
    return name


def produce(bootstrap: str, name: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"writer-{name}", **QUIET})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    for value in values:
        producer.produce(name, value)
    producer.commit_transaction(SECONDS)


def consume(bootstrap: str, name: str, count: int) -> list[bytes]:
    """The first values of a topic, read by a group that commits."""
    settings = {"group.id": f"reader-{uuid.uuid4().hex[:8]}", "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.protocol": "consumer", **settings, **QUIET})
    values: list[bytes] = []
    try:
        consumer.subscribe([name])

        def enough() -> bool:
            for message in consumer.consume(count - len(values), 0.1):
                assert message.error() is None
                values.append(message.value() or b"")
            return len(values) >= count

        assert eventually(enough), f"{len(values)} of {count} records came"
        return values
    finally:
        consumer.close()


def test_records_go_through_and_a_misspelt_topic_is_an_error(kafka: EmbeddedKafka) -> None:
    name = topic(kafka.bootstrap)
    produce(kafka.bootstrap, name, b"one", b"two")
    assert consume(kafka.bootstrap, name, 2) == [b"one", b"two"]
    assert len(kafka.pids) == 1
    misspelt = name + "-misspelt"
    found = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET}).list_topics(misspelt, SECONDS).topics[misspelt]
    assert found.error is not None
    assert found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_compaction_can_be_waited_for(kafka: EmbeddedKafka) -> None:
    name = topic(
        kafka.bootstrap,
        **{"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"},
    )
    producer = Producer({"bootstrap.servers": kafka.bootstrap, **QUIET})

    def oldest() -> bytes:
        # Each look adds a record, which closes the segment before it: only closed segments are compacted.
        producer.produce(name, b"tick", b"tick")
        producer.flush(SECONDS)
        return consume(kafka.bootstrap, name, 1)[0]

    for value in (b"old", b"new"):
        producer.produce(name, value, b"key")
        producer.flush(SECONDS)
    assert consume(kafka.bootstrap, name, 2) == [b"old", b"new"]
    assert eventually(lambda: oldest() == b"new")


def test_data_survives_restart_kill_and_a_second_start(tmp_path: Path) -> None:
    data = tmp_path / "data with a space"
    with EmbeddedKafka(data_dir=data, jvm=LIGHT) as kafka:
        name, bootstrap = topic(kafka.bootstrap), kafka.bootstrap
        produce(bootstrap, name, b"first")
        controller = data / "broker-1" / "controller.log"
        kafka.restart()
        assert kafka.bootstrap == bootstrap
        assert not controller.exists()
        produce(bootstrap, name, b"second")
        kafka.kill()
        assert kafka.pids == []
        kafka.restart()
        assert "Fencing broker 1" in controller.read_text()
        produce(bootstrap, name, b"third")
        with pytest.raises(DataMismatch, match="cannot be used: another Kafka runs on it"):
            EmbeddedKafka(data_dir=data).start()
    with EmbeddedKafka(data_dir=data, jvm=LIGHT) as kafka:
        assert consume(kafka.bootstrap, name, 3) == [b"first", b"second", b"third"]
    with pytest.raises(DataMismatch, match="of a Kafka with 1 broker"):
        EmbeddedKafka(brokers=3, data_dir=data).start()


def test_two_at_once_know_nothing_of_each_other(kafka: EmbeddedKafka) -> None:
    # Started in a thread that ends: the broker must not end with it.
    other = EmbeddedKafka(jvm=LIGHT)
    starter = threading.Thread(target=other.start)
    starter.start()
    starter.join()
    with other:
        assert other.bootstrap != kafka.bootstrap
        folder = other.data_dir
        name = topic(other.bootstrap)
        produce(other.bootstrap, name, b"here")
        known = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET}).list_topics(timeout=SECONDS).topics
        assert name not in known
        # A paused broker answers nothing; once it goes on, it is as before.
        other.pause()
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": other.bootstrap, **QUIET}).list_topics(timeout=0.5)
        other.resume()
        assert consume(other.bootstrap, name, 1) == [b"here"]
    assert not folder.exists()
    with pytest.raises(BrokerFailed, match="does not run"):
        _ = other.bootstrap


def test_three_brokers_do_without_one(tmp_path: Path) -> None:
    with EmbeddedKafka(brokers=3, jvm=LIGHT) as kafka:
        name = topic(kafka.bootstrap)
        produce(kafka.bootstrap, name, b"before")
        partition = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET}).list_topics(name, SECONDS).topics[name]
        assert len(partition.partitions[0].replicas) == 3
        kafka.kill(partition.partitions[0].leader - 1)
        assert len(kafka.pids) == 2
        produce(kafka.bootstrap, name, b"after")
        assert consume(kafka.bootstrap, name, 2) == [b"before", b"after"]
        kafka.restart(partition.partitions[0].leader - 1)
        assert len(kafka.pids) == 3


def test_a_broker_that_dies_says_why() -> None:
    with pytest.raises(BrokerFailed) as failed:
        EmbeddedKafka(properties={"num.partitions": "many"}).start()
    text = str(failed.value)
    assert "formatting the data of broker 1 failed (exit code 1): a setting is wrong" in text
    assert "Invalid value many for configuration num.partitions" in text
    assert "format.log" in text
    with EmbeddedKafka(jvm=LIGHT) as kafka:
        os.kill(kafka.pids[0], signal.SIGKILL)
        with pytest.raises(BrokerFailed, match=r"broker 1 ended by itself \(signal SIGKILL\); the end of"):
            assert eventually(lambda: not kafka.check())


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} of 127.0.0.1 is in use"):
            EmbeddedKafka(ports=[port]).start()
        shown = CliRunner().invoke(command.app, ["start", "--port", str(port)])
        assert shown.exit_code == 3
        assert f"port {port} of 127.0.0.1 is in use" in shown.stderr


def test_a_killed_program_leaves_no_broker_and_no_folder() -> None:
    code = (
        "from headrace.embedded import EmbeddedKafka\n"
        "k = EmbeddedKafka().start()\n"
        "print(k.pids[0], k.data_dir, sep='\\n', flush=True)\n"
        "import signal; signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        broker = psutil.Process(int(program.stdout.readline()))
        folder = Path(program.stdout.readline().strip())
        assert broker.is_running()
        assert folder.exists()
        program.kill()
    assert eventually(lambda: not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE)
    assert eventually(lambda: not folder.exists())


def test_the_command_starts_shows_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))

    def run(*components: str) -> tuple[int, Any]:
        result = CliRunner().invoke(command.app, [*components, "--json"])
        return result.exit_code, json.loads(result.stdout)

    assert run("status") == (1, {"running": False})
    assert run("stop") == (0, {"running": False, "stopped": False})
    try:
        code, started = run("start", "--port", "0")
        assert (code, started["fresh"], started["ready"]) == (0, True, True)
        name = topic(started["bootstrap"])
        produce(started["bootstrap"], name, b"kept")
        code, again = run("start")
        assert (code, again["fresh"], again["pids"]) == (0, False, started["pids"])
        code, refused = run("start", "--brokers", "3")
        assert code == 1
        assert "brokers: 1, not 3" in refused["error"]
        code, shown = run("status")
        assert (code, shown["running"], shown["ready"], shown["alive"]) == (0, True, True, 1)
        assert "runs on" in CliRunner().invoke(command.app, ["status"]).stdout
        assert run("stop")[1]["stopped"] is True
        assert run("status")[0] == 1
    finally:
        run("stop")
    # In the foreground: the same data, until it is told to end.
    program = [sys.executable, "-c", "from headrace.cli.kafka import app; app()"]
    arguments = [*program, "start", "--foreground", "--port", "0", "--json"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout is not None
        shown = json.loads(foreground.stdout.readline())
        assert consume(shown["bootstrap"], name, 1) == [b"kept"]
        assert run("status")[1]["pids"] == shown["pids"]
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(SECONDS) == 0
    assert run("status")[0] == 1
