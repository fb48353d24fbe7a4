"""Alerts a person when a compensation escalates: always by a log line, and by a webhook if one is set."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import structlog

log = structlog.get_logger()


class Alerts:
    """Posts to one webhook, in a thread of its own. A post that fails is logged; the dead letter stays in any case."""

    def __init__(self, webhook: str) -> None:
        self._webhook = webhook
        self._thread = ThreadPoolExecutor(1, "alerts")

    def __call__(self, escalation: dict[str, str]) -> None:
        log.error("escalation", **escalation)
        if self._webhook:
            self._thread.submit(self._post, escalation)

    def _post(self, escalation: dict[str, str]) -> None:
        body = json.dumps({"escalation": escalation}).encode()
        request = urllib.request.Request(self._webhook, body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10):
                pass
        except OSError as error:
            log.error("webhook not reached", error=str(error), **escalation)

    def close(self) -> None:
        """Send the remaining alerts."""
        self._thread.shutdown()
