"""Ids that Headrace makes: `str` prints them and `parse` reads them.

Programs in other languages need exactly these forms; `docs/record-format.md` describes them. A root may contain any
character except control characters, so each form is parsed from the end that cannot contain a root.
"""

from typing import NamedTuple, Self

_PARTITION = 9
"""The most digits of a partition's number: Kafka has 32 bits for it."""
_POSITION = 18
"""The most digits of a sequence, an offset or a time: all that fit in 64 bits."""


class EventRef(NamedTuple):
    """One event of the deployment: `{source}/{root}:{sequence}`, where the source is `/{edition}/{component}`."""

    source: str
    root: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.source}/{self.id}"

    @property
    def id(self) -> str:
        """The event's `ce_id`, unique for its source."""
        return f"{self.root}:{self.sequence}"

    @property
    def component(self) -> str:
        """The aggregate or process manager that wrote it."""
        return self.source.rpartition("/")[2]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text that is not the id of an event."""
        empty, edition, component, rest = (*text.split("/", 3), "", "", "", "")[:4]
        root, colon, number = rest.rpartition(":")
        if empty or not (edition and component and root and colon):
            return None
        sequence = natural_number(number)
        return None if sequence is None else cls(f"/{edition}/{component}", root, sequence)


class CommandRef(NamedTuple):
    """A command that a saga or process manager sent: `{cause}>{component}/{number}`.

    The same cause, component and number give the same id, so that sending it again changes nothing.
    """

    cause: str
    """`{source}/{id}` of the record that it was sent for."""
    component: str
    number: int

    def __str__(self) -> str:
        return f"{self.cause}>{self.component}/{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text that is not the id of such a command."""
        cause, sign, rest = text.rpartition(">")
        component, slash, number = rest.partition("/")
        place = natural_number(number)
        if not (cause and sign and component and slash) or place is None:
            return None
        return cls(cause, component, place)


class ReadRef(NamedTuple):
    """A query of a process manager for the state of another root: `{cause}?{component}/{number}`."""

    cause: str
    component: str
    number: int

    def __str__(self) -> str:
        return f"{self.cause}?{self.component}/{self.number}"


class DeadLetterRef(NamedTuple):
    """The id of a dead letter: `{topic}/{partition}/{offset}` of its input; for a time-out, its id as the last part."""

    topic: str
    partition: int
    place: str

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.place}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text that is not the id of a dead letter."""
        place = _split_place(text)
        return cls(*place) if place else None


class TimerRef(NamedTuple):
    """A time-out of a process manager: `timer/{root}/{name}/{due}`, with `due` in milliseconds since 1970."""

    root: str
    name: str
    """Without a slash."""
    due: int

    def __str__(self) -> str:
        return f"timer/{self.root}/{self.name}/{self.due}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text that is not the id of a time-out."""
        kind, _, rest = text.partition("/")
        root, name, due = ("", "", *rest.rsplit("/", 2))[-3:]
        at = natural_number(due)
        return cls(root, name, at) if kind == "timer" and root and at is not None else None


class RejectionRef(NamedTuple):
    """The notice that a command was rejected: `rejection/{command id}`."""

    command_id: str

    def __str__(self) -> str:
        return f"rejection/{self.command_id}"


class IssuerRef(NamedTuple):
    """Who is notified, in its inbox, that a command was rejected: `{component}:{root}`; the value of `ce_rejectto`."""

    component: str
    root: str

    def __str__(self) -> str:
        return f"{self.component}:{self.root}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text of another form."""
        component, _, root = text.partition(":")
        return cls(component, root) if component and root else None


class ReportTarget(NamedTuple):
    """Where reports on all that a command leads to go: `{topic}/{partition}/{command id}`, as in `ce_reportto`."""

    topic: str
    partition: int
    command_id: str

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.command_id}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text of another form."""
        place = _split_place(text)
        return cls(*place) if place else None


class ReplyTarget(NamedTuple):
    """Where an answer goes: `{topic}/{partition}`; the value of `ce_replyto`."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text of another form."""
        topic, _, number = text.rpartition("/")
        partition = natural_number(number, _PARTITION)
        return cls(topic, partition) if topic and partition is not None else None


def _split_place(text: str) -> tuple[str, int, str] | None:
    """`{topic}/{partition}/{rest}`."""
    topic, number, rest = (*text.split("/", 2), "", "")[:3]
    partition = natural_number(number, _PARTITION)
    return (topic, partition, rest) if topic and rest and partition is not None else None


def natural_number(text: str, digits: int = _POSITION) -> int | None:
    """The number that a text from outside writes with digits 0 to 9 alone; None for all other texts.

    Bounded, for `int` raises an error for very long ones, and takes the digits of other scripts.
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits else None
