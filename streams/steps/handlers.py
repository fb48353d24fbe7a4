"""The only module that calls an author's code: states and methods behind one interface.

To all other modules a state is opaque, and events, commands and reactions are identified by their types. So handlers
could later run in another process: only this module would change.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from google.protobuf.message import DecodeError, Message

from headrace.schemas import codecs
from headrace.schemas.event_schema import EventSchema, parse_key
from headrace.schemas.headers import CONTENT_TYPE, TYPE
from headrace.schemas.headrace_v1_pb2 import Aborted, Revoked
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.nesting import nests
from headrace.schemas.record import Record
from headrace.streams.steps import merge
from headrace.streams.steps.context import LONGEST_ROOT
from headrace.streams.steps.contexts import context, event_context, projection_context
from headrace.streams.steps.errors import HandlerError, UnknownEvent
from headrace.streams.steps.event_reader import PROTOBUF, EventReader, decode
from headrace.topology.aggregate import Flag, Rejection
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.inspection.spec import AnyHandler, Applier, MessageType, Reaction
from headrace.topology.projector import DELETED
from headrace.topology.saga import Transient
from headrace.topology.upcaster import UpcastFailed

_CHUNK = 1000
MOST = 100_000
"""The most events and commands that one record may lead to."""
_WAITS = (0.05, 0.2, 0.8)
"""Seconds before a transient failure is tried again."""
_ENGINES_OWN = {type_name(message): Applier(message, lambda state, event: None) for message in (Revoked, Aborted)}
"""Events that the engine writes for a compensation; they do not change the state unless an author applies them."""


State = Message
"""A root's state: opaque to all other modules."""
_Parser = tuple[Callable[[bytes], object], Message, Callable[..., object]]
"""Parses bytes into an event; the event; and what applies it to a state."""
NewEvent = tuple[str, bytes, Message]
"""An event that an author's code has decided on: type, bytes, and an object that is opaque to all other modules."""


class States:
    """The states of one component: creates, folds, stores and compares them."""

    def __init__(self, spec: ComponentSpec) -> None:
        assert spec.state is not None
        self._new, self._class_name = spec.state, spec.class_name
        self._appliers = {**_ENGINES_OWN, **spec.appliers}
        self._calls = {name: applier.call for name, applier in self._appliers.items()}
        self._upcasters = spec.upcasters
        self._readers = self._lifting()
        self._names: dict[type, str] = {}
        """Names of event types seen before: asking the descriptor takes three times as long."""
        self._nest: set[type] = set()
        """Event types seen before whose messages may be nested too deeply."""
        self._state_nests = nests(spec.state)
        self.type_name, self.fingerprint = type_name(spec.state), spec.state_fingerprint
        self.snapshots = spec.snapshots
        """When snapshots are written."""

    def new(self) -> State:
        """The state of a root without events."""
        return self._new()

    def parse(self, data: bytes) -> State:
        """A state from its bytes."""
        state = self._new()
        state.MergeFromString(data)
        return state

    def copy(self, state: State) -> State:
        """A copy of a state."""
        other = self._new()
        other.CopyFrom(state)
        return other

    def serialise(self, state: State) -> bytes:
        """A state as it is stored."""
        return state.SerializeToString()

    def size(self, state: State) -> int:
        """Number of bytes that `serialise` returns."""
        return state.ByteSize()

    def content(self, state: State) -> bytes:
        """Bytes that are equal for two states if and only if their contents are equal."""
        return state.SerializeToString(deterministic=True)

    def clash(self, then: State, now: State, after: State) -> str:
        """Names of fields that changed from `then` to `now` and change again to `after`; empty when there are none."""
        return merge.clash(then, now, after)

    def apply(self, state: State, event: NewEvent) -> None:
        """Change a state to what it is after a new event."""
        self._calls[event[0]](state, event[2])

    def check(self, state: State) -> None:
        """HandlerError for a state that could be written and not be read again."""
        if self._state_nests:
            _check_depth(state, state.SerializeToString(), self._class_name)

    def schema(self, name: str) -> EventSchema:
        """The schema of the events of a type that are written today."""
        return self._upcasters.newest(name)

    def fold(self, state: State, values: Iterable[bytes], root: bytes = b"", first: int = 0) -> int:
        """Apply stored events to `state` in order, and return their number.

        `root`, and the sequence of the `first` event, are for messages. Event objects are reused for the next event, so
        an `@applies` or `@upcasts` method must not keep them; copying is fine. Raises UnknownEvent for an event without
        an `@applies` method, UpcastFailed for one that cannot be lifted.
        """
        count, left = 0, iter(values)
        while chunk := list(islice(left, _CHUNK)):
            # parsing into one message per type takes a third of the time that new messages take; as a message keeps
            # the memory of everything it has held, each is used for one chunk only
            parsers: dict[bytes, _Parser] = {}
            try:
                for value in chunk:
                    key, _, _, _, _, _, content_type, data = value.split(b"\0", 7)
                    try:
                        parse, event, apply = parsers[key]
                    except KeyError:
                        parse, event, apply = parsers[key] = self._parser(key)
                    if content_type:
                        apply(state, codecs.decode(data, event.__class__, content_type.decode()))
                    else:
                        parse(data)
                        apply(state, event)
            except (UnknownEvent, UpcastFailed) as error:
                place = next(place for place, one in enumerate(chunk) if one is value)
                raise error.at(root.decode(errors="replace"), first + count + place) from error.__cause__
            count += len(chunk)
        return count

    def _lifting(self) -> dict[bytes, tuple[MessageType, Callable[..., object]]]:
        """By schema key, the message and what applies it; an old event is lifted on the way, so that others pay nothing
        for it."""
        chain = self._upcasters
        found: dict[bytes, tuple[MessageType, Callable[..., object]]] = {
            chain.newest(name).key: (applier.message, applier.call) for name, applier in self._appliers.items()
        }
        for key, (schema, link) in chain.old.items():
            found[key] = link.message, chain.lifting(schema, self._calls.__getitem__)
        return found

    def _parser(self, key: bytes) -> "_Parser":
        if (reader := self._readers.get(key)) is None:
            raise UnknownEvent(f"no @applies method for {parse_key(key)}, which the log holds")
        message, apply = reader
        event = message()
        return event.ParseFromString, event, apply

    def events(self, messages: tuple[Any, ...], by: str) -> tuple[NewEvent, ...]:
        """Messages that a handler returned, as events; HandlerError for one that is not declared or not to be read."""
        names = self._names
        try:
            if len(messages) == 1:  # the usual case
                message = messages[0]
                found: tuple[NewEvent, ...] = ((names[message.__class__], message.SerializeToString(), message),)
            else:
                found = tuple([(names[m.__class__], m.SerializeToString(), m) for m in messages])
        except KeyError:
            found = tuple([(self._name(m, by), m.SerializeToString(), m) for m in messages])
        if self._nest:
            for _, data, event in found:
                if event.__class__ in self._nest:
                    _check_depth(event, data, by)
        return found

    def _name(self, message: object, by: str) -> str:
        name = type_name(type(message)) if isinstance(message, Message) else ""
        if not isinstance(message, Message) or name not in self._calls:
            raise HandlerError(
                f"{by} returned {type(message).__name__}, which {self._class_name} does not apply; "
                "return a declared event, a list of them or None"
            )
        self._names[type(message)] = name
        if nests(type(message)):
            self._nest.add(type(message))
        return name


class Deciders:
    """Methods that decide on commands, facts and rejected commands."""

    def __init__(self, spec: ComponentSpec, states: States, edition: str, *, check_purity: bool) -> None:
        self._spec, self._states, self._edition, self._check_purity = spec, states, edition, check_purity
        self._commands = {
            name.encode(): (handler, handler.message.FromString) for name, handler in spec.commands.items()
        }

    def command(self, record: Record) -> tuple[AnyHandler, Message]:
        """The handler of a command, and the command; LookupError for an unknown type, DecodeError for wrong bytes."""
        headers = record.headers
        entry = self._commands.get(headers[TYPE])
        if entry is None:
            known = ", ".join(self._spec.commands)
            raise LookupError(f"{self._spec.class_name} handles no {headers[TYPE].decode()}; it handles: {known}")
        handler, parse = entry
        content_type = headers.get(CONTENT_TYPE)
        if content_type is None or content_type == PROTOBUF:
            try:
                return handler, parse(record.value or b"")
            except DecodeError:
                pass  # `decode` raises the same with a better text
        return handler, decode(record, handler.message)

    def decide(
        self, handler: AnyHandler, state: State, message: object, record: Record, root: bytes, sequence: int
    ) -> tuple[NewEvent, ...]:
        """The events to which a command or a fact of a root leads; the root is at `sequence`.

        Raises Rejected, and whatever the handler raises.
        """
        before = self._states.content(state) if self._check_purity else b""
        try:
            if handler.wants_context:
                result = handler.call(state, message, context(record, root, sequence, self._edition))
            else:
                result = handler.call(state, message)
            messages = (result,) if isinstance(result, Message) else several(result)  # a generator may raise here
        finally:
            if self._check_purity and before != self._states.content(state):
                raise HandlerError(f"{handler.where} changed the state it was given")
        return self._states.events(messages, handler.where)

    def compensate(
        self, handler: AnyHandler, state: State, wire: WireRejection, sequence: int
    ) -> Flag | tuple[object, ...]:
        """What a compensation returns for a rejected command, which was sent for the event with this `sequence`."""
        command = codecs.decode(wire.command, handler.message, wire.content_type or None)
        rejection = Rejection(
            reason=wire.reason,
            code=wire.code,
            component=wire.component,
            root=wire.root,
            command_id=wire.command_id,
            sequence=sequence,
        )
        answer = handler.call(state, command, rejection)
        if isinstance(answer, Flag):
            return answer
        if isinstance(answer, (str, bytes)):
            raise HandlerError(f"{handler.where} returned {answer!r}; a compensation returns events or a Flag")
        return several(answer)


class Projections:
    """The methods of a projector."""

    def __init__(self, spec: ProjectorSpec, edition: str) -> None:
        self._edition, self._fed = edition, spec.fed
        self._methods = {projection.message: projection for projection in spec.projections.values()}
        wanted = {name: projection.message for name, projection in spec.projections.items()}
        self._events = EventReader(wanted, spec.sources, spec.source_upcasters)

    def reads(self, headers: Mapping[str, bytes]) -> bool:
        """Whether it has a method for an event with these headers, or for one that it becomes."""
        return self._events.reads(headers)

    def events(self, record: Record, root: bytes, document_id: bytes) -> Sequence[Message]:
        """What an event of a root is today, as far as it concerns a document."""
        events = self._events.read(record)
        if len(events) > 1 and self._fed:  # one may concern this document, and another one another
            return [event for event in events if document_id in self._keys(record, root, event)]
        return events

    def project(self, event: Message, record: Record, root: bytes, document_id: bytes, document: object) -> bool:
        """Change a document because of an event of a root; False if the document is to be removed."""
        projection = self._methods[event.__class__]
        if projection.wants_context:
            result = projection.call(document, event, projection_context(record, root, self._edition, document_id))
        else:
            result = projection.call(document, event)
        if result is not None and result is not DELETED:
            raise HandlerError(
                f"{projection.where} returned {type(result).__name__}; it changes the document that it is given, and "
                "returns None or DELETED"
            )
        return result is None

    def keys(self, record: Record, root: bytes) -> list[bytes]:
        """Ids of the documents that an event of a root concerns, each once."""
        events = self._events.read(record)
        return list(dict.fromkeys(key for event in events for key in self._keys(record, root, event)))

    def _keys(self, record: Record, root: bytes, event: Message) -> list[bytes]:
        projection = self._methods[event.__class__]
        if projection.key is None:
            return [root]
        context = (event_context(record, root, self._edition),) if projection.key_wants_context else ()
        named = projection.key(event, *context)
        found = [named] if isinstance(named, str | bytes) else dict.fromkeys(several(named))
        return [_document_id(one, projection.where) for one in found]


def _document_id(name: object, where: str) -> bytes:
    if not isinstance(name, str):
        raise HandlerError(f"key= of {where} gave {name!r}; it gives names of documents, as text")
    found = name.encode()
    if not found or len(found) > LONGEST_ROOT or min(found) < 0x20:
        raise HandlerError(
            f"key= of {where} gave {name[:99]!r}; a document's name has 1 to {LONGEST_ROOT} bytes, none of them a "
            "control character"
        )
    return found


def react(reaction: Reaction, arguments: tuple[object, ...], pause: Callable[[float], object]) -> tuple[object, ...]:
    """What a reaction yields; tried again, with pauses, while it raises Transient."""
    for wait in _WAITS:
        try:
            return several(reaction.call(*arguments))
        except Transient:
            pause(wait)
    return several(reaction.call(*arguments))


def several(result: object) -> tuple[object, ...]:
    """What a method returned or yielded, as a tuple: one thing, several or none."""
    if isinstance(result, Message):
        return (result,)
    if result is None:
        return ()
    if not isinstance(result, Iterable):
        return (result,)
    found = tuple(islice(result, MOST + 1))
    if len(found) > MOST:
        raise HandlerError(f"a method gave more than {MOST:,} things for one record; does it end?")
    return found


def _check_depth(message: Message, data: bytes, by: str) -> None:
    """HandlerError if protobuf, which writes any number of levels and reads a hundred, cannot read a message."""
    try:
        message.__class__.FromString(data)
    except DecodeError as error:
        raise HandlerError(f"{by}: {type_name(type(message))} is nested too deeply to be read again: {error}") from None
