"""Given these events, when this command comes, then these events follow: tests of one aggregate, without Kafka.

    given(Door, Built()).when(Open(by="Ann")).then(Opened(by="Ann")).then_state(open=True)

The step is that of production, so what passes here passes there. The handlers are checked too: a handler that changes
the state it was given, returns something else than events, or decides differently the second time, fails the test.
(For this, each command is decided twice.)
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from google.protobuf.message import Message

from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import TYPE
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.headrace_v1_pb2 import Reply, Snapshot
from headrace.schemas.ids import EventRef, RejectionRef, ReplyTarget
from headrace.schemas.record import CloudEvent, Record, since_epoch
from headrace.streams.in_memory.requests import raw, request
from headrace.streams.steps.checks import checked_root
from headrace.streams.steps.errors import HandlerError
from headrace.testing.alone import NAMES, Alone, rejection
from headrace.testing.comparison import check_state, comparison
from headrace.testing.history import PastEvent, history
from headrace.topology.aggregate import Flag
from headrace.topology.inspection import type_name
from headrace.topology.names import MAIN, source
from headrace.topology.reply import Event

S = TypeVar("S", bound=Message)


class Scenario(Generic[S]):
    """One root. Commands follow each other: `.when(a).then(...).when(b).then_rejected(...)`."""

    def __init__(self, alone: Alone, events: Iterable[PastEvent], root: str, now: datetime) -> None:
        self._alone, self._spec, self._root, self._now, self._sent = alone, alone.spec, root, now, 0
        self._key = checked_root(root.encode())
        self._reply: Reply | None = None
        self._events: list[Any] | None = None
        self._unread = False
        alone.store.put(history(self._spec, self._key, events, since_epoch(now)))

    def when(
        self,
        command: Message,
        *,
        command_id: str | None = None,
        expected_sequence: int | None = None,
        correlation_id: str | None = None,
        now: datetime | None = None,
    ) -> Self:
        """Send a command; `now` is also the time of later ones.

        Raises what would otherwise become a dead letter: errors of handlers unchanged, HandlerError if a handler breaks
        its contract, LookupError for a command that the aggregate does not handle. AssertionError if the command before
        was rejected and the test has not checked it.
        """
        __tracebackhide__ = True
        self._next(now)
        self._run(
            request(
                NAMES.topic(MAIN, self._spec.name, "commands"),
                command,
                self._root,
                time=since_epoch(self._now),
                command_id=command_id or f"command-{self._sent}",
                expected_sequence=expected_sequence,
                correlation_id=correlation_id,
                reply_to=str(ReplyTarget(NAMES.replies, 0)),
            )
        )
        return self

    def when_fact(
        self,
        fact: Message,
        *,
        external_id: str | None = None,
        correlation_id: str | None = None,
        now: datetime | None = None,
    ) -> Self:
        """State that something has happened outside; a known `external_id` changes nothing.

        Raises as `when` does, and HandlerError if the handler rejects the fact.
        """
        __tracebackhide__ = True
        self._next(now)
        self._run(
            request(
                NAMES.topic(MAIN, self._spec.name, "facts"),
                fact,
                self._root,
                time=since_epoch(self._now),
                command_id=f"fact-{self._sent}",
                correlation_id=correlation_id,
                reply_to=str(ReplyTarget(NAMES.replies, 0)),
                external_id=external_id or f"fact-{self._sent}",
            )
        )
        return self

    def rejected(
        self,
        command: Message,
        reason: str = "",
        *,
        code: str = "rejected",
        root: str = "target-1",
        domain: str = "target",
        sequence: int | None = None,
    ) -> Self:
        """A command to `root`, sent because of an event of this root, was rejected; `then` takes events or a `Flag`.

        The event is the last one unless its `sequence` is given. LookupError if there is no compensation for it.
        """
        __tracebackhide__ = True
        name, compensators = type_name(type(command)), getattr(self._spec, "compensators", {})
        if name not in compensators:
            known = ", ".join(compensators) or "none"
            raise LookupError(f"{self._spec.class_name} compensates no {name}; it compensates: {known}")
        self._next(None)
        own = source(MAIN, self._spec.name)
        last = Snapshot.FromString(self._alone.store.snapshot(self._key) or b"").sequence
        cause = str(EventRef(own, self._root, last if sequence is None else sequence))
        notice = rejection(self._spec, command, reason, code, domain, root, cause)
        about = CloudEvent(
            id=str(RejectionRef(f"command-{self._sent}")),
            source=source(MAIN, domain),
            type=type_name(WireRejection),
            data=notice.SerializeToString(),
            subject=self._root,
            content_type=PROTOBUF,
        )
        topic = NAMES.topic(MAIN, self._spec.name, "inbox")
        self._run(Record(topic, 0, 0, since_epoch(self._now), self._key, about.data, raw(about.headers())))
        return self

    def _next(self, now: datetime | None) -> None:
        __tracebackhide__ = True
        if self._unread and self._reply is not None and self._reply.status == Reply.REJECTED:
            raise AssertionError(f"the command before was rejected: {self._reply.reason}")
        self._sent += 1
        self._now = now or self._now

    def _run(self, record: Record) -> None:
        answers: list[tuple[Reply | None, list[Any]]] = []

        def decide(step: Any) -> None:
            step.attempt(record)  # raises what would otherwise become a dead letter
            replies = [value for topic, value, *_ in step.outputs if topic == NAMES.replies]
            reply = Reply.FromString(replies[0] or b"") if replies else None
            events = list(self._alone.items) if reply is None else self._messages(reply)
            for event in reply.events if reply is not None else ():
                event.ClearField("data")  # compared as messages: the bytes of a map may differ
            answers.append((reply, events))
            if answers[0] != answers[-1]:
                handler = (self._spec.facts | self._spec.commands)[record.headers[TYPE].decode()]
                raise HandlerError(
                    f"{self._spec.class_name}.{handler.method} decides differently each time; "
                    "take time, chance and ids from the context\n" + comparison(answers[0][1], events, "first", "again")
                )

        self._alone.run(decide, record.timestamp)
        self._reply, self._events = answers[-1]
        self._unread = True

    def _messages(self, reply: Reply) -> list[Message | None]:
        return [one.data for event in reply.events for one in Event.read(event, self._spec, self._root)]

    # ---- results

    @property
    def reply(self) -> Reply:
        """The reply to the last command or fact, without the bytes of its events."""
        assert self._reply is not None, "no command yet; call when(command) first"
        self._unread = False
        return self._reply

    @property
    def events(self) -> list[Message]:
        """Events of the last command or fact, or what a compensation returned; AssertionError if it was rejected."""
        __tracebackhide__ = True
        assert self._events is not None, "no command yet; call when(command) first"
        self._unread = False
        if self._reply is not None and self._reply.status == Reply.REJECTED:
            raise AssertionError(f"rejected: {self._reply.reason} (code {self._reply.code!r})")
        return list(self._events)

    @property
    def state(self) -> S:
        """A copy of the current state of the root."""
        state: S = self._alone.state(self._alone.store.snapshot(self._key))
        return state

    def then(self, *events: Message | Flag) -> Self:
        """Check that the last command led to exactly these events, in this order."""
        __tracebackhide__ = True
        try:
            got = self.events
        except AssertionError as error:
            if self._events is None:
                raise
            raise AssertionError(f"{error}\n{comparison(events, [])}") from None
        if list(events) != got:
            raise AssertionError(f"other events than expected\n{comparison(events, got)}")
        return self

    def then_nothing(self) -> Self:
        """Check that the last command was accepted and led to no event."""
        __tracebackhide__ = True
        return self.then()

    def then_rejected(self, reason: str = "", *, code: str | None = None, retryable: bool | None = None) -> Self:
        """Check that the last command was rejected: `reason` is part of the text; `code` and `retryable` are equal."""
        __tracebackhide__ = True
        reply = self.reply
        if reply.status != Reply.REJECTED:
            raise AssertionError(f"accepted, but expected a rejection: {reason}\n{comparison([], self._events or ())}")
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
        """Check that these fields of the state have these values; maps are compared as dict, lists as list."""
        __tracebackhide__ = True
        check_state(self.state, fields)
        return self
