"""An independent reader: what the log says, checked by `LogReader.verify` with a fold of its own, not the engine's."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from google.protobuf import descriptor_pool, json_format, message_factory

from headrace.schemas import headrace_v1_pb2 as wire
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.log_ends import end_offsets

State = dict[str, Any]
_PATIENCE = 60  # seconds for an open transaction; the broker ends one after ten
EMPTY: State = {"balance": 0, "count": 0, "owner": "", "note": "", "ballast": b"", "pockets": {}}


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a topic."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


def read_topics(
    bootstrap: str,
    topics: Sequence[str],
    isolation: str = "read_committed",
    *,
    wait: bool = True,
    begin: Mapping[tuple[str, int], int] | None = None,
) -> dict[str, list[Entry]]:
    """The records of topics, each partition in order; from `begin`, by topic and partition, where that says an offset.

    With `wait`, up to what was there at the call, open transactions included: those are waited for. Without, as far
    as a reader of this isolation gets at once.
    """
    ends = end_offsets(bootstrap, topics)
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "log-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 20,
        }
    )
    found: dict[str, list[Entry]] = {topic: [] for topic in topics}
    first = {place: (begin or {}).get(place, 0) for place in ends}
    unread = {place for place, end in ends.items() if end > first[place]}
    deadline = time.monotonic() + deadlines.seconds(_PATIENCE)
    try:
        reader.assign([TopicPartition(*place, first[place] or OFFSET_BEGINNING) for place in unread])
        while unread:
            assert time.monotonic() < deadline, f"{unread} not read to the end {ends} within {_PATIENCE} s"
            for message in reader.consume(1000, 0.05):
                error, place = message.error(), (message.topic() or "", message.partition() or 0)
                if error is None:
                    found[place[0]].append(_entry(message))
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise AssertionError(f"{place}: {error}")
                elif not wait or (message.offset() or 0) >= ends[place]:
                    unread.discard(place)
    finally:
        reader.close()
    return found


def _entry(message: Message) -> Entry:
    return Entry(
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        dict(message.headers() or ()),  # type: ignore[arg-type]
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a root."""

    sequence: int
    kind: str
    message: Any
    raw: bytes
    cause: str
    partition: int


def fold(state: State, event: Any) -> State:
    """The state after an event."""
    after = {**state, "count": state["count"] + 1}
    match event:
        case pb.Opened():
            after["owner"] = event.owner
        case pb.Deposited() | pb.Withdrawn():
            after["balance"] = event.balance
        case pb.Annotated():
            after["note"] = event.note
        case pb.Stashed():
            after["pockets"] = {**state["pockets"], event.pocket: event.amount}
        case pb.Swollen():
            after["ballast"] = state["ballast"] + event.ballast
        case _:
            raise AssertionError(f"the bank writes no {type(event).__name__}")
    return after


def plain(account: pb.Account) -> State:
    """A state message as `fold` writes states."""
    return {name: dict(getattr(account, name)) if name == "pockets" else getattr(account, name) for name in EMPTY}


def decided(state: State, command: Any, seed: str, time: str) -> list[Any] | None:
    """The events that a command must have led to in a state; None when it had to be refused.

    `seed` is what the command's chances hang on, `time` when it was sent.
    """
    match command:
        case pb.Open():
            return None if state["owner"] else [pb.Opened(owner=command.owner)]
        case pb.Deposit():
            return [pb.Deposited(amount=command.amount, balance=state["balance"] + command.amount)]
        case pb.Withdraw():
            left = state["balance"] - command.amount
            return None if left < 0 else [pb.Withdrawn(amount=command.amount, balance=left)]
        case pb.Transfer():
            sums = [sum(command.amounts[: n + 1], state["balance"]) for n in range(len(command.amounts))]
            return [pb.Deposited(amount=a, balance=b) for a, b in zip(command.amounts, sums, strict=True)]
        case pb.Stash():
            return [pb.Stashed(pocket=command.pocket, amount=command.amount)]
        case pb.Annotate():
            return [pb.Annotated(note=command.note, luck=random.Random(seed).random(), at=time)]
        case pb.Touch():
            return []
        case pb.Swell():
            return [pb.Swollen(ballast=b"x" * command.bytes)] * (command.times or 1)
    raise AssertionError(f"the bank decides no {type(command).__name__}")


def message(kind: str, data: bytes, content_type: str = "") -> Any:
    """The bank's message of a full name."""
    bank = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(kind))
    return json_format.Parse(data, bank()) if content_type == "application/json" else bank.FromString(data)


def murmur(root: bytes, partitions: int) -> int:
    """Java's partition of a key, in one more way of writing it than the engine's."""
    m, h = 0x5BD1E995, (0x9747B28C ^ len(root)) & 0xFFFFFFFF
    rest = len(root) % 4
    for at in range(0, len(root) - rest, 4):
        k = int.from_bytes(root[at : at + 4], "little") * m % 2**32
        h = h * m % 2**32 ^ (k ^ k >> 24) * m % 2**32
    if rest:
        h = (h ^ int.from_bytes(root[-rest:], "little")) * m % 2**32
    h = (h ^ h >> 13) * m % 2**32
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions


KINDS = ("commands", "inbox", "events", "snapshots", "dead-letters")


class LogReader:
    """The five topics of the bank, as committed, and what they mean."""

    def __init__(self, partitions: int, source: str, topics: Mapping[str, list[Entry]], commands_topic: str) -> None:
        self.partitions, self.source, self.topics = partitions, source, dict(topics)
        self.commands_topic = commands_topic
        self.events: dict[str, list[Event]] = defaultdict(list)
        self.states: dict[str, list[State]] = {}
        self.caused: dict[str, list[tuple[str, Event]]] = defaultdict(list)
        self.answers: dict[tuple[str, str], bytes] = {}
        self.inbox: set[tuple[str, str]] = set()
        """Root and id of commands that came by the inbox."""
        self.replies: dict[str, list[wire.Reply]] = defaultdict(list)
        self.dead_letters: list[wire.DeadLetter] = [
            wire.DeadLetter.FromString(entry.value or b"") for entry in topics["dead-letters"]
        ]

    @classmethod
    def read(cls, bootstrap: str, prefix: str) -> "LogReader":
        """Read a deployment whose commands have all been handled, as far as anybody was told."""
        names = {kind: f"{prefix}main.account.{kind}" for kind in KINDS}
        names["replies"] = f"{prefix}headrace.replies"
        found = read_topics(bootstrap, list(names.values()))
        metadata = AdminClient({"bootstrap.servers": bootstrap}).list_topics(names["commands"], timeout=10)
        partitions = len(metadata.topics[names["commands"]].partitions)
        return cls(partitions, "/main/account", {kind: found[name] for kind, name in names.items()}, names["commands"])

    # ---- the whole check; an AssertionError says what is wrong

    def verify(self, *, all_results_kept: bool = True) -> "LogReader":
        """Hold everything against everything. `all_results_kept` is False when answers may have been forgotten."""
        self._take_events()
        self._take_answers()
        self._take_replies()
        self._check_snapshots()
        self._check_outcomes(all_results_kept)
        self._check_decisions()
        return self

    def _take_events(self) -> None:
        """Sequences 0, 1, 2, … in the order of the log; attributes; the right partition; states."""
        for entry in self.topics["events"]:
            assert entry.key is not None
            assert entry.value is not None
            root, _, number = entry.key.decode().rpartition("|")
            get = {name: value.decode() for name, value in entry.headers.items()}
            sequence, before = int(number), self.events[root]
            assert sequence == len(before), f"{root}: event {sequence} follows {len(before) - 1}"
            assert number == f"{sequence:020d}"
            assert (get["ce_sequence"], get["ce_id"], get["ce_subject"], get["ce_source"], get["ce_specversion"]) == (
                str(sequence),
                f"{root}:{sequence}",
                root,
                self.source,
                "1.0",
            ), f"{root}: attributes {get}"
            where = murmur(root.encode(), self.partitions)
            assert entry.partition == where, f"{root}: in partition {entry.partition}, not {where}"
            data = message(get["ce_type"], entry.value)
            event = Event(sequence, get["ce_type"], data, entry.value, get["ce_causationid"], entry.partition)
            before.append(event)
            self.caused[event.cause].append((root, event))
            states = self.states.setdefault(root, [EMPTY])
            states.append(fold(states[-1], data))

    def _take_answers(self) -> None:
        """Each command was answered once, and an accepted one stands where its events are."""
        for entry in self.topics["snapshots"]:
            if not (entry.key or b"").startswith(b"\0answers|") or entry.value is None:
                continue
            kept = wire.CommandResults.FromString(entry.value)
            for key, value in zip(kept.keys, kept.values, strict=True):
                root, _, command_id = key.decode().partition("\0")
                where_sent = command_id.removesuffix(command_id.removeprefix("\0"))  # a NUL: the inbox
                command_id = command_id.removeprefix("\0")
                self.inbox.update({(root, command_id)} if where_sent else ())
                assert (root, command_id) not in self.answers, f"{root}: command {command_id} was decided twice"
                assert murmur(root.encode(), self.partitions) == entry.partition, f"{root}: answered elsewhere"
                self.answers[root, command_id] = value
                found = [event.sequence for where, event in self.caused.get(command_id, []) if where == root]
                if value[:1] == b"A":  # then eight bytes of a hash
                    first, count = int.from_bytes(value[9:17], "big"), int.from_bytes(value[17:21], "big")
                    assert found == list(range(first, first + count)), (
                        f"{root}: {command_id} at {first}+{count}: {found}"
                    )
                else:
                    assert not found, f"{root}: command {command_id} was refused and has events {found}"

    def _take_replies(self) -> None:
        """All answers to one command are the same, and hold just the events that the log has for it."""
        for entry in self.topics["replies"]:
            if entry.headers["ce_type"] != b"headrace.v1.Reply" or entry.headers["ce_source"].decode() != self.source:
                continue  # another edition's, for example
            reply = wire.Reply.FromString(entry.value or b"")
            assert entry.headers["ce_id"].decode() == reply.command_id
            self.replies[reply.command_id].append(reply)
        for command_id, replies in self.replies.items():
            first = [reply for reply in replies if not reply.already_processed]
            if replies[0].status != wire.Reply.FAILED:
                assert len(first) <= 1, f"{command_id} got {len(first)} first answers"
            for reply in replies:
                self._check_reply(reply)
                same = (reply.status, reply.root, reply.sequence, reply.reason, reply.code, reply.retryable)
                other = replies[0]
                assert same == (
                    other.status,
                    other.root,
                    other.sequence,
                    other.reason,
                    other.code,
                    other.retryable,
                ), f"{command_id} got different answers: {other} and {reply}"

    def _check_reply(self, reply: wire.Reply) -> None:
        log = self.events.get(reply.root, [])
        found = [event for root, event in self.caused.get(reply.command_id, []) if root == reply.root]
        told = [(e.sequence, e.type, e.data, e.causation_id) for e in reply.events]
        if reply.status == wire.Reply.ACCEPTED:
            there = [(e.sequence, e.kind, e.raw, e.cause) for e in found]
            assert told == there or "left out" in reply.reason, f"{reply.command_id}: told {told}, on the log {there}"
            assert not found or reply.sequence == found[-1].sequence
        else:
            assert not found, f"{reply.command_id} was not accepted and has events {found}"
            if reply.code == "sequence-conflict" and told:
                there = [(e.sequence, e.kind, e.raw, e.cause) for e in log[told[0][0] : reply.sequence + 1]]
                assert told == there, f"{reply.command_id}: conflict told {told}, on the log {there}"

    def _check_snapshots(self) -> None:
        """Each snapshot is the fold of the root's events up to it; the last one is of the last event."""
        last: dict[str, int] = {}
        for entry in self.topics["snapshots"]:
            if entry.key is None or entry.key[:1] == b"\0":
                continue
            root, snapshot = entry.key.decode(), wire.Snapshot.FromString(entry.value or b"")
            states = self.states.get(root, [EMPTY])
            at = snapshot.sequence
            assert at + 1 < len(states), f"{root}: snapshot of {at}, an event that is not there"
            state = plain(pb.Account.FromString(snapshot.state))
            assert state == states[at + 1], f"{root}: snapshot of {at} is {state}"
            assert at > last.get(root, -1), f"{root}: snapshot {at} after a later one"
            assert entry.partition == murmur(entry.key, self.partitions), f"{root}: snapshot in {entry.partition}"
            last[root] = at
        for root, events in self.events.items():
            assert last.get(root) == len(events) - 1, f"{root}: last snapshot {last.get(root)} of {len(events)} events"

    def _check_outcomes(self, all_results_kept: bool) -> None:
        """Every command that lies on its topic has an answer or a dead letter; each dead letter is its input."""
        inputs = {(entry.partition, entry.offset): entry for entry in self.topics["commands"]}
        dead: Counter[tuple[int, int]] = Counter()
        for dead_letter in self.dead_letters:
            assert dead_letter.topic == self.commands_topic
            place = dead_letter.partition, dead_letter.offset
            entry = inputs[place]
            dead[place] += 1
            assert dead[place] == 1, f"{place} has {dead[place]} dead letters"
            assert (dead_letter.key, dead_letter.key_missing) == (entry.key or b"", entry.key is None), f"{place}: key"
            assert (dead_letter.value, dead_letter.value_missing) == (entry.value or b"", entry.value is None), (
                f"{place}: value"
            )
            assert {h.key: h.value for h in dead_letter.headers} == dict(entry.headers), f"{place}: headers"
        for place, entry in inputs.items():
            command_id = entry.headers.get("ce_id", b"").decode(errors="replace")
            root = (entry.key or b"").decode(errors="replace")
            if entry.headers.get("ce_type") == b"headrace.v1.Query" or place in dead:
                continue
            answered = (root, command_id) in self.answers or (not all_results_kept and command_id in self.replies)
            assert answered, f"{entry.headers.get('ce_type')!r} {command_id} for {root} at {place} has disappeared"
        for command_id, events in self.caused.items():
            roots = {root for root, _ in events}
            assert len(roots) == 1, f"command {command_id} caused events of {roots}"
            known = (next(iter(roots)), command_id) in self.answers
            assert known or not all_results_kept, f"events of {command_id} without an answer kept"

    def _check_decisions(self) -> None:
        """Each answer is the one that the rules of the bank give, in the state that the command met."""
        sent: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for entry in [*self.topics["commands"], *self.topics.get("inbox", ())]:
            if entry.key is not None and "ce_id" in entry.headers:
                sent[entry.key.decode(errors="replace"), entry.headers["ce_id"].decode(errors="replace")].append(entry)
        for (root, command_id), value in self.answers.items():
            entries = sent[root, command_id]
            kind, content_type = (entries[0].headers.get(n, b"").decode() for n in ("ce_type", "content-type"))
            command: Any = message(kind, entries[0].value or b"", content_type)
            times = [datetime.fromtimestamp(entry.timestamp / 1000, UTC).isoformat() for entry in entries]
            states, seed = self.states.get(root, [EMPTY]), f"{root}/{command_id}"
            if value[:1] == b"A":
                before = states[int.from_bytes(value[9:17], "big")]
                found = [event.message for _, event in self.caused.get(command_id, [])]
                self._compare(root, command_id, found, [decided(before, command, seed, t) for t in times])
            else:
                reply = wire.Reply.FromString(value[9:])
                if reply.code != "sequence-conflict":
                    expected = decided(states[reply.sequence + 1], command, seed, times[0])
                    assert expected is None, f"{root}: {command_id} refused ({reply.reason}), and should not have been"

    def _compare(self, root: str, command_id: str, found: list[Any], possible: Iterable[list[Any] | None]) -> None:
        for event in found:
            if isinstance(event, pb.Annotated):
                assert event.by, f"{root}: {command_id} got no id from its context"
        cleaned = [_without_id(event) for event in found]
        assert cleaned in list(possible), f"{root}: {command_id} led to {found}, not to one of {list(possible)}"


def _without_id(event: Any) -> Any:
    if not isinstance(event, pb.Annotated):
        return event
    copy = pb.Annotated()
    copy.CopyFrom(event)
    copy.by = ""
    return copy
