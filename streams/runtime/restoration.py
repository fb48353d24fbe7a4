"""The threads that restore partitions: first the changelog and the positions, then the history."""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaException

from headrace.schemas.changelog import POSITIONS
from headrace.schemas.documents import DOCUMENTS
from headrace.schemas.headrace_v1_pb2 import Positions
from headrace.streams.admin.identity import Identity, identify
from headrace.streams.clock import backoff
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import RestoreJob, rebuild
from headrace.streams.runtime.positions import PositionFinder, PositionsUnfit, missing_snapshots, other_documents
from headrace.streams.state.restore import Restorer, StaleRestore, take_changelog, take_documents, take_history
from headrace.streams.state.topic_reader import Ends
from headrace.streams.steps.store import StoreFailed

log = structlog.get_logger()


class Restored(NamedTuple):
    """A partition whose changelog is in its store, and where its input begins."""

    job: RestoreJob
    offsets: dict[str, int]
    identity: Identity
    """Ids of the topics to which the offsets belong."""


class Restoration:
    """Restores partitions of one component: one thread reads changelogs, another one history, which takes longer."""

    def __init__(self, config: ComponentConfig, metrics: Metrics, stop: threading.Event) -> None:
        self.changelogs = Restorer(config.settings, stop)
        self._histories = Restorer(config.settings, stop)
        self._config, self._stop = config, stop
        self._metrics, self._positions = metrics, PositionFinder(config, metrics)
        self.failure: PositionsUnfit | StoreFailed | None = None
        """Why nothing can be restored until a person has acted."""
        self.broken: StoreFailed | None = None
        """What ended the restore of a history; the partition may be READY already."""
        self._restored: queue.SimpleQueue[Restored] = queue.SimpleQueue()
        self._changelog_thread = ThreadPoolExecutor(1, f"restore-{config.name}")
        self._history_thread = ThreadPoolExecutor(1, f"history-{config.name}")

    def begin(self, jobs: Sequence[RestoreJob]) -> None:
        """Restore these partitions, after those of earlier calls."""
        self._changelog_thread.submit(self._restore, jobs)

    def restored(self) -> Iterator[Restored]:
        """Partitions whose changelog was restored since the last call."""
        while not self._restored.empty():
            yield self._restored.get()

    def close(self) -> None:
        """Wait for both threads to end, which they do once `stop` is set."""
        self._changelog_thread.shutdown(cancel_futures=True)
        self._history_thread.shutdown(cancel_futures=True)

    # ---- in the thread for changelogs

    def _restore(self, jobs: Sequence[RestoreJob]) -> None:
        attempt = 0
        while (current := [job for job in jobs if job.current]) and not self._stop.is_set():
            try:
                self._restore_once(current)
                return
            except StaleRestore:
                continue
            except StoreFailed as error:
                if not self._rebuilt(error, current):
                    return
                continue
            except PositionsUnfit as error:
                self.failure = error
                return
            except KafkaException as error:
                log.warning("restore waits for the brokers", domain=self._config.name, error=str(error))
            except Exception:
                log.exception("restore failed; tried again", domain=self._config.name)
            self._stop.wait(backoff(attempt))
            attempt += 1

    def _rebuilt(self, error: StoreFailed, jobs: Sequence[RestoreJob]) -> bool:
        """Whether a store that failed could be rebuilt; if not, a person has to act."""
        try:
            rebuild(error, [job.partition for job in jobs], self._metrics)
        except StoreFailed as hopeless:
            self.failure = hopeless
            return False
        return True

    def _restore_once(self, jobs: Sequence[RestoreJob]) -> None:
        identity = identify(self._config.settings, self._config.identified)
        tasks = {kind: [task for job in jobs for task in job.tasks(kind)] for kind in self._config.restored_kinds}
        ends = self.changelogs.end_offsets([task for of_kind in tasks.values() for task in of_kind])
        for job in jobs:
            if job.discard_foreign(ends, identity):
                self._metrics.remade.labels(self._config.name).inc()
        count = self.changelogs.restore(tasks["snapshots"], ends, take_changelog)
        if documents := tasks.get("documents"):
            count += self.changelogs.restore(documents, ends, take_documents)
        log.info("changelog restored", domain=self._config.name, partitions=len(jobs), records=count)
        if self._stop.is_set():
            return
        stored = {job.partition.number: _entry(job, POSITIONS) for job in jobs}
        offsets = self._positions.find(stored, identity)
        self._check_snapshots(jobs, ends)
        self._check_documents(jobs)
        self._learn_recorded_times(jobs, ends)
        if histories := tasks.get("events"):
            # events that are written from now on are put into the store by the processor
            self._history_thread.submit(self._restore_history, jobs, self.changelogs.end_offsets(histories))
        for job in jobs:
            if not histories:
                job.complete_history()
            number = job.partition.number
            self._restored.put(Restored(job, offsets[number], identity))

    def _check_snapshots(self, jobs: Sequence[RestoreJob], ends: Ends) -> None:
        """Raise PositionsUnfit where there are events and no state of any root."""
        lost = []
        for job in jobs:
            for task in job.tasks("events") if "events" in self._config.restored_kinds else ():
                with job.store() as store:
                    edition = store.edition(task.edition)
                    if next(iter(edition.snapshots()), None) is not None or ends[task.id][0] >= ends[task.id][1]:
                        continue
                self._histories.restore([task], ends, take_history)  # its records may not be committed
                with job.store() as store:
                    if store.edition(task.edition).has_history:
                        lost.append(job.partition.number)
        if lost:
            raise missing_snapshots(self._config, lost)

    def _check_documents(self, jobs: Sequence[RestoreJob]) -> None:
        """Raise PositionsUnfit where a projector's documents are of another type than its class now says."""
        spec = self._config.topology.component(self._config.name)
        stored = {_entry(job, DOCUMENTS) for job in jobs} if spec.fingerprint else set()
        if other := stored - {None, spec.fingerprint.encode()}:
            raise other_documents(self._config.name, (other.pop() or b"").decode(), spec.fingerprint)

    def _learn_recorded_times(self, jobs: Sequence[RestoreJob], ends: Ends) -> None:
        """Restore histories before the changelog counts as restored where it is of a release without recorded times.

        Else new events could be recorded before old ones.
        """
        kinds = self._config.restored_kinds
        old = [
            task
            for job in jobs
            for task in (job.tasks("events") if "events" in kinds else ())
            if ends[task.id][0] < ends[task.id][1] and not Positions.FromString(_entry(job, POSITIONS) or b"").recorded
        ]
        if old:
            self.changelogs.restore(old, ends, take_history)

    # ---- in the thread for history

    def _restore_history(self, jobs: Sequence[RestoreJob], ends: Ends) -> None:
        for job in jobs:
            attempt = 0
            while job.current and not job.partition.history.is_set() and not self._stop.is_set():
                try:
                    self._histories.restore(job.tasks("events"), ends, take_history)
                    if not self._stop.is_set():
                        job.complete_history()
                except StaleRestore:
                    break
                except StoreFailed as error:
                    self.broken = error
                    break
                except Exception as error:
                    log.warning("history waits", domain=self._config.name, error=str(error))
                    self._stop.wait(backoff(attempt))
                    attempt += 1


def _entry(job: RestoreJob, key: bytes) -> bytes | None:
    """An entry of the partition's changelog, such as its positions."""
    config = job.partition.config
    with job.store() as store:
        return store.edition(config.settings.edition).entry(key)
