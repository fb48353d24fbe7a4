"""A whole topology in memory, with a clock that a test sets: for tests without Kafka.

The steps are those of production; topics are lists, and a command is handled before `execute` returns. Each driver has
one edition. Ids are numbered, so that each run of a test writes the same records.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.message import Message

from headrace.schemas.headers import ID, TYPE
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Handled, Projected, Settled
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.schemas.ids import ReplyTarget
from headrace.schemas.record import Record
from headrace.streams.in_memory.clock import Y2K
from headrace.streams.in_memory.history import History
from headrace.streams.in_memory.reads import Reads
from headrace.streams.in_memory.requests import request
from headrace.streams.in_memory.runtime import MemoryRuntime
from headrace.streams.steps.dead_letters import reference, settling, to_record
from headrace.streams.waits.cascade import CascadeWait
from headrace.streams.waits.projections import ProjectionWait, concerned, serving_versions
from headrace.topology.as_of import AsOf
from headrace.topology.chosen_time import time_header
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.names import MAIN, Names
from headrace.topology.partitioner import partition_of
from headrace.topology.projector import Projector
from headrace.topology.reply import Event, OnError, Reply, SendSync, Sync
from headrace.topology.topology import Domain, Topology

D = TypeVar("D")
HANDLED, PROJECTED, REPLY = (type_name(one).encode() for one in (Handled, Projected, WireReply))


class TopologyDriver:
    """Runs the topology of one edition, with the `names` and `partitions` of a deployment.

    It has the methods of `headrace.Client`, without `await`; `DriverClient` has them with `await`.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        start: datetime = Y2K,
        partitions: int = 4,
        edition: str = MAIN,
        names: Names | None = None,
    ) -> None:
        self._runtime = runtime = MemoryRuntime(
            topology,
            start=start,
            names=names or Names(),
            edition=edition,
            partitions=partitions,
            check_purity=True,
        )
        self.clock = runtime.clock
        self.escalations = runtime.escalations
        """Escalations that a person would have been told of, in order."""
        self.counts = runtime.counts
        """The outcomes of inputs, by component, as in a worker's metrics."""
        self._reads = Reads(runtime)
        self._names, self._sent = runtime.names, 0

    @property
    def _topology(self) -> Topology:
        return self._runtime.topology

    def deploy(self, topology: Topology) -> None:
        """Let another topology go on with the topics and stores that are there, as when a release is deployed.

        A component that is new begins with what comes from now on.
        """
        self._runtime.deploy(topology)

    def topic(self, component: str, kind: str) -> str:
        """Name of a topic of this edition."""
        return self._runtime.topic(component, kind)

    # ---- what a client does

    def execute(
        self,
        command: Message,
        root: str,
        *,
        expected_sequence: int | None = None,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
        sync: Sync = "decision",
        on_error: OnError = "fail-fast",
        now: datetime | None = None,
    ) -> Reply:
        """Send a command and return its reply, after everything that follows from it has been handled.

        `domain` is only needed if several domains handle the command; LookupError if none does. `sync` and `on_error`
        are as for a client, which tells of failures in a cascade if it waits for it; so is `now`.
        """
        spec = self._topology.handler_of(type(command), domain)
        record = request(
            self.topic(spec.name, "commands"),
            command,
            root,
            time=self.clock.milliseconds,
            command_id=command_id or self._next_id("command"),
            expected_sequence=expected_sequence,
            correlation_id=correlation_id,
            reply_to=str(ReplyTarget(self._names.replies, 0)),
            sync=sync,
            on_error=on_error,
            now=time_header(now, self._runtime.edition),
        )
        seen = self._runtime.log.size
        reply = self._answer(record, spec)
        if reply.accepted and sync == "cascade":
            return self._cascade(reply, seen, on_error)
        if reply.accepted and sync == "simple":
            self._check_projected(reply, seen, spec)
        return reply

    def send(
        self,
        command: Message,
        root: str,
        *,
        expected_sequence: int | None = None,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
        sync: SendSync = "async",
        now: datetime | None = None,
    ) -> str:
        """Send a command without waiting for its reply, and return its id. If rejected, it goes to the dead letters."""
        spec = self._topology.handler_of(type(command), domain)
        command_id = command_id or self._next_id("command")
        record = request(
            self.topic(spec.name, "commands"),
            command,
            root,
            time=self.clock.milliseconds,
            command_id=command_id,
            expected_sequence=expected_sequence,
            correlation_id=correlation_id,
            sync=sync,
            now=time_header(now, self._runtime.edition),
        )
        self._write(record)
        return command_id

    def record_fact(
        self,
        fact: Message,
        root: str,
        *,
        external_id: str,
        correlation_id: str | None = None,
        domain: Domain = None,
        now: datetime | None = None,
    ) -> Reply:
        """State that something has happened outside; it is recorded once per `external_id`."""
        spec = self._topology.recorder_for(type(fact), domain)
        record = request(
            self.topic(spec.name, "facts"),
            fact,
            root,
            time=self.clock.milliseconds,
            command_id=self._next_id("fact"),
            correlation_id=correlation_id,
            reply_to=str(ReplyTarget(self._names.replies, 0)),
            external_id=external_id,
            now=time_header(now, self._runtime.edition),
        )
        return self._answer(record, spec)

    def state(self, root: str, domain: str | type[Any] | None = None, *, as_of: AsOf | None = None) -> Any:
        """A copy of the root's state; None if it has no events. `domain` may also name a process manager.

        With `as_of`, the state as it was after the event with this sequence, or at this time.
        """
        return self._reads.state(root, domain, as_of=as_of)

    def events(
        self,
        root: str,
        from_sequence: int = 0,
        domain: str | type[Any] | None = None,
        *,
        as_of: AsOf | None = None,
        lift: bool = True,
    ) -> list[Event]:
        """The root's events in order, from a sequence on; without `lift`, as the log has them.

        With `as_of`, up to the event with this sequence, or those that were recorded by this time. `domain` may also
        name a process manager.
        """
        return self._reads.events(root, from_sequence, domain, as_of=as_of, lift=lift)

    def history(self, roots: Mapping[str, Iterable[str]], *, as_of: AsOf | None = None) -> History:
        """The events of roots, by component, for what-ifs; with `as_of` up to a point, as for `events`.

        Raises LookupError for a root without events, and for a sequence that is after a root's last event.
        """
        return self._reads.history(roots, as_of)

    def messages(self, root: str, domain: str | type[Any] | None = None) -> list[Any]:
        """The messages of the root's events, in order."""
        return [event.data for event in self.events(root, domain=domain)]

    def documents(self, projector: type[Projector[D]]) -> dict[str, D]:
        """All documents of a projector's version, by id."""
        return self._reads.documents(projector)

    # ---- dead letters

    def dead_letters(self, component: str) -> list[DeadLetter]:
        """The dead letters of a component, including settled ones."""
        self._topology.component(component)
        dead_letters = self.records(self.topic(component, "dead-letters"))
        return [
            DeadLetter.FromString(r.value or b"") for r in dead_letters if r.headers[TYPE] == b"headrace.v1.DeadLetter"
        ]

    def replay(self, component: str, dead_letter: DeadLetter | None = None) -> None:
        """Send the input of one dead letter again, or the inputs of all open ones, oldest first.

        ValueError for a dead letter that can only be discarded.
        """
        self._settle(component, dead_letter, discard=False)

    def discard(self, component: str, dead_letter: DeadLetter | None = None) -> None:
        """Discard one dead letter, or all open ones; the events that wait behind it are handled."""
        self._settle(component, dead_letter, discard=True)

    def _settle(self, component: str, dead_letter: DeadLetter | None, *, discard: bool) -> None:
        spec = self._topology.component(component)
        for found in self._open(component) if dead_letter is None else [dead_letter]:
            dead_letter_id = str(reference(to_record(found)))
            again = settling(dead_letter_id, found, spec, self._names, self._runtime.edition, discard=discard)
            if again is None:
                raise ValueError(f"{dead_letter_id}: {spec.class_name} keeps nothing to replay; discard it")
            topic, value, key, headers = again
            self._runtime.write(topic, value, key, found.partition, headers)
            self._runtime.run()

    def _open(self, component: str) -> list[DeadLetter]:
        found = {str(reference(to_record(one))): one for one in self.dead_letters(component)}
        for record in self.records(self.topic(component, "dead-letters")):
            if record.headers[TYPE] == b"headrace.v1.Settled":
                found.pop(Settled.FromString(record.value or b"").dead_letter_id, None)
        return list(found.values())

    # ---- records

    def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, str | bytes | None]] = (),
        partition: int | None = None,
    ) -> None:
        """Write a record unchanged, to the partition of its key unless another is given, and handle what follows.

        LookupError for a topic that no component reads.
        """
        runtime = self._runtime
        if topic not in runtime.readers:
            raise LookupError(f"nothing reads {topic!r}; input topics are: {', '.join(runtime.readers)}")
        if partition is None:
            partition = partition_of(key or b"", runtime.partitions)
        runtime.write(topic, value, key, partition, list(headers))
        runtime.run()

    def records(self, topic: str) -> list[Record]:
        """All records of a topic, inputs and outputs, in the order in which they were written."""
        return self._runtime.log.records(topic)

    # ---- inside

    def _next_id(self, kind: str) -> str:
        self._sent += 1
        return f"{kind}-{self._sent}"

    def _write(self, record: Record) -> None:
        self.produce(record.topic, record.key, record.value, record.headers.items())

    def _answer(self, record: Record, spec: ComponentSpec) -> Reply:
        seen = self._runtime.log.size
        self._write(record)
        command_id = record.headers[ID]
        answers = (
            WireReply.FromString(answer.value or b"")
            for answer in self._runtime.log.records(self._names.replies, seen)
            if answer.headers[TYPE] == REPLY and answer.headers[ID] == command_id
        )
        return Reply.read(next(answers), spec)

    def _cascade(self, reply: Reply, seen: int, on_error: OnError) -> Reply:
        """The reply, with what has failed of that to which an accepted command led."""
        wait = CascadeWait(self._topology, serving_versions(self._topology, {}), on_error)
        for record in self._runtime.log.records(self._names.replies, seen):
            if record.headers[TYPE] == HANDLED and record.key == reply.command_id.encode():
                wait.take(Handled.FromString(record.value or b""))
        return wait.result(reply, 0)

    def _check_projected(self, reply: Reply, seen: int, spec: ComponentSpec) -> None:
        """Raise ProjectionFailed if a projector could not handle an event of an accepted command."""
        wait = ProjectionWait(concerned(self._topology, {}, spec.name))
        for record in self._runtime.log.records(self._names.replies, seen):
            if record.headers[TYPE] == PROJECTED and record.key == reply.command_id.encode():
                wait.take(Projected.FromString(record.value or b""))
        wait.check(reply, 0)
