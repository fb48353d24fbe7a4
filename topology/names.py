"""Names of topics, and of what they are made from."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

MAIN = "main"
KINDS = (
    "commands",
    "facts",
    "inbox",
    "events",
    "snapshots",
    "documents",
    "dead-letters",
    "sink-dead-letters",
    "sink-control",
)
RESERVED = ("headrace", MAIN)
"""Names that no edition may have: with the first one begin the topics of the deployment itself."""
_LONGEST = 249
"""Characters that the name of a topic may have."""
_SINK_DEAD_LETTERS = "sink-dead-letters"
_SINK_DOMAIN = re.compile(r"(.+-v[1-9][0-9]*)-([a-z][a-z0-9-]*)")
_SINK = re.compile(r"([a-z][a-z0-9-]*-v[1-9][0-9]*)\.([a-z][a-z0-9-]*)")
_WORD = re.compile(r"[a-z][a-z0-9-]*")
_PREFIX = re.compile(r"([a-zA-Z0-9_-]+\.)*")


def is_name(text: str) -> bool:
    """Whether `text` can name an edition or a domain: a lower-case letter, then such letters, digits and hyphens."""
    return _WORD.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Names:
    """Topic names of one deployment; each begins with `prefix`, which is empty or ends in a dot."""

    prefix: str = ""

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(f"topic prefix {self.prefix!r} must be empty, or words that each end in a dot")

    def topic(self, edition: str, domain: str, kind: str) -> str:
        """`{prefix}{edition}.{domain}.{kind}`; ValueError if one of them is not valid."""
        if not is_name(edition) or not is_name(domain):
            raise ValueError(f"edition {edition!r} and domain {domain!r} must match [a-z][a-z0-9-]*")
        if kind not in KINDS:
            raise ValueError(f"no topic kind {kind!r}; there are {', '.join(KINDS)}")
        return f"{self.prefix}{edition}.{domain}.{kind}"

    def split(self, topic: str) -> tuple[str, str, str] | None:
        """Edition, domain and kind of a topic of this deployment; None for any other topic."""
        if not topic.startswith(self.prefix):
            return None
        parts = topic[len(self.prefix) :].split(".")
        if len(parts) != 3 or parts[2] not in KINDS or not (is_name(parts[0]) and is_name(parts[1])):
            return None
        return parts[0], parts[1], parts[2]

    def edition_problem(self, edition: str, components: Iterable[str]) -> str:
        """Why no edition can have this name, beside these components; empty if one can."""
        if not is_name(edition):
            return f"{edition!r} cannot name an edition: a lower-case letter, then such letters, digits and hyphens"
        if edition in RESERVED:
            return f"{edition!r} is reserved; take another name"
        names = list(components)
        if edition in names:
            return f"{edition!r} is a component already, and its topics would read as if they were the edition's"
        if edition in self.prefix.split("."):
            return f"{edition!r} is a part of the prefix {self.prefix}; take another name"
        longest = max((len(self.topic(edition, name, kind)) for name in names for kind in KINDS), default=0)
        if longest > _LONGEST:
            return f"{edition!r} is too long by {longest - _LONGEST} character(s): topics have {_LONGEST} at most"
        return ""

    @property
    def replies(self) -> str:
        """The one topic for replies to clients."""
        return f"{self.prefix}headrace.replies"

    @property
    def projections(self) -> str:
        """The one topic that says which version of each projector serves."""
        return f"{self.prefix}headrace.projections"

    @property
    def editions(self) -> str:
        """The one topic that says which editions there are."""
        return f"{self.prefix}headrace.editions"

    @property
    def workers(self) -> str:
        """The one topic that says which editions each worker holds."""
        return f"{self.prefix}headrace.workers"


def source(edition: str, domain: str) -> str:
    """The `ce_source` of the records that a domain writes."""
    return f"/{edition}/{domain}"


class SinkName(NamedTuple):
    """A sink as people write it: `{component}.{kind}`, its connector's name without prefix and edition."""

    component: str
    """The projector's version."""
    kind: str
    """The system, such as `search`."""

    def __str__(self) -> str:
        return f"{self.component}.{self.kind}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text that names no sink; components have no dot in their names."""
        found = _SINK.fullmatch(text)
        return None if found is None else cls(*found.groups())

    @classmethod
    def of_topic(cls, names: Names, edition: str, topic: str) -> Self | None:
        """The sink whose dead letters are in a topic; None for any other topic."""
        split = names.split(topic)
        if split is None or (split[0], split[2]) != (edition, _SINK_DEAD_LETTERS):
            return None
        found = _SINK_DOMAIN.fullmatch(split[1])
        return None if found is None else cls(*found.groups())

    def topic(self, names: Names, edition: str) -> str:
        """Where its dead letters are."""
        return names.topic(edition, f"{self.component}-{self.kind}", _SINK_DEAD_LETTERS)
