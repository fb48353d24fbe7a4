"""The examples in docs/record-format.md, against the engine and against the cloudevents package."""

import re
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.past import PlayerPast
from headrace.examples.poker.player import Player
from headrace.schemas.codecs import content_types, decode, encode
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.schemas.record import CloudEvent, Record
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.registry import make_step
from headrace.testing.memory_store import MemoryStore
from headrace.topology.names import Names
from headrace.topology.partitioner import partition_of
from headrace.topology.topology import Topology

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/record-format.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def record(number: int) -> tuple[str, list[tuple[str, bytes]]]:
    """Topic, and key, headers and value in their order, of a record on the page."""
    topic, *rows = (line.split() for line in blocks("record")[number].splitlines())
    for _, digits, *text in rows:
        assert not text or bytes.fromhex(digits).decode() == text[0]
    return topic[1], [(name, bytes.fromhex(digits)) for name, digits, *_ in rows]


def as_rows(key: Any, value: Any, headers: Any) -> list[tuple[str, bytes]]:
    rows = [("key", key), *headers, ("value", value)]
    return [(name, data.encode() if isinstance(data, str) else data) for name, data in rows]


def test_the_command_is_what_our_client_writes() -> None:
    event = CloudEvent(
        id="till-3:41",
        source="/main/till-3",
        type="poker.v1.RegisterPlayer",
        data=encode(pb.RegisterPlayer(name="Mike")),
        subject="mike",
        content_type="application/protobuf",
        extensions={"correlationid": "visit-7", "expectedsequence": "-1", "replyto": "headrace.replies/2"},
    )
    assert as_rows("mike", event.data, event.headers()) == record(0)[1]


def test_the_command_leads_to_the_event() -> None:
    topic, rows = record(0)
    (_, key), *headers, (_, value) = rows
    partition = partition_of(key, 12)
    place = StepContext(Names(), "main", partition, partitions=12, reply_partitions=4)
    step = make_step(Topology(Player, PlayerPast), "player", MemoryStore(), place)
    step.handle(Record(topic, partition, 0, 1714564800500, key, value, dict(headers)))
    (event_topic, event, event_key, _, event_headers), (reply_topic, reply, reply_key, reply_partition, _) = (
        step.outputs
    )
    assert (event_topic, as_rows(event_key, event, event_headers)) == record(1)
    assert (reply_topic, reply_key, reply_partition) == ("headrace.replies", b"till-3:41", 2)
    assert Reply.FromString(reply or b"").status == Reply.ACCEPTED


@pytest.mark.parametrize("number", [0, 1])
def test_the_cloudevents_package_reads_the_records(number: int) -> None:
    (_, key), *headers, (_, value) = record(number)[1]
    event = from_binary(KafkaMessage(dict(headers), key, value), JSONFormat())
    assert event.get_subject() == "mike"
    assert event.get_type() in ("poker.v1.RegisterPlayer", "poker.v1.PlayerRegistered")


def test_the_lines_in_java_are_those_of_a_program_that_is_tested() -> None:
    program = iter([line.strip() for line in (ROOT / "tests/support/foreign/Sender.java").read_text().splitlines()])
    (lines,) = blocks("java")
    for line in lines.splitlines():
        assert line.strip() in program, f"{line!r} is not in Sender.java, or not behind the line before it"


def test_payloads() -> None:
    payloads = re.findall(r"^\| `(application/\w+)`.*?\| `([0-9a-f ]+)`", PAGE, re.MULTILINE)
    assert [content_type for content_type, _ in payloads] == list(content_types())
    for content_type, digits in payloads:
        assert decode(bytes.fromhex(digits), pb.RegisterPlayer, content_type) == pb.RegisterPlayer(name="Mike")


def test_avro_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """As the page says to print it."""
    (command,) = blocks("sh")
    exec(command.removeprefix("python -c '").removesuffix("'\n"))
    assert [capsys.readouterr().out] == blocks("json")


def test_partitions() -> None:
    table = re.findall(r"^\| `([^`]+)` \| (\d+) \|$", PAGE, re.MULTILINE)
    assert len(table) == 4
    assert [int(partition) for _, partition in table] == [partition_of(root.encode(), 12) for root, _ in table]


def test_every_header_is_described() -> None:
    source = (ROOT / "schemas/headers.py").read_text()
    names = re.findall(r'= "(ce_\w+|content-type)"', source)
    assert len(names) > 10
    assert [name for name in names if f"| `{name}`" not in PAGE] == []
