"""What is shown of events."""

import json

import pytest

from headrace.cli import show
from headrace.examples.poker import poker_pb2 as pb
from headrace.schemas.event_schema import EventSchema
from headrace.streams.client import Event


def event(fact_id: str) -> Event:
    data = pb.FundsDeposited(amount=5, new_balance=5)
    return Event(
        sequence=3,
        type="poker.v1.FundsDeposited",
        data=data,
        raw=data.SerializeToString(),
        time="2026-01-01T00:00:00Z",
        causation_id="c",
        correlation_id="d",
        fact_id=fact_id,
        stored=EventSchema("poker.v1.FundsDeposited"),
    )


@pytest.mark.parametrize(
    ("fact_id", "text", "data"),
    [
        ("", "(request)", {"origin": "request"}),
        ("payment-1", "(fact payment-1)", {"origin": "fact", "fact_id": "payment-1"}),
    ],
)
def test_each_event_says_whether_a_fact_or_a_request_led_to_it(
    fact_id: str, text: str, data: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    show.event(event(fact_id), False)
    assert capsys.readouterr().out.rstrip().endswith(text)
    show.event(event(fact_id), True)
    shown = json.loads(capsys.readouterr().out)
    assert {name: shown[name] for name in data} == data
    assert (shown["sequence"], shown["data"]) == (3, {"amount": "5", "newBalance": "5"})
