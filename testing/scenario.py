"""Given events, when a command, then events: tests of one aggregate, without Kafka and without a clock.

    given(Door, Built()).when(Open(by="Ann")).then(Opened(by="Ann")).then_state(open=True)

The real step runs, so what passes here passes in production. Besides, handlers are watched: one that changes the
state it was given, returns something else than events, or decides differently the second time, fails the test (each
command is decided twice for it).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Generic, Self, TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.headers import TYPE
from headrace.schemas.headrace_v1_pb2 import Reply, Snapshot
from headrace.schemas.record import Record, rfc3339
from headrace.streams.steps import merge
from headrace.streams.steps.checks import checked_root
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.errors import HandlerError
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.store import Staged
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import request, since_epoch
from headrace.topology.aggregate import Aggregate
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.names import MAIN, Names
from headrace.topology.topology import Topology

S = TypeVar("S", bound=Message)
Y2K = datetime(2000, 1, 1, tzinfo=UTC)
_NAMES = Names()
_PLACE = StepContext(_NAMES, MAIN, 0, partitions=1, reply_partitions=1, check_purity=True)
_TOPOLOGIES: dict[type[Aggregate[Any]], Topology] = {}  # a test suite asks for the same few again and again


def given(aggregate: type[Aggregate[S]], *events: Message, root: str = "root-1", now: datetime = Y2K) -> "Scenario[S]":
    """A root with these events, which lie on its log as if it had written them; `now` is the time of commands.

    Raises TopologyError when the aggregate is declared wrongly, LookupError when it does not apply an event.
    """
    return Scenario(_checked(aggregate), events, root, now)


class Scenario(Generic[S]):
    """One root. Commands follow each other: `.when(a).then(...).when(b).then_rejected(...)`."""

    def __init__(self, topology: Topology, events: Iterable[Message], root: str, now: datetime) -> None:
        (spec,) = topology.components.values()
        self._spec, self._root, self._now, self._sent = spec, root, now, 0
        self._key = checked_root(root.encode())
        self._store = MemoryStore()
        self._step = make_step(topology, spec.name, self._store, _PLACE)
        self._step.enforce_state_size = True  # so that a state too large is the fault of its command
        self._reply: Reply | None = None
        self._events: list[Message] = []
        self._unread = False
        self._store.put(_history(spec, self._key, events, since_epoch(now)))

    def when(
        self,
        command: Message,
        *,
        command_id: str | None = None,
        expected_sequence: int | None = None,
        correlation_id: str | None = None,
        now: datetime | None = None,
    ) -> Self:
        """Send a command; `now` holds for the later ones too.

        What would go to the dead letters is raised here: errors of handlers as they are, HandlerError when a handler
        breaks its contract, LookupError for a command that the aggregate does not handle. AssertionError when the
        command before was rejected and nobody has looked.
        """
        __tracebackhide__ = True
        if self._unread and self._reply is not None and self._reply.status == Reply.REJECTED:
            raise AssertionError(f"the command before was rejected: {self._reply.reason}")
        self._sent += 1
        self._now = now or self._now
        record = request(
            _NAMES.topic(MAIN, self._spec.name, "commands"),
            command,
            self._root,
            time=since_epoch(self._now),
            command_id=command_id or f"command-{self._sent}",
            expected_sequence=expected_sequence,
            correlation_id=correlation_id,
            reply_to=f"{_NAMES.replies}/0",
        )
        self._run(record)
        return self

    def _run(self, record: Record) -> None:
        reply, events, before = self._decide(record)
        self._reply, self._events, staged = self._decide(record)
        name = self._spec.class_name
        if (reply, events) != (self._reply, self._events):
            handler = self._spec.commands[record.headers[TYPE].decode()]
            raise HandlerError(
                f"{name}.{handler.method} decides differently each time; take time, chance and ids from the context\n"
                + _comparison(events, self._events, "first", "again")
            )
        if self._parsed(before.snapshots.get(self._key)) != self._parsed(staged.snapshots.get(self._key)):
            raise HandlerError(f"{name} applies the same events differently each time; state may come from them alone")
        self._unread = True
        self._store.put(staged)
        self._step.committed()

    def _decide(self, record: Record) -> tuple[Reply, list[Message], Staged]:
        self._step.rolled_back()
        self._step.attempt(record)  # which raises what would be dead-lettered
        (answer,) = (value for topic, value, *_ in self._step.outputs if topic == _NAMES.replies)
        reply = Reply.FromString(answer or b"")
        events = [self._spec.appliers[event.type][0].FromString(event.data) for event in reply.events]
        for event in reply.events:
            event.ClearField("data")  # compared as messages: the bytes of a map may differ
        return reply, events, self._step.finish(record.timestamp)

    def _parsed(self, snapshot: bytes | None) -> S:
        state: Any = self._spec.state_type()
        state.MergeFromString(Snapshot.FromString(snapshot or b"").state)
        return state  # type: ignore[no-any-return]

    # ---- what came of it

    @property
    def reply(self) -> Reply:
        """The answer to the last command, without its events' bytes."""
        assert self._reply is not None, "no command yet; call when(command) first"
        self._unread = False
        return self._reply

    @property
    def events(self) -> list[Message]:
        """Events of the last command; AssertionError when it was rejected."""
        __tracebackhide__ = True
        if (reply := self.reply).status == Reply.REJECTED:
            raise AssertionError(f"rejected: {reply.reason} (code {reply.code!r})")
        return list(self._events)

    @property
    def state(self) -> S:
        """State of the root now, a copy."""
        return self._parsed(self._store.snapshot(self._key))

    def then(self, *events: Message) -> Self:
        """The last command led to exactly these events, in this order."""
        __tracebackhide__ = True
        reply = self.reply
        if reply.status == Reply.REJECTED:
            raise AssertionError(f"rejected: {reply.reason} (code {reply.code!r})\n{_comparison(events, [])}")
        if list(events) != self._events:
            raise AssertionError(f"other events than expected\n{_comparison(events, self._events)}")
        return self

    def then_nothing(self) -> Self:
        """The last command was accepted and led to no event."""
        __tracebackhide__ = True
        return self.then()

    def then_rejected(self, reason: str = "", *, code: str | None = None, retryable: bool | None = None) -> Self:
        """The last command was refused, and `reason` is part of why; `code` and `retryable` are as given, if given."""
        __tracebackhide__ = True
        reply = self.reply
        if reply.status != Reply.REJECTED:
            raise AssertionError(f"accepted, but expected a rejection: {reason}\n{_comparison([], self._events)}")
        wrong = [
            f"{what}\n  expected  {expected!r}\n  got       {got!r}"
            for what, expected, got, right in (
                ("rejected for another reason", reason, reply.reason, reason in reply.reason),
                ("rejected with another code", code, reply.code, code in (None, reply.code)),
                ("retryable or not", retryable, reply.retryable, retryable in (None, reply.retryable)),
            )
            if not right
        ]
        if wrong:
            raise AssertionError("\n".join(wrong))
        return self

    def then_state(self, **fields: Any) -> Self:
        """These fields of the state have these values; maps are compared as dict, repeated fields as list."""
        __tracebackhide__ = True
        state = self.state
        known = state.DESCRIPTOR.fields_by_name
        if unknown := fields.keys() - known.keys():
            names = f"{', '.join(sorted(unknown))}; it has: {', '.join(known)}"
            raise AssertionError(f"{type_name(self._spec.state_type)} has no {names}")
        wrong = [
            f"{name}\n  expected  {expected!r}\n  got       {got!r}"
            for name, expected, got in ((name, value, _plain(state, name)) for name, value in fields.items())
            if got != expected
        ]
        if wrong:
            raise AssertionError("other state than expected\n" + "\n".join(wrong))
        return self


def _checked(aggregate: type[Aggregate[Any]]) -> Topology:
    if aggregate not in _TOPOLOGIES:
        _TOPOLOGIES[aggregate] = Topology(aggregate)
    return _TOPOLOGIES[aggregate]


def _history(spec: ComponentSpec, root: bytes, events: Iterable[Message], time: int) -> Staged:
    """What the store of a root with these events holds."""
    staged, state, sequence = Staged(), spec.state_type(), -1
    for sequence, event in enumerate(events):
        if not isinstance(event, Message):
            raise TypeError(f"given({spec.class_name}, …) takes events, which are protobuf messages; got {event!r}")
        name = type_name(type(event))
        if name not in spec.appliers:
            raise LookupError(f"{spec.class_name} applies no {name}; it applies: {', '.join(spec.appliers)}")
        data = event.SerializeToString()
        spec.appliers[name][1](state, event.FromString(data))
        value = b"\0".join((name.encode(), rfc3339(time).encode(), b"given", b"given", b"", b"", data))
        staged.history.append((root, sequence, value))
    if sequence >= 0:
        snapshot = Snapshot(
            sequence=sequence, state=state.SerializeToString(), fingerprint=fingerprint(spec.state_type)
        )
        staged.snapshots[root] = snapshot.SerializeToString()
    return staged


def _plain(message: Message, name: str) -> Any:
    field, value = message.DESCRIPTOR.fields_by_name[name], getattr(message, name)
    if not field.is_repeated:
        return value
    entry = field.message_type
    return dict(value) if entry is not None and entry.GetOptions().map_entry else list(value)


# ---- readable failures


def _comparison(expected: Iterable[Message], got: Iterable[Message], one: str = "expected", other: str = "got") -> str:
    """Both lists side by side, event by event; where two events of one type differ, the fields that do."""
    lines: list[str] = []
    for number, (want, have) in enumerate(zip_longest(expected, got), 1):
        if want == have:
            lines.append(f"  {number}. both      {_text(want)}")
            continue
        lines.append(f"  {number}. {one:<9} {_text(want)}")
        lines.append(f"     {other:<9} {_text(have)}")
        if want is not None and type(want) is type(have):
            paths = merge.changed(want, have)
            lines.append(f"     differ in {', '.join(sorted('.'.join(map(str, path)) for path in paths))}")
    return "\n".join(lines)


def _text(message: Message | None) -> str:
    if message is None:
        return "nothing"
    if not isinstance(message, Message):
        return f"{message!r}, which is no protobuf message"
    fields = text_format.MessageToString(message, as_one_line=True, as_utf8=True)
    return f"{type(message).__name__}({fields.strip()})"
