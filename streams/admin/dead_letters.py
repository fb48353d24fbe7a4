"""Finds dead letters in their topics, and settles them: sends their inputs again, or discards them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confluent_kafka import KafkaException, Producer

from headrace.schemas.headers import CORRELATION, SUBJECT, TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Settled
from headrace.schemas.ids import DeadLetterRef
from headrace.schemas.record import rfc3339
from headrace.streams.admin import sink_dead_letters
from headrace.streams.client.errors import SendFailed
from headrace.streams.settings import Settings
from headrace.streams.state.messages import headers_of
from headrace.streams.state.messages import to_record as message_to_record
from headrace.streams.state.topic_reader import read, read_one
from headrace.streams.steps.dead_letters import input_headers, reference, settling, to_record, with_value
from headrace.topology.inspection.spec import Replay
from headrace.topology.names import SinkName
from headrace.topology.topology import Topology

_LARGEST = 100_000_000
"""Bytes of the largest record that can be sent again."""
DEAD_LETTER, SETTLED = b"headrace.v1.DeadLetter", b"headrace.v1.Settled"


class SettleFailed(SendFailed):
    """The brokers did not accept the record that settles a dead letter; it stays open."""


class NotReplayable(SettleFailed):
    """A dead letter whose input cannot be sent again; it can only be discarded."""


class NotAllSettled(SettleFailed):
    """Some dead letters were not settled, and stay open; the others are."""

    def __init__(self, failures: Sequence[SettleFailed]) -> None:
        super().__init__("; ".join(str(failure) for failure in failures[:10]))
        self.replayable = not all(isinstance(failure, NotReplayable) for failure in failures)
        """Whether one of them can be sent later."""


@dataclass(slots=True)
class ListedDeadLetter:
    """A dead letter of one component, and whether it was settled."""

    id: str
    """Topic, partition and offset of the input; for a time-out, which has no offset, its own id."""
    component: str
    """The component: domain of an aggregate, name of a saga, process manager or projector's version; or of a sink."""
    body: DeadLetter
    settled: str = ""
    """`replayed` or `discarded`; empty while it is open."""

    @property
    def headers(self) -> dict[str, bytes]:
        """Headers of the input."""
        return input_headers(self.body)

    @property
    def root(self) -> str:
        """The root of the input, if it names one."""
        return (self.headers.get(SUBJECT) or self.body.key).decode(errors="replace")

    def data(self) -> dict[str, Any]:
        """For a list: everything but the input itself."""
        return {
            "id": self.id,
            "component": self.body.component,
            "root": self.root,
            "type": self.headers.get(TYPE, b"").decode(errors="replace"),
            "error_class": self.body.error_class,
            "error": self.body.error,
            "attempts": self.body.attempts,
            "first_failed": rfc3339(self.body.first_failed),
            "last_failed": rfc3339(self.body.last_failed),
            "correlation_id": self.headers.get(CORRELATION, b"").decode(errors="replace"),
            "settled": self.settled,
        }

    def whole(self) -> dict[str, Any]:
        """The whole dead letter: its input with headers, and why it failed."""
        return self.data() | {
            "key": self.body.key.decode(errors="replace"),
            "headers": {name: value.decode(errors="replace") for name, value in self.headers.items()},
            "value_hex": self.body.value.hex(),
            "detail": self.body.detail,
        }


def moment(text: str) -> datetime:
    """A time from its text in RFC 3339; ValueError says what is wrong with it."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone; write 2026-01-31T12:00:00Z")
    return time


def outcome(*, discard: bool, dry_run: bool) -> str:
    """What is shown for a dead letter that was settled, or would be."""
    return ("would be " if dry_run else "") + ("discarded" if discard else "sent again")


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects dead letters; an empty field does not restrict."""

    ids: frozenset[str] = frozenset()
    root: str = ""
    error_class: str = ""
    since: datetime | None = None
    until: datetime | None = None
    settled: bool = False
    """Whether to include settled ones."""

    def takes(self, dead_letter: ListedDeadLetter) -> bool:
        """Whether a dead letter is selected."""
        body = dead_letter.body
        return (
            (self.settled or not dead_letter.settled)
            and (not self.ids or dead_letter.id in self.ids)
            and (not self.root or dead_letter.root == self.root)
            and (not self.error_class or body.error_class == self.error_class)
            and (self.since is None or body.last_failed >= self.since.timestamp() * 1000)
            and (self.until is None or body.last_failed <= self.until.timestamp() * 1000)
        )


class NotAccepted(SettleFailed):
    """This one dead letter was not taken; others may be."""


Resend = Callable[[ListedDeadLetter], None]
"""Brings the document of a sink's dead letter to its system again, as it is now.

Raises NotReplayable where that cannot be done, NotAccepted if it is refused again, SettleFailed if nobody answers.
"""


def names(settings: Settings, topology: Topology, wanted: Iterable[str] = ()) -> list[str]:
    """Components and sinks that a person has named, each once; all that there are if none is named.

    A sink is `{component}.{kind}`, or the full name of its connector. Raises LookupError for an unknown one.
    """
    begin = f"{settings.names.prefix}{settings.edition}."
    found = []
    for given in wanted:
        if SinkName.parse(name := given.removeprefix(begin)) is None:
            found.append(topology.component(given).name)
        elif name in (known := sink_dead_letters.sinks(settings, topology)):
            found.append(name)
        else:
            there = ", ".join(known) or "none"
            raise LookupError(f"no sink {given!r} has a topic for dead letters; those that have one: {there}")
    return list(dict.fromkeys(found)) or [*topology.components, *sink_dead_letters.sinks(settings, topology)]


def find(settings: Settings, topology: Topology, components: Iterable[str], wanted: Filter) -> list[ListedDeadLetter]:
    """Dead letters of some components and sinks, oldest first; a later failure of an input replaces the first.

    Raises LookupError for an unknown one, TimeoutError or KafkaException when the topics cannot be read to their end.
    """
    components = dict.fromkeys(components)  # a component named twice must not be settled twice
    found = [
        dead_letter
        for component in components
        for dead_letter in _dead_letters(settings, topology, component).values()
        if wanted.takes(dead_letter)
    ]
    return sorted(found, key=lambda dead_letter: (dead_letter.body.last_failed, dead_letter.id))


def _dead_letters(settings: Settings, topology: Topology, component: str) -> dict[str, ListedDeadLetter]:
    sink = SinkName.parse(component)
    topology.component(component if sink is None else sink.component)
    return _of_topic(settings, component)


def _of_topic(settings: Settings, component: str) -> dict[str, ListedDeadLetter]:
    sink = SinkName.parse(component)
    dead_letters: dict[str, ListedDeadLetter] = {}
    for message in read(settings, _topic(settings, component)):
        headers = headers_of(message)
        value = message.value() or b""
        if sink is not None and (body := sink_dead_letters.dead_letter(component, message_to_record(message))):
            name = str(DeadLetterRef(body.topic, body.partition, str(body.offset)))
            dead_letters[name] = ListedDeadLetter(name, component, body)
        elif headers.get(TYPE) == SETTLED:
            settled = Settled.FromString(value)
            if dead_letter := dead_letters.get(settled.dead_letter_id):
                dead_letter.settled = dead_letter.settled or settled.outcome
        elif headers.get(TYPE) == DEAD_LETTER:
            body = DeadLetter.FromString(value)
            name = str(reference(to_record(body)))
            # an input sent again is another record; if it fails again it is a dead letter of its own
            dead_letters[name] = ListedDeadLetter(name, component, body)
    return dead_letters


def _topic(settings: Settings, component: str) -> str:
    sink = SinkName.parse(component)
    if sink is not None:
        return sink.topic(settings.names, settings.edition)
    return settings.names.topic(settings.edition, component, "dead-letters")


def _cannot_resend(dead_letter: ListedDeadLetter) -> None:
    raise NotReplayable(
        f"{dead_letter.id}: a worker does not reach {dead_letter.component}; `headrace dead-letters replay` can send "
        "the document again, where Connect and the other system are reached"
    )


def settle(
    settings: Settings,
    topology: Topology,
    dead_letters: Iterable[ListedDeadLetter],
    *,
    discard: bool,
    resend: Resend = _cannot_resend,
) -> Iterator[ListedDeadLetter]:
    """Send the inputs of dead letters again, under their ids, or discard them; yields each one that the brokers have.

    A replay is handled like any input, and only once, because it has the id of the input. A component that keeps events
    in order then continues with those behind the dead letter. If some cannot be sent, the others are, and NotAllSettled
    is raised at the end. Raises SettleFailed at once if the brokers do not answer.
    """
    # an input may be as large as its topic allows, and may have been much smaller when it was compressed
    producer = Producer(
        settings.producer(enable_idempotence=True, message_max_bytes=_LARGEST, compression_type="zstd", linger_ms=0)
    )
    failed: list[SettleFailed] = []
    for dead_letter in dead_letters:
        try:
            _settle(producer, settings, topology, dead_letter, discard, resend)
        except (NotReplayable, NotAccepted) as failure:
            failed.append(failure)
        else:
            yield dead_letter
    if failed:
        raise NotAllSettled(failed)


def open_ones(settings: Settings, sink: str) -> list[ListedDeadLetter]:
    """The open dead letters of a sink. Raises TimeoutError or KafkaException."""
    return [one for one in _of_topic(settings, sink).values() if not one.settled]


def settle_sink(settings: Settings, sink: str) -> int:
    """Settle all dead letters of a sink as replayed, because it is about to read all documents again; their number.

    Raises SettleFailed, TimeoutError or KafkaException.
    """
    producer = Producer(settings.producer(enable_idempotence=True, linger_ms=0))
    found = open_ones(settings, sink)
    for dead_letter in found:
        _send(producer, dead_letter, *_settled(settings, dead_letter, "replayed"))
    return len(found)


def _settle(
    producer: Producer,
    settings: Settings,
    topology: Topology,
    dead_letter: ListedDeadLetter,
    discard: bool,
    resend: Resend,
) -> None:
    if SinkName.parse(dead_letter.component) is not None:
        if not discard:
            resend(dead_letter)
        _send(producer, dead_letter, *_settled(settings, dead_letter, "discarded" if discard else "replayed"))
        return
    body, spec = dead_letter.body, topology.component(dead_letter.component)
    if body.omitted and not discard and spec.replay is Replay.BY_KEY:
        body = _from_log(settings, dead_letter)
    again = settling(dead_letter.id, body, spec, settings.names, settings.edition, discard=discard)
    if again is None:
        why = "its input could not be kept" if body.omitted else "a feed keeps nothing to replay"
        raise NotReplayable(f"{dead_letter.id}: {why}; it is in {body.topic}/{body.partition}/{body.offset}")
    _send(producer, dead_letter, *again, body.partition)


def _settled(settings: Settings, dead_letter: ListedDeadLetter, outcome: str) -> tuple[str, bytes, bytes, Headers]:
    value, headers = sink_dead_letters.settled(dead_letter.id, outcome)
    return _topic(settings, dead_letter.component), value, dead_letter.body.key, headers


def _send(
    producer: Producer,
    dead_letter: ListedDeadLetter,
    topic: str,
    value: bytes | None,
    key: bytes | None,
    headers: Headers,
    partition: int = 0,
) -> None:
    errors: list[Any] = []
    try:
        producer.produce(
            topic,
            value,
            key,
            partition,
            headers=headers,
            on_delivery=lambda error, _: errors.append(error) if error else None,
        )
    except KafkaException as error:
        raise NotAccepted(f"{dead_letter.id} was not sent: {error}") from error
    if producer.flush(30):
        producer.purge()  # else it could still be sent after the caller was told that it was not
        raise SettleFailed(f"{dead_letter.id} was not sent: the brokers do not answer")
    if errors:
        raise NotAccepted(f"{dead_letter.id} was not sent to {topic}: {errors[0]}")


def _from_log(settings: Settings, dead_letter: ListedDeadLetter) -> DeadLetter:
    """The dead letter with its input, which was too large for it, and is read from its topic."""
    body, where = dead_letter.body, f"{dead_letter.body.topic}/{dead_letter.body.partition}/{dead_letter.body.offset}"
    try:
        message = read_one(settings, body.topic, body.partition, body.offset)
    except (KafkaException, TimeoutError) as error:
        raise NotReplayable(f"{dead_letter.id}: its input cannot be read from {where}: {error}") from error
    # if the topic was deleted and created again, another record has this offset
    if message is None or message.timestamp()[1] != body.timestamp:
        raise NotReplayable(f"{dead_letter.id}: its input is not in {where} any more")
    return with_value(body, message_to_record(message))
