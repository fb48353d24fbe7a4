"""Topics of editions, which are made when they are first needed."""

from collections import defaultdict
from collections.abc import Mapping, Set
from typing import Protocol

import structlog
from confluent_kafka import KafkaException

from headrace.streams.editions import topics
from headrace.streams.editions.record import Edition
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.transaction import CommitOutcomeUnknown

log = structlog.get_logger()


class Known(Protocol):
    """What the worker knows of editions; all components share it."""

    def live(self) -> Mapping[str, Edition]:
        """The editions that may be used, by id."""

    def topics(self) -> Set[str]:
        """Topics of the cluster, as of a second ago; empty until they were read."""


class EditionTopics:
    """Makes what one component needs. For one thread."""

    def __init__(self, config: ComponentConfig, known: Known) -> None:
        self._config, self._known = config, known
        self._written: set[str] = {config.settings.names.replies}
        """Topics that are known to be there."""

    def make(self, edition: str, wanted: set[str]) -> None:
        """Make topics of an edition that are missing. Raises KafkaException."""
        if wanted:
            made = topics.make(self._config.settings, self._config.topology, edition, wanted)
            log.info("topics of an edition made", domain=self._config.name, edition=edition, topics=made)

    def make_written(self, wanted: set[str]) -> None:
        """Make topics that records are about to go to for the first time. Raises CommitOutcomeUnknown if it cannot."""
        if not (new := wanted - self._written):
            return
        missing, by_edition = new - self._known.topics(), defaultdict[str, set[str]](set)
        for topic in missing:
            by_edition[self._edition_of(topic)].add(topic)
        try:
            for edition, its in by_edition.items():
                self.make(edition, its)
        except KafkaException as error:
            raise CommitOutcomeUnknown(f"topics {', '.join(sorted(missing))} cannot be made: {error}") from error
        self._written |= new

    def forget(self, edition: str) -> None:
        """An edition has ended; its topics may be deleted."""
        self._written = {topic for topic in self._written if self._edition_of(topic) != edition}

    def _edition_of(self, topic: str) -> str:
        parts = self._config.settings.names.split(topic)
        return "" if parts is None else parts[0]
