"""When this event comes, then these commands follow: tests of one saga or process manager, without Kafka or a clock.

    given(Dealer).when(HandOpened(hand="h"), root="table-1").then(Send("hand", "h", StartHand()))
    given(TurnClock, Watched(hand="h")).when(TurnStarted(player="anna")).then(Schedule(MINUTE, TurnOver()))

The step is that of production. What reactions yield is compared with what a test expects, in the order of yielding.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, Self, TypeVar

from google.protobuf.message import Message

from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import CORRELATION, ID, SEQUENCE, TYPE
from headrace.schemas.headrace_v1_pb2 import Query, QueryResult
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.ids import EventRef, RejectionRef
from headrace.schemas.record import CloudEvent, Record, rfc3339, since_epoch
from headrace.schemas.stored_event import event_key
from headrace.streams.in_memory.clock import due_next
from headrace.streams.in_memory.requests import raw
from headrace.streams.steps.checks import checked_root
from headrace.streams.steps.step import Step
from headrace.testing.alone import NAMES, Alone, rejection
from headrace.testing.comparison import check_state, comparison
from headrace.testing.history import PastEvent, history, lifted, written
from headrace.topology.aggregate import Flag
from headrace.topology.context import RootState, StateOf
from headrace.topology.inspection import type_name
from headrace.topology.inspection.process_manager import ProcessManagerSpec
from headrace.topology.inspection.saga import SagaSpec
from headrace.topology.names import MAIN, source
from headrace.topology.process_manager import Cancel, Schedule
from headrace.topology.saga import Send

S = TypeVar("S", bound=Message)
_QUERY = type_name(Query).encode()
_ENDLESS = 1000  # time-outs that may follow each other; more means that they never end


class _Yields:
    """What the last input led to."""

    def __init__(self, alone: Alone, now: datetime) -> None:
        self._alone, self._now, self._inputs = alone, now, 0
        self._items: list[object] | None = None

    @property
    def items(self) -> list[object]:
        """What the last input led to, in order: `Send`; for a process manager also events, `Schedule` and `Cancel`."""
        assert self._items is not None, "no event yet; call when(event) first"
        return list(self._items)

    def then(self, *items: Message | Send[Any] | Schedule | Cancel | Flag) -> Self:
        """Check that the last input led to exactly this, in this order."""
        __tracebackhide__ = True
        if list(items) != self.items:
            raise AssertionError(f"something else than expected\n{comparison(items, self.items)}")
        return self

    def then_nothing(self) -> Self:
        """Check that the last input led to nothing."""
        __tracebackhide__ = True
        return self.then()

    def _event(self, event: PastEvent, domain: str, root: str, correlation_id: str) -> CloudEvent:
        spec = self._alone.spec
        schema, message, domain = written(event, spec, domain)
        reactions: Iterable[str] = getattr(spec, "reactions", ())
        if schema.type not in reactions and not lifted(schema, spec):
            raise LookupError(f"{spec.class_name} reacts to no {schema}; it reacts to: {', '.join(reactions)}")
        sequence, self._inputs = self._inputs, self._inputs + 1
        return CloudEvent(
            id=EventRef("", root, sequence).id,
            source=source(MAIN, domain),
            type=schema.type,
            data=message.SerializeToString(),
            subject=root,
            time=rfc3339(since_epoch(self._now)),
            content_type=PROTOBUF,
            extensions={SEQUENCE[3:]: str(sequence), CORRELATION[3:]: correlation_id, **schema.extension},
        )

    def _record(self, kind: str, domain: str, key: str, event: CloudEvent) -> Record:
        time = since_epoch(self._now)
        return Record(
            NAMES.topic(MAIN, domain, kind), 0, self._inputs, time, key.encode(), event.data, raw(event.headers())
        )


class SagaScenario(_Yields):
    """Events of a saga's source, one after another."""

    def __init__(self, alone: Alone, spec: SagaSpec, root: str, now: datetime) -> None:
        super().__init__(alone, now)
        self._source, self._root = spec.source, root

    def when(
        self,
        event: PastEvent,
        *,
        root: str | None = None,
        correlation_id: str = "correlation-1",
        now: datetime | None = None,
    ) -> Self:
        """An event of `root` happens; `now` is also the time of later ones.

        Raises what would otherwise become a dead letter: errors of reactions unchanged, HandlerError if a reaction
        breaks its contract, LookupError for an event that the saga does not react to.
        """
        self._now, self._root = now or self._now, root or self._root
        about = self._event(event, self._source, self._root, correlation_id)
        record = self._record("events", self._source, event_key(self._root, self._inputs - 1), about)
        self._alone.run(lambda step: step.attempt(record), record.timestamp)
        self._items = self._alone.items
        return self


class ProcessScenario(_Yields, Generic[S]):
    """One process: events of other domains, rejected commands and time-outs, one after another."""

    def __init__(
        self, alone: Alone, spec: ProcessManagerSpec, events: Iterable[PastEvent], root: str, now: datetime
    ) -> None:
        super().__init__(alone, now)
        self._spec, self._root, self._key = spec, root, checked_root(root.encode())
        alone.store.put(history(spec, self._key, events, since_epoch(now)))

    def with_state(self, of: StateOf, state: Message | None, *, sequence: int = 0) -> Self:
        """Set what a reaction gets when it reads another root: a state and its sequence; None if it has no events."""
        self._alone.states[of] = RootState(state, -1 if state is None else sequence)
        return self

    @property
    def state(self) -> S:
        """A copy of the current state of the process."""
        state: S = self._alone.state(self._alone.store.snapshot(self._key))
        return state

    def then_state(self, **fields: Any) -> Self:
        """Check that these fields of the state have these values; maps are compared as dict, lists as list."""
        __tracebackhide__ = True
        check_state(self.state, fields)
        return self

    def when(self, event: PastEvent, *, root: str = "source-1", domain: str = "source") -> Self:
        """An event of another domain's `root` reaches this process. Time passes only by `after`.

        Raises what would otherwise become a dead letter: errors of reactions unchanged, HandlerError if a reaction
        breaks its contract, LookupError for an event that it does not react to, or for a state that `with_state` has
        not set.
        """
        return self._bring(self._event(event, domain, root, self._root))

    def rejected(
        self,
        command: Message,
        reason: str = "",
        *,
        code: str = "rejected",
        root: str = "target-1",
        domain: str = "target",
    ) -> Self:
        """A command that the process sent to `root` was rejected. LookupError if the process does not compensate it."""
        name = type_name(type(command))
        if name not in self._spec.compensators:
            known = ", ".join(self._spec.compensators) or "none"
            raise LookupError(f"{self._spec.class_name} compensates no {name}; it compensates: {known}")
        self._inputs += 1
        notice = rejection(self._spec, command, reason, code, domain, root, "")
        return self._bring(
            CloudEvent(
                id=str(RejectionRef(f"command-{self._inputs}")),
                source=source(MAIN, domain),
                type=type_name(WireRejection),
                data=notice.SerializeToString(),
                subject=self._root,
                content_type=PROTOBUF,
                extensions={CORRELATION[3:]: self._root},
            )
        )

    def after(self, time: timedelta) -> Self:
        """Let time pass; time-outs that are then due are delivered, and `then` checks what they lead to."""
        self._now += time
        now = since_epoch(self._now)
        items: list[object] = []

        def fire(step: Step) -> None:
            for record in due_next(step, now):
                step.fire(record)
                self._answer_reads(step)

        for _ in range(_ENDLESS):
            if not self._alone.due(now):
                self._items = items
                return self
            self._alone.run(fire, now)
            items += self._alone.items
        raise AssertionError(f"{self._spec.class_name} begins a time-out for each that comes, without end")

    def _bring(self, about: CloudEvent) -> Self:
        record = self._record("inbox", self._spec.name, self._root, about)

        def attempt(step: Step) -> None:
            step.attempt(record)
            self._answer_reads(step)

        self._alone.run(attempt, record.timestamp)
        self._items = self._alone.items
        return self

    def _answer_reads(self, step: Step) -> None:
        """Answer the queries of a reaction for states of other roots, so that it can run."""
        outputs, step.outputs[:] = list(step.outputs), []
        for topic, value, key, partition, headers in outputs:
            about = raw(headers or [])
            if about.get(TYPE) == _QUERY and isinstance(key, str) and (parts := NAMES.split(topic)) is not None:
                step.attempt(self._answer(StateOf(parts[1], key), about))
            else:
                step.outputs.append((topic, value, key, partition, headers))

    def _answer(self, read: StateOf, query: Mapping[str, bytes]) -> Record:
        found = self._alone.states[read]
        state = b"" if found.state is None else found.state.SerializeToString()
        state_type = self._alone.state_type(read.domain)
        result = QueryResult(root=read.root, sequence=found.sequence, state_type=state_type, state=state)
        about = CloudEvent(
            id=query[ID].decode(),
            source=source(MAIN, read.domain),
            type=type_name(QueryResult),
            data=result.SerializeToString(),
        )
        return self._record("inbox", self._spec.name, self._root, about)
