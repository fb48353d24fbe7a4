import pytest

from headrace.streams.observability import large_states
from headrace.streams.observability.large_states import LargeStates
from headrace.streams.observability.metrics import Metrics


def test_a_root_is_reported_once_and_again_when_its_state_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, int]] = []
    monkeypatch.setattr(large_states.log, "warning", lambda _, root, bytes, **more: lines.append((root, bytes)))
    metrics = Metrics()
    states = LargeStates("account", metrics)
    for root, size in ((b"r", 800), (b"r", 800), (b"r", 839), (b"s", 801), (b"r", 840), (b"r", 700), (b"r", 850)):
        states.report(root, size, 1000)
    assert lines == [("r", 800), ("s", 801), ("r", 840)]
    assert metrics.registry.get_sample_value("headrace_large_states_total", {"domain": "account"}) == 3
