"""Which editions there are, as a topic of the deployment records it; workers follow it."""

import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from headrace.streams.admin.topics import admin, create, describe
from headrace.streams.clock import backoff
from headrace.streams.editions.follower import Follower
from headrace.streams.editions.record import CREATING, DELETED, DELETING, LIVE, Edition, parsed, to_bytes
from headrace.streams.settings import Settings
from headrace.streams.state.compare_and_set import Latest, NotConfirmed, Rows, compare_and_set, latest
from headrace.topology.names import MAIN
from headrace.topology.topology import editions_topics

_WRITER = "headrace.editions"


class EditionRefused(ValueError):
    """An edition cannot be made or deleted; the text says why, and what to do about it."""


class EditionUnknown(LookupError):
    """There is no such edition."""


class Registry:
    """The editions of one deployment. All methods raise KafkaException, and TimeoutError if no answer comes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def prepare(self) -> None:
        """Create the topics of the registry if the deployment has none yet."""
        create(self._settings, editions_topics(self._settings.names))

    def all(self) -> dict[str, Edition]:
        """The latest edition of each name, deleted ones as well."""
        topic = self._settings.names.editions
        if topic not in describe(admin(self._settings), [topic]):
            return {}
        return parsed(latest(self._settings, topic))

    def live(self) -> dict[str, Edition]:
        """The editions that may be used, by name."""
        return {name: edition for name, edition in self.all().items() if edition.live}

    def find(self, name: str) -> Edition:
        """The live edition of this name; EditionUnknown if there is none."""
        return find(self.live(), name)

    def add(self, edition: Edition, timeout: float = 60.0) -> Edition:
        """Record a new edition. Raises EditionRefused if its name is taken, EditionUnknown for its parent.

        Its id settles an attempt whose outcome is unknown: an edition with the same id is this one.
        """

        def decide(editions: Mapping[str, Edition]) -> Edition | None:
            taken = editions.get(edition.name)
            if taken is not None and taken.id == edition.id:
                return None
            if taken is not None and taken.state != DELETED:
                raise EditionRefused(_taken(taken))
            if edition.parent != MAIN:
                find({name: one for name, one in editions.items() if one.live}, edition.parent)
            return edition

        self._write(decide, timeout)
        return edition

    def open(self, edition: Edition, timeout: float = 60.0) -> Edition:
        """Record that the topics of an edition are there, so that it is used. Raises EditionRefused if it is gone."""
        opened = replace(edition, state=LIVE)

        def decide(editions: Mapping[str, Edition]) -> Edition | None:
            found = editions.get(edition.name)
            if found is None or found.id != edition.id or found.state not in (CREATING, LIVE):
                raise EditionRefused(f"{edition.name} was deleted while it was made")
            return None if found.live else opened

        self._write(decide, timeout)
        return opened

    def begin_deletion(self, name: str, timeout: float = 60.0) -> Edition:
        """Record that nobody may use an edition any more; nothing new for one that is being deleted already.

        Raises EditionRefused if another one continues it, EditionUnknown if there is none.
        """
        found: list[Edition] = []

        def decide(editions: Mapping[str, Edition]) -> Edition | None:
            edition = editions.get(name)
            if edition is None or edition.state == DELETED:
                raise EditionUnknown(_unknown(name, editions))
            children = [one.name for one in editions.values() if one.parent == name and one.state != DELETED]
            if children:
                raise EditionRefused(f"{name} is continued by {', '.join(sorted(children))}; delete that first")
            found[:] = [replace(edition, state=DELETING)]
            return found[0] if edition.state != DELETING else None

        self._write(decide, timeout)
        return found[0]

    def end_deletion(self, deleted: Edition, timeout: float = 60.0) -> None:
        """Record that the topics of an edition are gone, so that its name can be used again."""

        def decide(editions: Mapping[str, Edition]) -> Edition | None:
            edition = editions.get(deleted.name)
            ours = edition is not None and edition.id == deleted.id and edition.state == DELETING
            return replace(deleted, state=DELETED) if ours else None

        self._write(decide, timeout)

    def _write(self, decide: Callable[[Mapping[str, Edition]], Edition | None], timeout: float) -> None:
        """Write what `decide` makes of the editions, if anything; again as long as other writers come between."""

        def rows(values: Latest) -> Rows:
            edition = decide(parsed(values))
            return [] if edition is None else [(edition.name.encode(), to_bytes(edition))]

        deadline = time.monotonic() + timeout
        attempt = 0
        while True:
            try:
                return compare_and_set(self._settings, self._settings.names.editions, _WRITER, rows)
            except NotConfirmed as error:
                # as each one ends the transaction of the one before, they must not come at the same time again
                seconds = backoff(attempt) * random.uniform(0.5, 1.5)
                if time.monotonic() + seconds > deadline:
                    text = f"the registry of editions was not written within {timeout:g} s: {error}"
                    raise TimeoutError(text) from error
                time.sleep(seconds)
                attempt += 1

    def follow(self) -> "Follower":
        """A reader that sees new editions as they are recorded."""
        return Follower(self._settings)


def new_id() -> str:
    """An id for a new edition."""
    return uuid.uuid4().hex[:16]


def find(live: Mapping[str, Edition], name: str) -> Edition:
    """One of these editions. Raises EditionUnknown, which names those that there are."""
    if name not in live:
        raise EditionUnknown(_unknown(name, live))
    return live[name]


def _unknown(name: str, known: Mapping[str, Edition]) -> str:
    there = ", ".join(sorted(one.name for one in known.values() if one.state != DELETED)) or "none but main"
    return f"there is no edition {name!r}; there are: {there}"


def _taken(edition: Edition) -> str:
    if edition.live:
        return f"there is an edition {edition.name} already; take another name, or delete it first"
    if edition.state == CREATING:
        return (
            f"somebody makes an edition {edition.name}, or was stopped while he did; "
            f"if that is so, `headrace editions delete {edition.name}` clears up"
        )
    return (
        f"the topics of an earlier edition {edition.name} are still being deleted; "
        f"`headrace editions delete {edition.name}` waits until they are gone, or goes on where it was stopped"
    )
