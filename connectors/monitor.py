"""What operators watch, as metrics for Prometheus: versions of projectors and sinks, as Kafka and Connect see them.

A process of its own, because a worker that is frozen says nothing, and no worker knows of sinks.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from aiohttp import web
from confluent_kafka import KafkaException
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from headrace.connectors.connect.client import ConnectFailed
from headrace.connectors.connect.overview import SinkStatus
from headrace.streams.admin.projections import VersionStatus
from headrace.streams.runtime.web_server import LimitedRunner
from headrace.streams.settings import Settings

log = structlog.get_logger()
_TROUBLE = (ConnectFailed, KafkaException, TimeoutError)


class Watched(Protocol):
    """What is looked at. Raises ConnectFailed, KafkaException or TimeoutError when somebody does not answer."""

    def projections(self) -> Sequence[VersionStatus]:
        """Each version of each projector."""

    def sinks(self) -> Sequence[SinkStatus]:
        """The sinks that Connect runs."""


class Metrics:
    """All of them, in a registry of its own. The label `domain` is a projector's version, as on a worker."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        domain, sink, what = ["domain"], ["sink"], ["what"]
        self.records = self._gauge("headrace_projection_lag_records", "Records not handled yet", domain)
        self.seconds = self._gauge("headrace_projection_lag_seconds", "Age of the oldest of these", domain)
        self.stuck = self._gauge("headrace_projection_stuck", "1 when there is work and no progress", domain)
        self.parked = self._gauge(
            "headrace_projection_dead_letters", "Open dead letters of a version and of its sinks", domain
        )
        self.runs = self._gauge("headrace_sink_runs", "1 when a sink and all of its tasks run", sink)
        self.failed = self._gauge("headrace_sink_tasks_failed", "Tasks that have failed", sink)
        self.lag = self._gauge("headrace_sink_lag_records", "Records that a sink has not handled yet", sink)
        self.dead_letters = self._gauge("headrace_sink_dead_letters", "Open dead letters", sink)
        self.needs_reset = self._gauge("headrace_sink_needs_reset", "1 when deletions may be missing", sink)
        self.looked = self._gauge("headrace_monitor_last_look_seconds", "When the last look came to its end", what)
        self.failures = Counter(
            "headrace_monitor_failed_looks", "Looks that came to no end", what, registry=self.registry
        )
        for name in ("projections", "sinks"):
            self.failures.labels(name)

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def look(self, watched: Watched) -> None:
        """Look at everything once. What could not be seen is not shown, rather than as it was before."""
        self._look("projections", lambda: self._projections(watched.projections()), self._of_projections)
        self._look("sinks", lambda: self._sinks(watched.sinks()), self._of_sinks)

    @property
    def _of_projections(self) -> tuple[Gauge, ...]:
        return self.records, self.seconds, self.stuck, self.parked

    @property
    def _of_sinks(self) -> tuple[Gauge, ...]:
        return self.runs, self.failed, self.lag, self.dead_letters, self.needs_reset

    def _look(self, what: str, look: Callable[[], None], shown: Sequence[Gauge]) -> None:
        try:
            look()
        except _TROUBLE as error:
            log.warning("cannot look", what=what, error=str(error))
            self.failures.labels(what).inc()
            for gauge in shown:
                gauge.clear()
        else:
            self.looked.labels(what).set(time.time())

    def _projections(self, rows: Sequence[VersionStatus]) -> None:
        for gauge in self._of_projections:
            gauge.clear()  # of versions that were dropped meanwhile
        for row in rows:
            self.records.labels(row.component).set(row.records)
            self.seconds.labels(row.component).set(row.seconds)
            self.stuck.labels(row.component).set(row.state == "stuck")
            self.parked.labels(row.component).set(row.dead_letters)

    def _sinks(self, rows: Sequence[SinkStatus]) -> None:
        for gauge in self._of_sinks:
            gauge.clear()
        for row in rows:
            self.runs.labels(row.name).set(row.runs)
            self.failed.labels(row.name).set(sum(task.state == "FAILED" for task in row.tasks))
            self.lag.labels(row.name).set(row.lag or 0)
            self.dead_letters.labels(row.name).set(row.dead_letters or 0)
            self.needs_reset.labels(row.name).set(bool(row.needs_reset))


def run(settings: Settings, watched: Watched, every: float) -> None:
    """Look every so many seconds, and serve the metrics, until SIGTERM or SIGINT.

    Raises OSError if the web port cannot be used.
    """
    asyncio.run(_run(settings, watched, every))


async def _run(settings: Settings, watched: Watched, every: float) -> None:
    loop, stop, metrics = asyncio.get_running_loop(), asyncio.Event(), Metrics()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    failures: list[Exception] = []

    def look() -> None:
        try:
            while True:
                metrics.look(watched)
                time.sleep(every)
        except Exception as error:
            failures.append(error)
            loop.call_soon_threadsafe(stop.set)

    runner = LimitedRunner(_pages(metrics))
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.web_host, settings.web_port).start()
        log.info("the monitor looks", every=every, web=runner.addresses)
        # a daemon: the end does not wait for a look at brokers that are away
        threading.Thread(target=look, name="monitor", daemon=True).start()
        await stop.wait()
    finally:
        await runner.cleanup()
    if failures:
        raise failures[0]
    log.info("ended")


def _pages(metrics: Metrics) -> web.Application:
    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def exposition(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/metrics", exposition)])
    return application
