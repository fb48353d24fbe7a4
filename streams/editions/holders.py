"""Which editions each worker holds, as a topic of the deployment says: topics of these cannot be deleted yet."""

from collections.abc import Iterable

from confluent_kafka import KafkaException, Producer
from google.protobuf.message import DecodeError

from headrace.schemas.headrace_v1_pb2 import WorkerRecord
from headrace.streams.clock import now_ms
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import read

REFRESH = 10.0
"""Seconds after which a worker that holds any edition says so again."""
_GONE = 4 * REFRESH
"""Seconds after which a worker that says nothing more is dead."""


class Holder:
    """Says what one worker holds.

    So that no topic is used, or made, after its edition was deleted, a worker says that it holds an edition *before* it
    uses it, and then looks whether the registry still has it. It says that it no longer does once it has stopped.
    """

    def __init__(self, settings: Settings, worker: str) -> None:
        self._topic, self._worker = settings.names.workers, worker
        self._producer = Producer(settings.producer(linger_ms=0))
        self._error: KafkaException | None = None
        self._holds = False
        """Whether the topic may have a record of this worker's."""

    def write(self, editions: Iterable[str], timeout: float = 30.0) -> None:
        """Say that it holds the editions with these ids, and no others; returns once the brokers have it.

        Call it again after REFRESH seconds. Raises KafkaException, or TimeoutError.
        """
        record = WorkerRecord(editions=sorted(editions))
        self._holds = True
        self._send(record.SerializeToString() if record.editions else None, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Say that it holds nothing more, if it ever said anything: there may be no editions, nor their topic."""
        if self._holds:
            self._send(None, timeout)

    def _send(self, value: bytes | None, timeout: float) -> None:
        self._error = None
        self._producer.produce(self._topic, value, self._worker, 0, self._delivered)
        if self._producer.flush(timeout):
            self._producer.purge()
            raise TimeoutError(f"{self._topic}: what this worker holds was not written within {timeout:g} s")
        if self._error is not None:
            raise self._error

    def _delivered(self, error: object, _: object) -> None:
        if error is not None:
            self._error = KafkaException(error)


def holders(settings: Settings) -> dict[str, frozenset[str]]:
    """Ids of the editions that each worker holds, by worker. Raises KafkaException, TimeoutError."""
    found: dict[str, frozenset[str]] = {}
    for message in read(settings, settings.names.workers):
        worker = (message.key() or b"").decode(errors="replace")
        found.pop(worker, None)
        value = message.value()
        if value is not None and now_ms() - message.timestamp()[1] < _GONE * 1000:
            try:
                found[worker] = frozenset(WorkerRecord.FromString(value).editions)
            except DecodeError:
                continue
    return found
