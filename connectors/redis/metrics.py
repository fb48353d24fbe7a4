"""Metrics of the writers in one process, for Prometheus."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """All of them, in a registry of its own. The label `domain` is the projector's version, as on a worker."""

    def __init__(self, domains: Iterable[str] = ()) -> None:
        """All are there from the start, and zero, for these domains."""
        self.registry = CollectorRegistry()
        domain = ["domain"]
        self.documents = Counter("headrace_redis_documents", "Records written to Redis", domain, registry=self.registry)
        self.refused = Counter(
            "headrace_redis_batches_refused", "Batches that Redis was not waiting for", domain, registry=self.registry
        )
        self.begun_anew = Counter(
            "headrace_redis_partitions_begun_anew", "Partitions dropped and read again", domain, registry=self.registry
        )
        self.lag = Gauge("headrace_redis_lag_records", "Records not in Redis yet", domain, registry=self.registry)
        self.ready = Gauge("headrace_redis_ready", "1 when Redis has all partitions", domain, registry=self.registry)
        for name in domains:
            for each in (self.documents, self.refused, self.begun_anew, self.lag, self.ready):
                each.labels(name)
