"""Dead letters of sinks: documents that Kafka Connect has set aside, with the reason in the record's headers.

No engine reads their topics. Whoever settles one writes that there; a record with Connect's headers is a dead letter
whatever else it says, so that no document can settle another one.
"""

from confluent_kafka.admin import AdminClient

from headrace.schemas.headers import TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Settled
from headrace.schemas.ids import natural_number
from headrace.schemas.record import Record
from headrace.streams.settings import Settings
from headrace.topology.names import SinkName
from headrace.topology.topology import Topology

_CONTEXT = "__connect.errors."


def sinks(settings: Settings, topology: Topology) -> list[str]:
    """Names of the sinks of a topology's projectors that have a topic for dead letters. Raises KafkaException."""
    if not topology.projectors:
        return []
    there = AdminClient(settings.client()).list_topics(timeout=10).topics
    found = [SinkName.of_topic(settings.names, settings.edition, topic) for topic in sorted(there)]
    return [str(one) for one in found if one is not None and one.component in topology.components]


def dead_letter(sink: str, record: Record) -> DeadLetter | None:
    """A record of Connect's as a dead letter of the document that it holds; None if Connect has not written it."""
    about = {name.removeprefix(_CONTEXT): value for name, value in record.headers.items() if name.startswith(_CONTEXT)}
    if not about:
        return None
    text = {name: value.decode(errors="replace") for name, value in about.items()}
    topic = text.get("topic", "")
    partition, offset = (natural_number(text.get(name, "")) for name in ("partition", "offset"))
    if not topic or partition is None or offset is None:
        topic, partition, offset = record.topic, record.partition, record.offset
    found = DeadLetter(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=record.timestamp,
        key=record.key or b"",
        key_missing=record.key is None,
        value=record.value or b"",
        value_missing=record.value is None,
        component=f"sink:{sink}",
        error_class=text.get("exception.class.name", "").rpartition(".")[2],
        error=text.get("exception.message", ""),
        detail=text.get("exception.stacktrace", ""),
        attempts=1,
        first_failed=record.timestamp,
        last_failed=record.timestamp,
    )
    for name, value in record.all_headers:
        if not name.startswith(_CONTEXT):
            found.headers.add(key=name, value=value or b"", value_missing=value is None)
    return found


def settled(dead_letter_id: str, outcome: str) -> tuple[bytes, Headers]:
    """Value and headers of the record that says what has become of a dead letter."""
    value = Settled(dead_letter_id=dead_letter_id, outcome=outcome).SerializeToString()
    return value, [(TYPE, b"headrace.v1.Settled")]
