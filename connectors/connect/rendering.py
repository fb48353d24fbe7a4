"""A sink as Connect gets it: pure, so that it can be printed, compared and tested without a Connect."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.connectors.connect import references
from headrace.topology.names import Names, SinkName
from headrace.topology.projector import Projector, version_name

TEXT = "org.apache.kafka.connect.storage.StringConverter"
JSON = "org.apache.kafka.connect.json.JsonConverter"
BYTES = "org.apache.kafka.connect.converters.ByteArrayConverter"
LARGEST_DEAD_LETTER = 16 * 1024 * 1024
"""Bytes: a record that may be at its own limit, and why it was refused."""


@dataclass(frozen=True)
class Source:
    """Where a sink takes its documents from, and the names that follow from that."""

    names: Names
    edition: str
    projector: type[Projector[Any]]
    kind: str

    @property
    def component(self) -> str:
        """The projector's version."""
        return version_name(self.projector.name, self.projector.version)

    @property
    def sink(self) -> SinkName:
        """What people call it."""
        return SinkName(self.component, self.kind)

    @property
    def topic(self) -> str:
        """The documents."""
        return self.names.topic(self.edition, self.component, "documents")

    @property
    def connector(self) -> str:
        """Its name in Connect."""
        return f"{self.names.prefix}{self.edition}.{self.component}.{self.kind}"

    @property
    def dead_letters(self) -> str:
        """The topic of the records that the other system refuses."""
        return self.sink.topic(self.names, self.edition)

    def __str__(self) -> str:
        return f"{self.kind.capitalize()}({self.projector.__name__})"


@dataclass(frozen=True)
class Index:
    """An index of a search server, and how to reach it; texts may hold references."""

    name: str
    body: dict[str, Any]
    url: str
    user: str = ""
    password: str = ""
    api_key: str = ""


@dataclass(frozen=True)
class Rendered:
    """A sink as Connect gets it, with what must be there before."""

    source: Source
    config: dict[str, str]
    index: Index | None = None
    sql: tuple[str, ...] = ()
    """Statements that a person runs once, in this order."""
    serving: tuple[str, ...] = ()
    """Statements that a person runs when this version is to serve."""
    topics: tuple[str, ...] = ()
    """Further topics that the connector needs, of one partition."""
    no_reset: str = ""
    """Why the sink cannot be reset, and what to do instead; empty if it can."""
    notes: tuple[str, ...] = ()
    """What a person should know, a sentence each."""

    @property
    def name(self) -> str:
        """Of the connector."""
        return self.source.connector


def belongs(connector: str, names: Names, edition: str) -> bool:
    """Whether a name in Connect is one of a deployment's: no other connector is ever touched."""
    begin = re.escape(f"{names.prefix}{edition}.")
    return re.fullmatch(rf"{begin}[a-z][a-z0-9-]*-v[0-9]+\.[a-z][a-z0-9-]*", connector) is not None


def config(
    source: Source, plugin: str, tasks: int, own: Mapping[str, str], settings: Mapping[str, str]
) -> dict[str, str]:
    """What all connectors have, with a plug-in's own settings, and over both what the author has set.

    Raises SecretInPlain for a secret that is no reference.
    """
    # Connect's consumers read what is not committed, unless they are told otherwise.
    fixed = {"connector.class": plugin, "topics": source.topic, "consumer.override.isolation.level": "read_committed"}
    found = {
        "tasks.max": str(tasks),
        "key.converter": TEXT,
        "header.converter": BYTES,  # as they are: a header that looks like a number is none
        "consumer.override.auto.offset.reset": "earliest",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": source.dead_letters,
        "errors.deadletterqueue.context.headers.enable": "true",
        "producer.override.max.request.size": str(LARGEST_DEAD_LETTER),
        **{name: value for name, value in own.items() if value},
        **settings,
        **fixed,
    }
    for name, value in found.items():
        references.check(str(source), name, value)
    return dict(sorted(found.items()))
