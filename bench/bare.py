"""The bare loop that the engine is measured against: the same records and puts, and nothing else.

It consumes the same commands, parses them, keeps balances in a dictionary, and writes in one transaction a batch:
an event with the same headers, a snapshot, an answer to the client, one record of answers for each partition, and
the offsets; then the same puts to RocksDB. It checks nothing, routes nothing, and knows one command.
"""

import struct
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from rocksdict import Options, Rdict, WriteBatch

from headrace.bench.load import DOMAIN
from headrace.examples.poker import poker_pb2 as pb
from headrace.schemas.headrace_v1_pb2 import Answers, Reply, Snapshot
from headrace.schemas.record import rfc3339
from headrace.streams.settings import Settings

_NUMBER = struct.Struct(">Q")
_ANSWER = struct.Struct(">cqi")


class BareLoop:
    """One consumer, one transactional producer, one RocksDB a partition."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        topic = settings.names.topic
        self._events = topic(settings.edition, DOMAIN, "events")
        self._snapshots = topic(settings.edition, DOMAIN, "snapshots")
        self._batch = settings.batch
        self._consumer = Consumer(
            settings.client(
                group_id=f"{settings.prefix}bare",
                group_protocol="consumer",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                queued_min_messages=20_000,
            )
        )
        self._producer = Producer(
            settings.producer(
                transactional_id=f"{settings.prefix}bare",
                queue_buffering_max_messages=10_000_000,
                linger_ms=2,
                compression_type="lz4",
            )
        )
        self._producer.init_transactions(30)
        self._consumer.subscribe([topic(settings.edition, DOMAIN, "commands")])
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(16 * 1024 * 1024)
        self._stores = [Rdict(str(folder / str(p)), options) for p in range(settings.partitions)]
        self._states: dict[bytes, tuple[pb.PlayerState, int]] = {}

    def run(self, commands: int) -> float:
        """Handle so many commands; seconds from the first batch to the last commit."""
        done, started = 0, 0.0
        while done < commands:
            first = self._consumer.poll(1.0)
            if first is None or first.error():
                continue
            started = started or time.perf_counter()
            messages = [first, *self._consumer.consume(self._batch - 1, 0)]
            self._transact([m for m in messages if not m.error()])
            done += len(messages)
        return time.perf_counter() - started

    def _transact(self, messages: list[Any]) -> None:
        produce, offsets = self._producer.produce, {}
        batches: dict[int, WriteBatch] = {}
        answers: dict[int, Answers] = {}
        touched: dict[bytes, int] = {}
        static = [("ce_specversion", "1.0"), ("ce_source", "/main/player"), ("content-type", "application/protobuf")]
        self._producer.begin_transaction()
        for message in messages:
            partition, key, headers = message.partition(), message.key(), dict(message.headers())
            state, sequence = self._states.get(key) or (pb.PlayerState(), -1)
            if headers["ce_type"] == b"poker.v1.DepositFunds":
                command = pb.DepositFunds.FromString(message.value())
                state.bankroll += command.amount
                event: Any = pb.FundsDeposited(amount=command.amount, new_balance=state.bankroll)
                name = "poker.v1.FundsDeposited"
            else:
                state.name = pb.RegisterPlayer.FromString(message.value()).name
                state.registered = True
                event, name = pb.PlayerRegistered(name=state.name), "poker.v1.PlayerRegistered"
            sequence += 1
            self._states[key] = (state, sequence)
            touched[key] = partition
            root, data, command_id = key.decode(), event.SerializeToString(), headers["ce_id"]
            moment = rfc3339(message.timestamp()[1])
            produce(
                self._events,
                data,
                f"{root}|{sequence:020d}",
                partition,
                headers=[
                    *static,
                    ("ce_type", name),
                    ("ce_id", f"{root}:{sequence}"),
                    ("ce_sequence", str(sequence)),
                    ("ce_subject", key),
                    ("ce_time", moment),
                    ("ce_correlationid", command_id),
                    ("ce_causationid", command_id),
                ],
            )
            reply = Reply(command_id=command_id, status=Reply.ACCEPTED, root=root, sequence=sequence)
            reply.events.add(type=name, sequence=sequence, data=data, time=moment)
            topic, _, number = headers["ce_replyto"].decode().partition("/")
            produce(
                topic,
                reply.SerializeToString(),
                command_id,
                int(number),
                headers=[*static, ("ce_type", "headrace.v1.Reply"), ("ce_id", command_id)],
            )
            batch = batches.get(partition)
            if batch is None:
                batch = batches[partition] = WriteBatch(raw_mode=True)
                answers[partition] = Answers()
            batch.put(b"main\0h" + key + b"\0" + _NUMBER.pack(sequence), data)
            answer = _ANSWER.pack(b"A", sequence, 1)
            batch.put(b"main\0a" + key + b"\0" + command_id, answer)
            answers[partition].keys.append(key + b"\0" + command_id)
            answers[partition].values.append(answer)
            offsets[message.topic(), partition] = message.offset() + 1
        for key, partition in touched.items():
            state, sequence = self._states[key]
            snapshot = Snapshot(sequence=sequence, state=state.SerializeToString(), fingerprint="0123456789abcdef")
            value = snapshot.SerializeToString()
            produce(self._snapshots, value, key, partition)
            batches[partition].put(b"main\0s" + key, value)
        for partition, kept in answers.items():
            produce(self._snapshots, kept.SerializeToString(), b"\0answers|%d" % time.time_ns(), partition)
        self._producer.flush()
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        self._producer.send_offsets_to_transaction(places, self._consumer.consumer_group_metadata())
        self._producer.commit_transaction()
        for partition, batch in batches.items():
            self._stores[partition].write(batch)

    def close(self) -> None:
        """Leave the group and close the stores."""
        self._consumer.close()
        for store in self._stores:
            store.close()
