"""The editions that the registry names, as all components of a worker see them."""

import threading
from collections.abc import Mapping

import structlog
from confluent_kafka import KafkaException

from headrace.streams.clock import backoff
from headrace.streams.editions.follower import Follower
from headrace.streams.editions.record import Edition
from headrace.streams.settings import Settings

log = structlog.get_logger()


class EditionList:
    """Follows the registry in a thread of its own, from `start` to `close`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._live: Mapping[str, Edition] = {}
        self._thread = threading.Thread(target=self._run, name="editions", daemon=True)

    def live(self) -> Mapping[str, Edition]:
        """The editions that may be used, by id; those last known while the registry cannot be read."""
        return self._live

    def start(self) -> None:
        """Begin to follow; `live` is empty until all of the registry was read."""
        self._thread.start()

    def close(self) -> None:
        """Follow no more; returns when the thread has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                with Follower(self._settings) as follower:
                    while not self._stop.is_set():
                        if follower.poll(0.5) or not self._live:
                            self._take(follower)
                        attempt = 0
            except KafkaException as error:
                if attempt % 6 == 0:
                    log.warning("the registry of editions cannot be read", error=str(error))
                self._stop.wait(backoff(attempt))
                attempt += 1

    def _take(self, follower: Follower) -> None:
        if follower.current:  # before that, an edition may seem to live that was deleted later
            self._live = {one.id: one for one in follower.editions.values() if one.live}
