"""Events as the store keeps them, and their fold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.codecs import encode
from headrace.schemas.stored_event import to_event, to_events, unpack
from headrace.streams.steps.handlers import States
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import BANK

fold = States(BANK).fold


def stored(event: pb.Deposited | pb.Stranger, content_type: str = "") -> bytes:
    name = event.DESCRIPTOR.full_name
    data = encode(event, content_type or "application/protobuf")
    return b"\0".join((name.encode(), b"7", b"time", b"cause", b"trail", b"fact", content_type.encode(), data))


@given(st.binary())
def test_the_events_bytes_come_back_whatever_they_are(data: bytes) -> None:
    """Invariant 5: NULs in the payload do not end it."""
    value = b"\0".join((b"a.B", b"7", b"t", b"c", b"r", b"", b"", data))
    assert unpack(value).data == data
    assert to_event(value, 3).data == data


def test_an_event_as_replies_carry_it() -> None:
    event = to_event(stored(pb.Deposited(amount=1), "application/json"), 7)
    assert (event.type, event.sequence, event.content_type) == ("bank.v1.Deposited", 7, "application/json")
    assert (event.time, event.causation_id, event.correlation_id, event.fact_id) == ("time", "cause", "trail", "fact")
    assert [e.sequence for e in to_events([stored(pb.Deposited())] * 3, 4)] == [4, 5, 6]


def test_fold_applies_in_order_and_counts() -> None:
    state = pb.Account()
    assert fold(state, [stored(pb.Deposited(balance=n)) for n in (3, 1, 2)]) == 3
    assert state == pb.Account(balance=2, count=3)
    assert fold(state, []) == 0


@pytest.mark.parametrize("content_type", ["application/protobuf", "application/json", "application/avro"])
def test_fold_reads_each_content_type(content_type: str) -> None:
    state = pb.Account()
    fold(state, [stored(pb.Deposited(balance=5), content_type)])
    assert state.balance == 5


def test_fold_names_an_event_that_nobody_applies() -> None:
    with pytest.raises(LookupError, match=r"no @applies method for bank\.v1\.Stranger, which the log holds"):
        fold(pb.Account(), [stored(pb.Stranger())])
