"""The benchmark's players in Quix Streams with exactly-once: a state is read and written, an event and a reply sent.

Runs in an environment of its own, since Quix Streams needs another confluent-kafka than Headrace does. Arguments:
bootstrap servers, topic prefix, folder for the state, and the files of the two protobuf modules.
"""

import importlib.util
import struct
import sys
from datetime import UTC, datetime
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]

_STATE = struct.Struct(">qq")
_STANDARD = [("ce_specversion", "1.0"), ("ce_source", "/main/player"), ("content-type", "application/protobuf")]


def loaded(path: str) -> Any:
    """A module by its file: the messages alone, and not the package around them."""
    spec = importlib.util.spec_from_file_location(path.rpartition("/")[2].removesuffix(".py"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(bootstrap: str, prefix: str, folder: str, poker: str, wire: str) -> None:
    """Decide one command after the other, until SIGTERM."""
    pb, wire_pb = loaded(poker), loaded(wire)
    app = Application(
        bootstrap,
        consumer_group=f"{prefix}quix",
        auto_offset_reset="earliest",
        commit_interval=0.1,  # as Kafka Streams by default with exactly-once
        consumer_poll_timeout=0.05,
        state_dir=folder,
        processing_guarantee="exactly-once",
        loglevel="WARNING",
    )
    topic = app.topic(f"{prefix}main.player.commands", key_deserializer="bytes", value_deserializer="bytes")
    produce = app._producer.produce  # a stream's own way out cannot choose a partition
    events, replies = f"{prefix}main.player.events", f"{prefix}headrace.replies"

    def decide(value: bytes, key: bytes, timestamp: int, headers: Any, state: Any) -> None:
        given = dict(headers)
        known = state.get_bytes("player")
        sequence, bankroll = _STATE.unpack(known) if known is not None else (-1, 0)
        sequence += 1
        if given["ce_type"] == b"poker.v1.DepositFunds":
            amount = pb.DepositFunds.FromString(value).amount
            bankroll += amount
            name, event = "poker.v1.FundsDeposited", pb.FundsDeposited(amount=amount, new_balance=bankroll)
        else:
            name, event = (
                "poker.v1.PlayerRegistered",
                pb.PlayerRegistered(name=pb.RegisterPlayer.FromString(value).name),
            )
        state.set_bytes("player", _STATE.pack(sequence, bankroll))
        root, command_id, correlation = key.decode(), given["ce_id"].decode(), given["ce_correlationid"].decode()
        time = datetime.fromtimestamp(timestamp / 1000, UTC).isoformat(timespec="milliseconds")
        data = event.SerializeToString()
        ids = [("ce_type", name), ("ce_id", f"{root}:{sequence}"), ("ce_sequence", str(sequence))]
        cause = [("ce_correlationid", correlation), ("ce_causationid", command_id)]
        about = [("ce_subject", root), ("ce_time", time), *cause]
        produce(events, data, f"{root}|{sequence:020d}", [*_STANDARD, *ids, *about])
        reply = wire_pb.Reply(
            command_id=command_id,
            status=wire_pb.Reply.ACCEPTED,
            root=root,
            sequence=sequence,
            correlation_id=correlation,
            events=[
                wire_pb.Event(
                    type=name,
                    sequence=sequence,
                    data=data,
                    time=time,
                    correlation_id=correlation,
                    causation_id=command_id,
                )
            ],
        )
        number = int(given["ce_replyto"].decode().partition("/")[2])
        out = [*_STANDARD, ("ce_type", "headrace.v1.Reply"), ("ce_id", command_id)]
        produce(replies, reply.SerializeToString(), command_id, out, number)

    app.dataframe(topic).update(decide, stateful=True, metadata=True)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
