"""The bare loop that the engine is measured against: the same records and puts, and nothing else.

It consumes the same commands, parses them, keeps states in a dictionary, and writes in one transaction a batch:
an event with the same headers, a snapshot, an answer to the client, one record of answers for each partition, and
the offsets; then the same puts to RocksDB. It checks nothing, routes nothing, reads no store, knows two commands, and
cannot recover. A test compares all that it writes with what the engine writes.
"""

import struct
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from rocksdict import Options, Rdict, WriteBatch

from headrace.bench.load import DOMAIN
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import topology
from headrace.schemas.event_schema import EventSchema
from headrace.schemas.headrace_v1_pb2 import CommandResults, Event, Reply, Snapshot
from headrace.schemas.record import rfc3339
from headrace.streams.settings import Settings

_NUMBER = struct.Struct(">Q")
_ANSWER = struct.Struct(">c8sqi")
_FINGERPRINT = topology.component(DOMAIN).state_fingerprint
_SCHEMAS = {"poker.v1.PlayerRegistered": EventSchema("poker.v1.PlayerRegistered", 2)}
_STATIC = [("ce_specversion", "1.0"), ("ce_source", "/main/player"), ("content-type", "application/protobuf")]


def group(settings: Settings) -> str:
    """The group that a bare loop belongs to."""
    return f"{settings.prefix}bare"


def consumer(settings: Settings) -> Consumer:
    """A consumer with the engine's settings; it is in the group, which the engine's is not."""
    return Consumer(
        settings.client(
            group_id=group(settings),
            group_protocol="consumer",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            queued_min_messages=20_000,
        )
    )


def producer(settings: Settings) -> Producer:
    """A producer with the engine's settings, ready for transactions."""
    made = Producer(
        settings.producer(
            transactional_id=f"{settings.prefix}bare",
            queue_buffering_max_messages=10_000_000,
            linger_ms=20,
            compression_type="lz4",
        )
    )
    made.init_transactions(30)
    return made


def take(consumer: Consumer, most: int, timeout: float) -> list[Any]:
    """The next batch; empty when nothing came for `timeout` seconds."""
    first = consumer.poll(timeout)
    if first is None:
        return []
    return [m for m in (first, *consumer.consume(most - 1, 0)) if not m.error()]


class BareLoop:
    """One consumer, one transactional producer, one RocksDB a partition."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        topic = settings.names.topic
        self._events = topic(settings.edition, DOMAIN, "events")
        self._snapshots = topic(settings.edition, DOMAIN, "snapshots")
        self._commands = topic(settings.edition, DOMAIN, "commands")
        self._batch = settings.batch
        self._consumer, self._producer = consumer(settings), producer(settings)
        self._consumer.subscribe([self._commands])
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(16 * 1024 * 1024)
        self._stores = [Rdict(str(folder / str(p)), options) for p in range(settings.partitions)]
        self._states: dict[Any, tuple[pb.PlayerState, int]] = {}
        self._clock = (-1, "")

    def poll(self, timeout: float) -> list[Any]:
        """The next batch; empty when nothing came for `timeout` seconds."""
        return take(self._consumer, self._batch, timeout)

    def process(self, messages: list[Any]) -> None:
        """Handle a batch in one transaction, then write the stores."""
        produce, offsets, touched = self._producer.produce, {}, {}
        batches: dict[int, WriteBatch] = {}
        answers: dict[int, CommandResults] = {}
        self._producer.begin_transaction()
        recorded = b"%d" % (time.time_ns() // 1_000_000)
        for message in messages:
            partition, key = message.partition(), message.key()
            headers = dict(message.headers())
            command_id, correlation, moment = headers["ce_id"], headers["ce_correlationid"], self._moment(message)
            event, name, sequence = self._decide(key, headers["ce_type"], message.value())
            touched[key] = partition
            root, data = key.decode(), event.SerializeToString()
            common = [
                ("ce_subject", key),
                ("ce_time", moment),
                ("ce_correlationid", correlation),
                ("ce_causationid", command_id),
            ]
            ids: list[tuple[str, str | bytes]] = [
                ("ce_type", name),
                ("ce_id", f"{root}:{sequence}"),
                ("ce_sequence", str(sequence)),
            ]
            if (schema := _SCHEMAS.get(name)) is not None:
                ids.append(("ce_dataschema", schema.key))
            produce(self._events, data, f"{root}|{sequence:020d}", partition, None, None, 0, [*_STATIC, *ids, *common])
            reply = Reply(
                command_id=command_id,
                status=Reply.ACCEPTED,
                root=root,
                sequence=sequence,
                correlation_id=correlation,
                events=[
                    Event(
                        type=name,
                        sequence=sequence,
                        data=data,
                        time=moment,
                        correlation_id=correlation,
                        causation_id=command_id,
                        version=0 if schema is None else schema.version,
                    )
                ],
            )
            topic, _, number = headers["ce_replyto"].decode().partition("/")
            ids = [("ce_type", "headrace.v1.Reply"), ("ce_id", command_id)]
            produce(topic, reply.SerializeToString(), command_id, int(number), None, None, 0, [*_STATIC, *ids])
            batch = batches.get(partition)
            if batch is None:
                batch = batches[partition] = WriteBatch(raw_mode=True)
                answers[partition] = CommandResults()
            kind = name.encode() if schema is None else schema.key
            kept = b"\0".join((kind, recorded, moment.encode(), command_id, correlation, b"", b"", data))
            batch.put(b"main\0h" + key + b"\0" + _NUMBER.pack(sequence), kept)
            of = blake2b(headers["ce_type"] + b"\0" + message.value(), digest_size=8).digest()
            answer = _ANSWER.pack(b"A", of, sequence, 1)
            batch.put(b"main\0a" + key + b"\0" + command_id, answer)
            answers[partition].keys.append(key + b"\0" + command_id)
            answers[partition].values.append(answer)
            offsets[message.topic(), partition] = message.offset() + 1
        for key, partition in touched.items():
            state, sequence = self._states[key]
            snapshot = Snapshot(
                sequence=sequence, state=state.SerializeToString(), fingerprint=_FINGERPRINT, recorded=int(recorded)
            )
            value = snapshot.SerializeToString()
            produce(self._snapshots, value, key, partition)
            batches[partition].put(b"main\0s" + key, value)
        for partition, given in answers.items():
            answers_key = b"\0answers|%013d|" % (time.time_ns() // 1_000_000) + given.keys[0]
            produce(self._snapshots, given.SerializeToString(), answers_key, partition)
            batches[partition].put(b"main\0b" + answers_key, CommandResults(keys=given.keys).SerializeToString())
        self._producer.flush()
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        self._producer.send_offsets_to_transaction(places, self._consumer.consumer_group_metadata())
        self._producer.commit_transaction()
        for partition, batch in batches.items():
            batch.put(b"\0c", b"%d" % offsets[self._commands, partition])
            self._stores[partition].write(batch)

    def _decide(self, key: bytes, kind: bytes, value: bytes | None) -> tuple[Any, str, int]:
        state, sequence = self._states.get(key) or (pb.PlayerState(), -1)
        event: Any
        if kind == b"poker.v1.DepositFunds":
            amount = pb.DepositFunds.FromString(value or b"").amount
            state.bankroll += amount
            event, name = pb.FundsDeposited(amount=amount, new_balance=state.bankroll), "poker.v1.FundsDeposited"
        else:
            state.name = pb.RegisterPlayer.FromString(value or b"").name
            state.registered = True
            event, name = pb.PlayerRegistered(name=state.name), "poker.v1.PlayerRegistered"
        self._states[key] = (state, sequence + 1)
        return event, name, sequence + 1

    def _moment(self, message: Any) -> str:
        milliseconds = message.timestamp()[1]
        if milliseconds != self._clock[0]:  # many records are of the same millisecond
            self._clock = (milliseconds, rfc3339(milliseconds))
        return self._clock[1]

    def close(self) -> None:
        """Leave the group and close the stores."""
        self._consumer.close()
        for store in self._stores:
            store.close()
