"""What a what-if shows."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

from google.protobuf.message import Message

from headrace.schemas import codecs
from headrace.schemas.headers import CONTENT_TYPE, ID, SOURCE, TYPE
from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.streams.in_memory.log import Entry
from headrace.topology.aggregate import Rejected
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.names import Names
from headrace.topology.reply import Event, Failure, Reply, Status
from headrace.topology.topology import Topology

_REJECTION, _DEAD_LETTER = (type_name(one).encode() for one in (WireRejection, DeadLetter))


class SentCommand(NamedTuple):
    """A command that a saga or a process manager has sent."""

    sender: str
    domain: str
    root: str
    message: Message


class Consequences(NamedTuple):
    """What followed, if sagas and process managers run."""

    commands: tuple[SentCommand, ...] = ()
    """In the order in which they were sent."""
    failures: tuple[Failure, ...] = ()
    """What was rejected of them, and what could not be handled."""


NO_CONSEQUENCES = Consequences()


class Outcome:
    """What became of one command. It is decoded when it is looked at."""

    def __init__(self, answer: bytes, spec: ComponentSpec, followed: Consequences | None = None) -> None:
        self._answer, self._spec = answer, spec
        self.commands, self.failures = followed or NO_CONSEQUENCES

    @cached_property
    def reply(self) -> Reply:
        """What a client would be told."""
        return Reply.read(WireReply.FromString(self._answer), self._spec)

    @property
    def accepted(self) -> bool:
        """Whether the command was carried out."""
        return self.reply.accepted

    @property
    def events(self) -> tuple[Event, ...]:
        """The command's events; none if it was not accepted."""
        return self.reply.events if self.accepted else ()

    @property
    def messages(self) -> list[Any]:
        """The messages of `events`."""
        return [event.data for event in self.events]

    @property
    def rejection(self) -> Rejected | None:
        """As the handler raised it; None if the command was not rejected."""
        reply = self.reply
        if reply.status is not Status.REJECTED:
            return None
        return Rejected(reply.reason, code=reply.code, retryable=reply.retryable)

    @property
    def error(self) -> str:
        """Why the command could not be handled, such as bytes that are not its message; empty otherwise."""
        if self.reply.status is not Status.FAILED:
            return ""
        reason, _, _ = self.reply.reason.rpartition("; the command lies in ")  # which is so on Kafka only
        return f"{reason})"

    def __repr__(self) -> str:
        reply = self.reply
        said = f": {reply.reason}" if reply.reason else f", events {[event.type for event in self.events]}"
        return f"<Outcome {reply.status} at {reply.root}{said}>"


def consequences(written: Iterable[Entry], topology: Topology, names: Names, command_id: str = "") -> Consequences:
    """What records that were written tell of; the command with this id is not one of its own consequences."""
    commands: list[SentCommand] = []
    failures: list[Failure] = []
    told: set[str] = set()
    for entry in written:
        parts = names.split(entry.topic)
        if parts is None or parts[2] not in ("inbox", "dead-letters"):
            continue
        record, name = entry.record(), parts[1]
        kind, value = record.headers[TYPE], record.value or b""
        if kind == _REJECTION:
            notice = WireRejection.FromString(value)
            if notice.command_id not in told:  # it goes on from one source to the one before
                told.add(notice.command_id)
                command, who = notice.command_type, notice.component
                failures.append(Failure(who, notice.root, command, notice.reason, notice.code, rejected=True))
        elif kind == _DEAD_LETTER:
            letter = DeadLetter.FromString(value)
            headers = {header.key: header.value for header in letter.headers}
            if headers.get(ID) != command_id.encode():
                what = headers.get(TYPE, b"").decode(errors="replace")
                root = letter.key.decode(errors="replace")
                failures.append(Failure(letter.component, root, what, letter.error, letter.error_class, rejected=False))
        elif parts[2] == "inbox" and (spec := topology.aggregates.get(name)) is not None:
            if (handler := spec.commands.get(kind.decode())) is None:
                continue
            content_type = record.headers.get(CONTENT_TYPE, b"").decode() or None
            sender = record.headers[SOURCE].decode().rpartition("/")[2]
            root = (record.key or b"").decode()
            commands.append(SentCommand(sender, name, root, codecs.decode(value, handler.message, content_type)))
    return Consequences(tuple(commands), tuple(failures))
