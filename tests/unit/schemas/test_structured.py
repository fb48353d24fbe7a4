"""CloudEvents in Kafka's structured mode are read like those in binary mode, and bad ones harm only themselves."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as TheirEvent
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Topology
from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import REPLAY_OF
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.schemas.record import Record, RecordError
from headrace.schemas.structured import understood
from headrace.testing import TopologyDriver
from headrace.testing.request import request
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Accounts, Purse

BANK = Topology(Accounts)
COMMANDS, FACTS = "main.account.commands", "main.purse.facts"
STRUCTURED = {"content-type": b"application/cloudevents+json; charset=utf-8"}
ENVELOPE = {"specversion": "1.0", "id": "c-1", "source": "/shop", "type": "bank.v1.Deposit"}

FIELDS = st.dictionaries(
    st.sampled_from([*ENVELOPE, "data", "data_base64", "time", "x"]),
    st.none() | st.text() | st.integers() | st.lists(st.none()),
)


def structured(data: Any = None, **attributes: Any) -> bytes:
    """An event as JSON; an attribute of None is left out."""
    found = {**ENVELOPE, "replyto": "headrace.replies/0", **attributes, "data": data}
    return json.dumps({name: value for name, value in found.items() if value is not None}).encode()


def record(value: bytes | None, headers: dict[str, bytes] | None = None) -> Record:
    return Record(COMMANDS, 0, 0, 5, b"a", value, STRUCTURED if headers is None else headers)


def reply(driver: TopologyDriver) -> Reply:
    return Reply.FromString(driver.records("headrace.replies")[-1].value or b"")


def send(driver: TopologyDriver, value: bytes, topic: str = COMMANDS) -> Reply:
    driver.produce(topic, b"a", value, STRUCTURED.items())
    return reply(driver)


def test_a_command_in_structured_mode_is_decided_like_any_other() -> None:
    driver = TopologyDriver(BANK)
    assert send(driver, structured({"amount": 5}, correlationid="trip")).status == Reply.ACCEPTED
    (event,) = driver.records("main.account.events")
    assert event.headers["ce_correlationid"] == b"trip"
    assert event.headers["ce_causationid"] == b"c-1"
    assert driver.state("a").balance == 5
    again = send(driver, structured({"amount": 5}, correlationid="trip"))
    assert again.already_processed
    assert len(driver.records("main.account.events")) == 1


@pytest.mark.parametrize("whole", [True, False])
def test_protobuf_in_base64(whole: bool) -> None:
    driver = TopologyDriver(BANK)
    data = pb.Deposit(amount=7).SerializeToString() if whole else b"\xff\xff"
    their = TheirEvent({**ENVELOPE, "datacontenttype": PROTOBUF, "replyto": "headrace.replies/0"}, data)
    found = send(driver, to_structured(their, JSONFormat()).value)
    assert found.status == (Reply.ACCEPTED if whole else Reply.FAILED)


def test_a_fact_in_structured_mode() -> None:
    driver = TopologyDriver(Topology(Purse))
    value = structured({"pocket": "x", "amount": 1}, type="bank.v1.Stash", factid="cash/1")
    first, second = send(driver, value, FACTS), send(driver, value, FACTS)
    assert first.status == Reply.ACCEPTED
    assert second.already_processed


def test_a_dead_letter_of_a_structured_command_is_kept_whole_and_replayed() -> None:
    driver = TopologyDriver(BANK)
    value = structured({"amount": 5}, type="bank.v1.Unheard")
    assert send(driver, value).status == Reply.FAILED
    (dead,) = driver.dead_letters("account")
    assert dead.value == value
    assert {header.key: header.value for header in dead.headers} == STRUCTURED
    driver.replay("account")
    assert len(driver.dead_letters("account")) == 2
    assert "handles no bank.v1.Unheard" in driver.dead_letters("account")[1].error


def test_engine_headers_are_refused_there_too() -> None:
    driver = TopologyDriver(BANK)
    found = send(driver, structured({"amount": 5}, rejectto="account:a"))
    assert found.status == Reply.FAILED
    assert "header ce_rejectto counts in main.account.inbox only" in found.reason


@settings(max_examples=100, deadline=None)
@given(
    st.text(min_size=1, max_size=9),
    st.dictionaries(st.from_regex(r"x[a-z0-9]{1,5}", fullmatch=True), st.text() | st.booleans() | st.integers()),
    st.integers(-(2**40), 2**40),
)
def test_what_their_library_writes_is_read_as_it_was(identity: str, extensions: dict[str, Any], amount: int) -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    message = pb.Deposit(amount=amount)
    attributes = {**ENVELOPE, "id": identity, "time": time, "subject": "a", **extensions}
    written = to_structured(TheirEvent(attributes, json_format.MessageToDict(message)), JSONFormat())
    found = understood(record(written.value, {"content-type": b"application/cloudevents+json"}))
    assert found.headers["ce_id"].decode() == identity
    assert found.headers["ce_time"] == b"2026-01-02T03:04:05Z"
    assert json_format.Parse(found.value or b"", pb.Deposit()) == message
    for name, value in extensions.items():
        text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
        assert found.headers[f"ce_{name}"].decode() == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "the value is no CloudEvent as JSON"),
        (b"\xff", "the value is no CloudEvent as JSON"),
        (b"[" * 100_000, "the value is no CloudEvent as JSON"),
        (b"[1]", "the value is no CloudEvent as JSON"),
        (b'"text"', "the value is no CloudEvent as JSON"),
        (structured(id=""), "'id' must not be None or empty"),
        (structured(id=None), "'id' must not be None or empty"),
        (structured(id=7), "id"),
        (structured(type=None), "'type' must not be None or empty"),
        (structured(source=None), "'source' must not be None or empty"),
        (structured(specversion=None), "'specversion' must be '1.0'"),
        (structured(specversion="0.3"), "'specversion' must be '1.0'"),
        (structured(time="yesterday"), "the value is no CloudEvent as JSON"),
        (structured(CAPITAL="x"), "lowercase letters and numbers"),
        (structured(nested={"a": 1}), "attribute nested is {'a': 1}; an attribute is text, a whole number or a bool"),
        (structured(half=0.5), "attribute half is 0.5"),
        (b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"%%%"}', "data_base64 is no base64"),
        (b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":NaN}', "Out of range float"),
    ],
)
def test_what_is_no_event_is_a_record_error(value: bytes | None, reason: str) -> None:
    with pytest.raises(ValueError) as error:
        understood(record(value))
    assert reason in str(error.value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | FIELDS.map(lambda found: json.dumps(found).encode()))
def test_nothing_but_a_value_error_comes_of_any_bytes(value: bytes) -> None:
    try:
        found = understood(record(value))
    except ValueError:
        return
    assert found.headers["ce_id"]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"CE_SPECVERSION": b"1.0"}, "There is 'CE_SPECVERSION': Kafka's names are in lower case, with an underscore"),
        ({"ce-specversion": b"1.0"}, "There is 'ce-specversion': Kafka's names are in lower case, with an underscore"),
        (
            {"content-type": b"application/cloudevents+avro"},
            "of structured modes, application/cloudevents+json",
        ),
        ({"content-type": b"application/cloudevents-batch+json"}, "of structured modes, application/cloudevents+json"),
        ({}, "header ce_specversion is missing; a record needs ce_specversion, ce_id, ce_source, ce_type"),
    ],
)
def test_hints(headers: dict[str, bytes], reason: str) -> None:
    with pytest.raises(RecordError) as error:
        understood(record(b"", headers))
    assert reason in str(error.value)


def test_a_content_type_may_have_the_name_of_its_attribute() -> None:
    sent = request(COMMANDS, pb.Deposit(amount=5), "a", time=5, command_id="c-1")
    headers = {name: value for name, value in sent.headers.items() if name != "content-type"}
    found = understood(sent._replace(headers={**headers, "ce_datacontenttype": b"application/json"}))
    assert found.headers["content-type"] == b"application/json"
    assert understood(sent) is sent
    bare = sent._replace(headers=headers)
    assert understood(bare) is bare


def test_headers_of_a_replay_stay() -> None:
    found = understood(record(structured({"amount": 1}), {**STRUCTURED, REPLAY_OF: b"t/0/1", "ce_id": b"other"}))
    assert found.headers[REPLAY_OF] == b"t/0/1"
    assert found.headers["ce_id"] == b"c-1"
