"""A worker: some or all components of a topology, hosted by Faust, until told to stop."""

import fcntl
import gc
import logging
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import faust
import structlog
from confluent_kafka import KafkaException

from headrace.streams.admin import topics
from headrace.streams.clock import backoff
from headrace.streams.observability.alerts import Alerts
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.component import Component
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.edition_list import EditionList
from headrace.streams.runtime.host import Host
from headrace.streams.settings import Settings
from headrace.topology.topology import Topology

log = structlog.get_logger()


class Slot:
    """A worker's own folder under the state folder, and its name; each worker on a machine has another one.

    A worker that is restarted takes the first free slot, and so finds the stores and the name of its predecessor.
    """

    def __init__(self, state_dir: Path) -> None:
        for number in range(1000):
            folder = state_dir / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / "lock").open("a+")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            self.folder, self._lock = folder, lock
            self.instance = _instance(lock)
            return
        raise RuntimeError(f"1000 workers use {state_dir} already")

    def close(self) -> None:
        """Let another worker have the slot."""
        self._lock.close()


def _instance(lock: IO[str]) -> str:
    lock.seek(0)
    name = lock.read().strip()
    if not name:
        name = uuid.uuid4().hex[:12]
        lock.write(name)
        lock.flush()
    return name


def run(settings: Settings, topology: Topology, domains: Sequence[str] = ()) -> None:
    """Run until SIGTERM or SIGINT.

    Raises TopicsUnfit, PositionsUnfit, LookupError (unknown domain) or a ValueError of settings.
    """
    chosen = list(domains) or list(topology.components)
    for name in chosen:
        topology.component(name)
    # a component that sends commands needs the topics of others too
    sends = any(spec.sends for spec in topology.components.values())
    found = _await_topics(settings, topology, None if sends else chosen)
    slot = Slot(settings.state_dir)
    metrics, tracing, alerts = Metrics(), Tracing(settings.otlp_endpoint), Alerts(settings.webhook)
    editions = EditionList(settings)
    components = [
        Component(_config(settings, topology, name, found, slot), metrics, tracing, alerts, editions.live)
        for name in chosen
    ]
    app = Host(settings, topology, components, metrics)
    log.info("worker starts", domains=chosen, instance=slot.instance, web=f"{settings.web_host}:{settings.web_port}")
    worker = faust.Worker(
        app,
        loglevel=logging.WARNING,
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
        blocking_timeout=0,
        stdout=sys.stderr,
    )
    worker.spinner = None  # log lines show the progress of the start
    calm_collector()
    editions.start()
    try:
        worker.execute_from_commandline()
    except SystemExit:
        for component in components:
            if component.failure is not None:
                raise component.failure from None
        raise
    finally:
        editions.close()
        tracing.close()
        alerts.close()
        slot.close()


def calm_collector() -> None:
    """Look for cyclic garbage less often, and never among objects that exist already.

    A batch allocates many short-lived tuples and no cycles. By default each 700 allocations start a search, which
    costs a tenth of the throughput. Objects in cycles (exceptions, tasks) are still found, some seconds later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _config(
    settings: Settings, topology: Topology, name: str, found: dict[str, topics.Topic], slot: Slot
) -> ComponentConfig:
    edition, names = settings.edition, settings.names
    written = [names.topic(edition, name, kind) for kind in topology.component(name).topics if kind != "dead-letters"]
    stored = [names.topic(edition, name, kind) for kind in topology.component(name).restored]
    return ComponentConfig(
        topology=topology,
        name=name,
        settings=settings,
        folder=slot.folder / f"{settings.prefix}{name}",
        instance=slot.instance,
        editions=[edition],
        partitions=found[topology.inputs(name, names, edition)[0]].partitions,
        reply_partitions=found[names.replies].partitions,
        counts={topic.name: topic.partitions for topic in found.values()},
        tombstones_kept=min(int(found[topic].config["delete.retention.ms"]) for topic in stored) / 1000,
        max_bytes=min(int(found[topic].config["max.message.bytes"]) for topic in (*written, names.replies)),
    )


def _await_topics(settings: Settings, topology: Topology, names: Sequence[str] | None) -> dict[str, topics.Topic]:
    attempt = 0
    while True:
        try:
            return topics.fit(settings, topology, names)
        except KafkaException as error:
            if attempt % 6 == 0:
                log.warning("waiting for the brokers", bootstrap=settings.bootstrap, error=str(error))
            time.sleep(backoff(attempt))
            attempt += 1
