"""Our records and those of the CloudEvents project's own library for Python, each read by the other."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as TheirEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.schemas import record
from headrace.schemas.codecs import content_types, decode, encode
from headrace.schemas.record import CloudEvent
from tests.support import shapes_pb2 as pb

text = st.text(min_size=1, max_size=20)
extensions = {
    "sequence": "7",
    "correlationid": "c-1",
    "causationid": "c-2",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "factid": "cash-desk/17",
    "expectedsequence": "6",
    "syncmode": "decision",
    "replyto": "headrace.replies/3",
}
events = st.builds(
    CloudEvent,
    id=text,
    source=text,
    type=text,
    data=st.binary(min_size=1, max_size=20),
    subject=text,
    time=st.integers(0, 4_000_000_000_000).map(record.rfc3339),
    content_type=st.just("application/protobuf"),
    extensions=st.dictionaries(st.sampled_from(sorted(extensions)), text),
)


def as_kafka_carries(event: CloudEvent, key: str | None = None) -> KafkaMessage:
    headers = {name: value.encode() for name, value in event.headers() if isinstance(value, str)}
    return KafkaMessage(headers=headers, key=key, value=event.data)


def their_data(event: Any) -> bytes:
    """Their reader turns a payload that happens to be UTF-8 into a str; their writer turns it back."""
    return JSONFormat().write_data(event.get_data(), event.get_datacontenttype())


@settings(max_examples=60, deadline=None)
@given(event=events)
def test_they_read_ours(event: CloudEvent) -> None:
    theirs = from_binary(as_kafka_carries(event, key="root"), JSONFormat())
    time = theirs.get_time()
    assert time is not None
    assert theirs.get_attributes() == {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": datetime.fromisoformat(event.time),
        "datacontenttype": event.content_type,
        "partitionkey": "root",  # their name for the record's key
        **event.extensions,
    }
    assert record.milliseconds(event.time) == round(time.timestamp() * 1000)
    assert their_data(theirs) == event.data


@settings(max_examples=60, deadline=None)
@given(event=events)
def test_we_read_theirs(event: CloudEvent) -> None:
    attributes: dict[str, Any] = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": datetime.fromisoformat(event.time),
        "datacontenttype": event.content_type,
        **event.extensions,
    }
    message = to_binary(TheirEvent(attributes, event.data), JSONFormat(), lambda _: "root")
    ours = record.read(message.value, message.headers)
    assert record.milliseconds(ours.time) == record.milliseconds(event.time)  # they write as many decimals as needed
    assert ours == CloudEvent(
        id=event.id,
        source=event.source,
        type=event.type,
        data=event.data,
        subject=event.subject,
        time=ours.time,
        content_type=event.content_type,
        extensions=event.extensions,
    )


@pytest.mark.parametrize("content_type", content_types())
def test_payloads_of_every_content_type_pass_through(content_type: str) -> None:
    leaf = pb.Leaf(name="mike", rank=3)
    time = datetime(2024, 5, 1, 12, tzinfo=UTC)
    attributes = {"type": "tests.Leaf", "source": "/till", "datacontenttype": content_type, "time": time, **extensions}
    message = to_binary(TheirEvent(attributes, encode(leaf, content_type)), JSONFormat())
    ours = record.read(message.value, message.headers)
    assert decode(ours.data, pb.Leaf, ours.content_type) == leaf
    assert ours.time == "2024-05-01T12:00:00Z"
    assert ours.extensions == extensions


def test_only_what_a_cloudevent_must_have() -> None:
    event = CloudEvent(id="1", source="/till", type="tests.Leaf")
    theirs = from_binary(as_kafka_carries(event), JSONFormat())
    assert (theirs.get_id(), theirs.get_subject(), theirs.get_data()) == ("1", None, None)
    assert record.read(None, as_kafka_carries(event).headers) == event
