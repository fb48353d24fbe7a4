"""Metrics of a worker, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from headrace.streams.steps.batch import Written


class Metrics:
    """All metrics of one worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        domain = ["domain"]
        self._records = Counter(
            "headrace_records_processed", "Records read, by outcome", ["domain", "outcome"], registry=self.registry
        )
        self._events = Counter("headrace_events", "Events written", domain, registry=self.registry)
        self._batch = Histogram(
            "headrace_batch_records",
            "Records in one transaction",
            domain,
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
            registry=self.registry,
        )
        seconds = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
        self._decide = Histogram(
            "headrace_decide_seconds", "Time to handle a batch", domain, buckets=seconds, registry=self.registry
        )
        self._commit = Histogram(
            "headrace_transaction_seconds",
            "Time from the last record handled to the batch in the store",
            domain,
            buckets=seconds,
            registry=self.registry,
        )
        self.doubts = Counter(
            "headrace_transactions_in_doubt",
            "Transactions of unknown outcome",
            domain,
            registry=self.registry,
        )
        self.lag = Gauge("headrace_lag_records", "Records not handled yet", domain, registry=self.registry)
        self.editions_lag = Gauge(
            "headrace_editions_lag_records", "Records of editions not handled yet", domain, registry=self.registry
        )
        self.unread = Counter(
            "headrace_unread_records", "Records deleted before they were read", domain, registry=self.registry
        )
        self.remade = Counter(
            "headrace_stores_made_anew", "Stores that were restored from nothing", domain, registry=self.registry
        )
        self.restored = Gauge(
            "headrace_restored_records", "Changelog records read to restore stores", domain, registry=self.registry
        )
        self.to_restore = Gauge(
            "headrace_to_restore_records", "Changelog records left to read", domain, registry=self.registry
        )
        self.ready = Gauge("headrace_ready", "1 when commands are handled", domain, registry=self.registry)
        self.partitions = Gauge("headrace_partitions", "Partitions held", domain, registry=self.registry)

    def written(self, domain: str, written: Written) -> None:
        """Count the outcomes of a committed batch."""
        for outcome, count in zip(Written._fields, written, strict=True):
            if outcome == "events":
                self._events.labels(domain).inc(count)
            elif count:
                self._records.labels(domain, outcome).inc(count)

    def batch(self, domain: str, records: int, decide: float, commit: float) -> None:
        """Note a batch's size and times in seconds."""
        self._batch.labels(domain).observe(records)
        self._decide.labels(domain).observe(decide)
        self._commit.labels(domain).observe(commit)
