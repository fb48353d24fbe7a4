"""The editions that the registry names, as all components of a worker see them."""

import threading
import time
from collections.abc import Callable, Mapping, Set
from contextlib import closing

import structlog
from confluent_kafka import KafkaException

from headrace.streams.admin.topics import admin
from headrace.streams.clock import backoff
from headrace.streams.editions.follower import Follower
from headrace.streams.editions.holders import REFRESH, Holder
from headrace.streams.editions.record import Edition
from headrace.streams.settings import Settings

log = structlog.get_logger()
_TOPICS_INTERVAL = 1.0


class EditionList:
    """Follows the registry in a thread of its own, from `start` to `close`, and says which editions the worker holds.

    It says so before any component may use an edition, and no longer once none does: so nobody deletes topics that are
    in use, and no worker makes any that would stay.
    """

    def __init__(self, settings: Settings, worker: str) -> None:
        self._settings, self._worker = settings, worker
        self._stop = threading.Event()
        self._live: Mapping[str, Edition] = {}
        self._topics: Set[str] = frozenset()
        self._said: set[str] = set()
        self._say_at = self._look_at = 0.0
        self._thread = threading.Thread(target=self._run, name="editions", daemon=True)
        self.in_use: Callable[[], set[str]] = set
        """Ids of the editions that components run at present."""

    def live(self) -> Mapping[str, Edition]:
        """The editions that may be used, by id; those last known while the registry cannot be read."""
        return self._live

    def topics(self) -> Set[str]:
        """Topics of the cluster, as of a second ago; empty until they were read."""
        return self._topics

    def start(self) -> None:
        """Begin to follow; `live` is empty until all of the registry was read."""
        self._thread.start()

    def close(self) -> None:
        """Follow no more, and say that nothing is held; components have ended. Returns when that is done."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                with Follower(self._settings) as follower, closing(Holder(self._settings, self._worker)) as holder:
                    self._said = set()
                    while not self._stop.is_set():
                        follower.poll(0.2 if self._said else 0.5)
                        if follower.current:  # before that, an edition may seem to live that was deleted later
                            self._take(follower, holder)
                        attempt = 0
            except (KafkaException, TimeoutError) as error:
                if attempt % 6 == 0:
                    log.warning("the registry of editions cannot be read or written", error=str(error))
                self._stop.wait(backoff(attempt))
                attempt += 1
            except Exception:
                log.exception("the registry of editions is read anew")
                self._stop.wait(backoff(attempt))
                attempt += 1

    def _take(self, follower: Follower, holder: Holder) -> None:
        live = {one.id: one for one in follower.editions.values() if one.live}
        if new := live.keys() - self._said:
            self._say(holder, self._said | new)
            follower.poll(0.2)  # one that was deleted meanwhile is not begun
            live = {one.id: one for one in follower.editions.values() if one.live}
            self._look_at = 0.0
        self._look_at_topics(bool(live))
        self._live = live
        held = live.keys() | self.in_use()
        if held != self._said or (held and time.monotonic() > self._say_at):
            self._say(holder, held)

    def _say(self, holder: Holder, held: Set[str]) -> None:
        holder.write(held)
        self._said, self._say_at = set(held), time.monotonic() + REFRESH

    def _look_at_topics(self, wanted: bool) -> None:
        if wanted and time.monotonic() > self._look_at:
            found = admin(self._settings).list_topics(timeout=10).topics
            self._topics = {name for name, topic in found.items() if topic.error is None}
            self._look_at = time.monotonic() + _TOPICS_INTERVAL
