"""Records of events as messages of today, for the components that read events of others."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from headrace.schemas import codecs
from headrace.schemas.event_schema import parse_key, schema_key
from headrace.schemas.headers import CONTENT_TYPE, DATA_SCHEMA, SEQUENCE, SOURCE, TYPE
from headrace.schemas.record import Record
from headrace.streams.steps.sender import event_root
from headrace.topology.inspection.spec import MessageType
from headrace.topology.upcaster import UpcastFailed
from headrace.topology.upcaster_chain import NO_UPCASTERS, UpcasterChain

PROTOBUF = codecs.PROTOBUF.encode()
Parse = Callable[[bytes], Message]
M = TypeVar("M", bound=Message)
_Read = Callable[[Record], Sequence[Message]]


class EventReader:
    """Which events a component reads, and what they are today.

    An event that needs no upcaster is found by one look into a table, as if there were none.
    """

    def __init__(
        self, wanted: Mapping[str, MessageType], sources: Mapping[str, str], chains: Mapping[str, UpcasterChain]
    ) -> None:
        """`wanted` are messages by their type's name, `sources` the component that writes each, and `chains` the
        upcasters of components."""
        self._types = {name.encode() for name in wanted}
        self._current: dict[bytes, tuple[MessageType, Parse]] = {}
        self._by_source: defaultdict[bytes, dict[bytes, _Read]] = defaultdict(dict)
        """By schema key, then by component: the same type may be an old one of one, and of today for another."""
        for component, chain in chains.items():
            own = {name for name in wanted if sources.get(name) == component}
            for key, (schema, _) in chain.old.items():
                if chain.outcomes(schema) & own:
                    self._by_source[key][component.encode()] = _lifting(chain, key, own)
        for name, message in wanted.items():
            component = sources.get(name, "")
            key = chains.get(component, NO_UPCASTERS).newest(name).key
            if key in self._by_source:
                self._by_source[key][component.encode()] = _plain(message)
            else:
                self._current[key] = message, message.FromString

    def reads(self, headers: Mapping[str, bytes]) -> bool:
        """Whether the component has a method for this event, or for one that it becomes.

        Also for a newer version of a type that it has a method for: `read` raises for that one.
        """
        name = headers.get(TYPE)
        if name in self._current and DATA_SCHEMA not in headers:  # the usual case
            return True
        if name is None:
            return False
        key = schema_key(headers)
        if key in self._current:
            return True
        if key in self._by_source:
            return _component(headers) in self._by_source[key]
        return name in self._types and key != name

    def read(self, record: Record) -> Sequence[Message]:
        """The messages of today that an event is, of those that the component has a method for.

        Raises DecodeError for wrong bytes, UpcastFailed, and LookupError for a version that is not known here.
        """
        headers = record.headers
        entry = self._current.get(headers[TYPE])
        if entry is None or DATA_SCHEMA in headers:
            return self._other(record)
        message, parse = entry
        content_type = headers.get(CONTENT_TYPE)
        if content_type is None or content_type == PROTOBUF:
            try:
                return (parse(record.value or b""),)
            except DecodeError:
                pass  # `decode` raises the same with a better text
        return (decode(record, message),)

    def _other(self, record: Record) -> Sequence[Message]:
        """An event that is one of several versions, or that has to be lifted."""
        key = schema_key(record.headers)
        if (entry := self._current.get(key)) is not None:
            return (decode(record, entry[0]),)
        if (read := self._by_source.get(key, {}).get(_component(record.headers))) is not None:
            return read(record)
        raise LookupError(f"{parse_key(key)} is not known here; a newer release may have written it")


def decode(record: Record, message: type[M]) -> M:
    """The message in a record, by its content type; DecodeError for wrong bytes."""
    return codecs.decode(record.value, message, (record.headers.get(CONTENT_TYPE) or PROTOBUF).decode())


def _component(headers: Mapping[str, bytes]) -> bytes:
    return headers.get(SOURCE, b"").rpartition(b"/")[2]


def _plain(message: MessageType) -> _Read:
    return lambda record: (decode(record, message),)


def _lifting(chain: UpcasterChain, key: bytes, wanted: set[str]) -> _Read:
    schema, link = chain.old[key]

    def take(name: str) -> Callable[[list[Message], Message], None]:
        return list.append if name in wanted else lambda messages, message: None

    lift = chain.lifting(schema, take)

    def read(record: Record) -> Sequence[Message]:
        found: list[Message] = []
        try:
            lift(found, decode(record, link.message))
        except UpcastFailed as failed:
            number = record.headers.get(SEQUENCE, b"")
            sequence = int(number) if number.isdigit() else -1
            raise failed.at(event_root(record).decode(errors="replace"), sequence) from failed.__cause__
        return found

    return read
