"""Tells of states that come near to the largest that a record can have, before their commands fail."""

import structlog

from headrace.streams.observability.metrics import Metrics

log = structlog.get_logger()
_GROWTH = 1.05
_MAX_KEPT = 10_000


class LargeStates:
    """Reports each root once, and again when its state has grown by a twentieth."""

    def __init__(self, domain: str, metrics: Metrics) -> None:
        self._domain, self._counter = domain, metrics.large_states.labels(domain)
        self._told: dict[bytes, int] = {}
        """Bytes of the states at their last report, by root."""

    def report(self, root: bytes, size: int, limit: int) -> None:
        """Report a snapshot of `size` bytes, of at most `limit`, unless that was done."""
        if size < self._told.get(root, 0) * _GROWTH:
            return
        if len(self._told) >= _MAX_KEPT:
            self._told.clear()
        self._told[root] = size
        self._counter.inc()
        log.warning(
            "a state is near the largest that a record can have; commands that make it larger will fail. Divide "
            "it into more roots, or raise max.message.bytes of the domain's topics and of the replies topic",
            domain=self._domain,
            root=root.decode(errors="replace"),
            bytes=size,
            limit=limit,
        )
