"""Alerts a person when a compensation escalates: always by a log line, and by a webhook if one is set."""

import json
import urllib.request
from queue import SimpleQueue
from threading import Thread

import structlog

log = structlog.get_logger()
_LAST = 2.0  # seconds that remaining posts may take when the worker ends


class Alerts:
    """Posts to one webhook, in a thread of its own. A post that fails is logged; the dead letter stays in any case."""

    def __init__(self, webhook: str) -> None:
        self._webhook = webhook
        self._waiting: SimpleQueue[dict[str, str] | None] = SimpleQueue()
        # a daemon: a server that answers a byte at a time must not hold up the end of the worker
        self._thread = Thread(target=self._serve, name="alerts", daemon=True)
        self._thread.start()

    def __call__(self, escalation: dict[str, str]) -> None:
        log.error("escalation", **escalation)
        if self._webhook:
            self._waiting.put(escalation)

    def _serve(self) -> None:
        while (escalation := self._waiting.get()) is not None:
            self._post(escalation)

    def _post(self, escalation: dict[str, str]) -> None:
        try:  # whatever happens: the thread is needed for the next one
            body = json.dumps({"escalation": escalation}).encode()
            request = urllib.request.Request(self._webhook, body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=10):
                pass
        except Exception as error:
            log.error("webhook not reached", error=str(error), **escalation)

    def close(self) -> None:
        """Send the remaining alerts, if that takes no longer than a moment; they are in the log in any case."""
        self._waiting.put(None)
        self._thread.join(_LAST)
