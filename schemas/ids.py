"""Ids that Headrace makes: `str` prints them and `parse` reads them.

Programs in other languages need exactly these forms; `docs/record-format.md` describes them. A root may contain any
character except control characters, so each form is parsed from the end that cannot contain a root.
"""

from typing import NamedTuple, Self


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
        if empty or not (edition and component and root and colon and number.isdecimal()):
            return None
        return cls(f"/{edition}/{component}", root, int(number))


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
        if not (cause and sign and component and slash and number.isdecimal()):
            return None
        return cls(cause, component, int(number))


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
        topic, partition, place = (*text.split("/", 2), "", "")[:3]
        return cls(topic, int(partition), place) if topic and place and partition.isdecimal() else None


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
        return cls(root, name, int(due)) if kind == "timer" and root and due.isdecimal() else None


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
        topic, number, command_id = (*text.split("/", 2), "", "")[:3]
        if not (topic and command_id and number.isdecimal() and len(number) <= 9):
            return None
        return cls(topic, int(number), command_id)


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
        return cls(topic, int(number)) if topic and number.isdecimal() and len(number) <= 9 else None
