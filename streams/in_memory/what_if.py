"""What-ifs: commands over a history, decided by the steps of production, with nothing stored, published or sent."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Self, TypeVar

from google.protobuf.message import Message

from headrace.schemas.headers import CONTENT_TYPE, EXPECTED, ID, REPLY_TO, SOURCE, SPECVERSION, TYPE, Headers
from headrace.schemas.ids import ReplyTarget
from headrace.schemas.record import Record
from headrace.streams.in_memory.clock import Y2K
from headrace.streams.in_memory.history import History
from headrace.streams.in_memory.outcome import Consequences, Outcome, consequences
from headrace.streams.in_memory.projecting import project
from headrace.streams.in_memory.reads import Folded, Reads
from headrace.streams.in_memory.runtime import MemoryRuntime
from headrace.streams.in_memory.store import MemoryStore
from headrace.streams.steps.fork import Fork
from headrace.streams.steps.store import Store
from headrace.topology.as_of import AsOf
from headrace.topology.cut import DomainCut
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.names import MAIN, Names
from headrace.topology.projector import Projector
from headrace.topology.reply import Event
from headrace.topology.topology import Domain, Topology

D = TypeVar("D")
_NAMES = Names()
_ALL = DomainCut()
_REPLY_TO = str(ReplyTarget(_NAMES.replies, 0)).encode()
_TOGETHER = 500
"""Commands that are decided as one batch, as production does; a snapshot is then made once for each root."""


class WhatIf:
    """Decides commands on the states of a history, without Kafka.

    The topology need not be the one that wrote the history: what-ifs ask what other rules would have done. With
    `reactions`, sagas and process managers run too, and time-outs are delivered by `advance`; those that began before
    the what-if are not known to it, as a history holds events only.
    """

    def __init__(
        self, topology: Topology, history: History, *, reactions: bool = False, now: datetime | None = None
    ) -> None:
        """Time stands at `now`, without it when the history ends. ValueError for a time without a time zone."""
        self._history, self._topology, self._reactions = history, topology, reactions
        if now is None:
            now = datetime.fromtimestamp(history.recorded / 1000, UTC) if history.recorded else Y2K
        self._start, self._number = now, 0
        self._requests: dict[tuple[type[Message], Domain], tuple[ComponentSpec, str, dict[str, bytes]]] = {}
        self._use(MemoryRuntime(topology, start=now, names=_NAMES, edition=MAIN, view=self._view))

    def _use(self, runtime: MemoryRuntime) -> None:
        self._runtime, self._reads = runtime, Reads(runtime)

    def _view(self, name: str, own: MemoryStore) -> Store:
        if self._topology.component(name).state is None:
            return own
        return Fork(own, self._history.store(self._topology, name), _ALL)

    # ---- what happens

    def send(
        self, command: Message, root: str, *, expected_sequence: int | None = None, domain: Domain = None
    ) -> Outcome:
        """Decide a command; with `reactions`, handle all that follows from it.

        `domain` is only needed if several domains handle the command; LookupError if none does.
        """
        spec, record = self._request(command, root, domain)
        if expected_sequence is not None:
            record = record._replace(headers={**record.headers, EXPECTED: str(expected_sequence).encode()})
        return self._decide(spec, [record])[0]

    def send_all(self, commands: Iterable[tuple[Message, str]]) -> list[Outcome]:
        """Decide commands in order, each with its root. Without `reactions` it is faster than one `send` for each."""
        requests = [self._request(command, root, None) for command, root in commands]
        found: list[Outcome] = []
        for _, group in groupby(requests, key=lambda request: request[0].name):
            batch = [*group]
            for start in range(0, len(batch), _TOGETHER):
                found += self._decide(batch[0][0], [record for _, record in batch[start : start + _TOGETHER]])
        return found

    def send_encoded(self, type: str, data: bytes, root: str, *, domain: str) -> Outcome:
        """Decide a command as a record has it: the full name of its type, and bytes, which may be anything."""
        spec = self._topology.aggregate(domain)
        headers = {**_headers(type), ID: self._next_id()}
        record = Record(self._runtime.topic(domain, "commands"), 0, 0, self._now, root.encode(), data, headers)
        return self._decide(spec, [record])[0]

    def advance(self, by: timedelta) -> Consequences:
        """Let time pass, and time-outs that are then due be delivered."""
        seen = self._runtime.log.size
        self._runtime.clock.advance(by)
        return consequences(self._runtime.log.since(seen), self._topology, _NAMES)

    def reset(self) -> None:
        """Begin again with the history."""
        self._number = 0
        self._runtime.reset(self._start)

    def fork(self) -> Self:
        """Another what-if that begins with what happened in this one. Neither sees what happens in the other later."""
        other = type(self)(self._topology, self._history, reactions=self._reactions, now=self._start)
        other._number = self._number
        other._runtime.take_over(self._runtime)
        return other

    # ---- what there is

    def state(self, root: str, domain: Folded = None, *, as_of: AsOf | None = None) -> Any:
        """A copy of the root's state; None if it has no events. `domain` may also name a process manager."""
        return self._reads.state(root, domain, as_of=as_of)

    def events(self, root: str, from_sequence: int = 0, domain: Folded = None) -> list[Event]:
        """The root's events in order, those of the history first. `domain` may also name a process manager."""
        return self._reads.events(root, from_sequence, domain)

    def documents(self, projector: type[Projector[D]]) -> dict[str, D]:
        """What a projector makes of all events, those of the history included; its documents by id."""
        return project(self._topology, projector, self._history, self._runtime)

    # ---- inside

    @property
    def _now(self) -> int:
        return self._runtime.clock.milliseconds

    def _next_id(self) -> bytes:
        self._number += 1
        return b"what-if-%d" % self._number

    def _request(self, command: Message, root: str, domain: Domain) -> tuple[ComponentSpec, Record]:
        kind = command.__class__, domain
        if (found := self._requests.get(kind)) is None:
            if not isinstance(command, Message):
                raise TypeError(f"a command is a protobuf message, not {command!r}")
            spec = self._topology.handler_of(type(command), domain)
            topic = self._runtime.topic(spec.name, "commands")
            found = self._requests[kind] = spec, topic, _headers(type_name(type(command)))
        spec, topic, headers = found
        data = command.SerializeToString(deterministic=True)
        return spec, Record(topic, 0, 0, self._now, root.encode(), data, {**headers, ID: self._next_id()})

    def _decide(self, spec: ComponentSpec, records: Sequence[Record]) -> list[Outcome]:
        if self._reactions:
            return [self._settle(spec, record) for record in records]
        outputs = self._runtime.partition(spec.name).handle(records, self._now).outputs
        return [Outcome(value or b"", spec) for topic, value, *_ in outputs if topic == _NAMES.replies]

    def _settle(self, spec: ComponentSpec, record: Record) -> Outcome:
        """Handle a command and all that follows from it."""
        runtime = self._runtime
        seen = runtime.log.size
        headers: Headers = [*record.headers.items()]
        runtime.write(record.topic, record.value, record.key, 0, headers)
        runtime.run()
        written = runtime.log.since(seen)
        command_id = record.headers[ID]
        answer = next(e.value for e in written if e.topic == _NAMES.replies and e.key == command_id)
        return Outcome(answer or b"", spec, consequences(written, self._topology, _NAMES, command_id.decode()))


def _headers(command_type: str) -> dict[str, bytes]:
    """Headers of a command, all but its id."""
    return {
        SPECVERSION: b"1.0",
        ID: b"",
        SOURCE: b"/what-if",
        TYPE: command_type.encode(),
        CONTENT_TYPE: b"application/protobuf",
        REPLY_TO: _REPLY_TO,
    }
