"""Dead letters of any size and kind are sent again, one by one, whatever becomes of the others."""

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from headrace import Topology
from headrace.schemas.headers import Headers
from headrace.streams.admin.dead_letters import Filter, ListedDeadLetter, NotAllSettled, find, settle
from tests.support.bank.accounts import Accounts
from tests.support.deployment import Deployment, until

pytestmark = pytest.mark.kafka
TOPOLOGY = Topology(Accounts)


def take_up_to(bank: Deployment, topic: str, limit: int) -> None:
    """Let a topic take records of this size."""
    entry = ConfigEntry("max.message.bytes", str(limit), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    client = AdminClient(bank.settings.client())  # its answers come only while it lives
    (done,) = client.incremental_alter_configs([resource]).values()
    done.result()


def produce(bank: Deployment, value: bytes, key: bytes, compression: str) -> None:
    config = {"compression.type": compression, "message.max.bytes": 500_000_000}
    producer = Producer(bank.settings.producer(queue_buffering_max_kbytes=1_000_000) | config)
    failed: list[object] = []
    headers: Headers = [("ce_note", b"first"), ("ce_note", None), ("ce_id", b"x")]
    producer.produce(bank.topic("commands"), value, key, 0, on_delivery=lambda e, _: failed.append(e), headers=headers)
    assert producer.flush(60) == 0
    assert failed == [None]


def dead_letters(bank: Deployment, *, settled: bool = False) -> list[ListedDeadLetter]:
    return find(bank.settings, TOPOLOGY, ["account"], Filter(settled=settled))


def test_one_that_cannot_be_sent_does_not_keep_the_others_from_it(bank: Deployment) -> None:
    """A bomb that nobody can unpack, one above the limit of a dead letter, and one above a producer's default."""
    take_up_to(bank, bank.topic("commands"), 8_000_000)
    worker = bank.worker().start().await_ready()
    produce(bank, bytes(120_000_000), b"bomb", "zstd")
    produce(bank, b"packs well" * 3_000_000, b"large", "zstd")
    produce(bank, bytes(range(256)) * 20_000, b"above a megabyte", "none")
    until(lambda: len(dead_letters(bank)) == 3, "all of them are dead letters", 60)
    bomb, large, fair = sorted(dead_letters(bank), key=lambda one: one.body.offset)
    assert (bomb.body.omitted, large.body.omitted, fair.body.omitted) == (-1, 30_000_000, 0)

    sending = settle(bank.settings, TOPOLOGY, [bomb, large, fair], discard=False)
    assert [next(sending).id, next(sending).id] == [large.id, fair.id]
    with pytest.raises(NotAllSettled, match=rf"^{bomb.id}: its input cannot be read from .*") as raised:
        next(sending)
    assert not raised.value.replayable
    until(lambda: len(dead_letters(bank, settled=True)) == 5, "both were tried again", 60)
    found = dead_letters(bank)
    assert {(one.root, one.body.attempts) for one in found} == {("", 1), ("large", 2), ("above a megabyte", 2)}
    assert {one.settled for one in dead_letters(bank, settled=True)} == {"", "replayed"}

    list(settle(bank.settings, TOPOLOGY, found, discard=True))
    until(lambda: not dead_letters(bank), "all are discarded", 60)
    assert worker.ready


def test_all_headers_are_kept_and_sent_again(bank: Deployment) -> None:
    """Those of one name, and null ones, count for nothing; a person who looks for the cause needs them."""
    bank.worker().start().await_ready()
    produce(bank, b"junk", b"r", "none")
    until(lambda: dead_letters(bank), "it is a dead letter")
    (first,) = dead_letters(bank)
    note = [(header.key, header.value, header.value_missing) for header in first.body.headers if header.key != "ce_id"]
    assert note == [("ce_note", b"first", False), ("ce_note", b"", True)]
    list(settle(bank.settings, TOPOLOGY, [first], discard=False))
    until(lambda: [one.body.attempts for one in dead_letters(bank)] == [2], "it was tried again")
    (again,) = dead_letters(bank)
    assert [header for header in again.body.headers if header.key == "ce_note"] == [
        header for header in first.body.headers if header.key == "ce_note"
    ]
