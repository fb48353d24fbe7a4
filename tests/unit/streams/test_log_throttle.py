"""librdkafka's troubles are logged once in a while, and everything else always."""

import logging

import pytest

from headrace.streams.observability import log_throttle


def line(text: str) -> logging.LogRecord:
    """As confluent-kafka makes one."""
    return logging.LogRecord("headrace.librdkafka", logging.ERROR, __file__, 1, "%s [%s] %s", (*text.split("|"),), None)


def refused(client: int, broker: str = "127.0.0.1:9092", ms: int = 0) -> logging.LogRecord:
    """A connection is refused."""
    return line(f"FAIL|h#consumer-{client}|[thrd:{broker}]: {broker}: refused (after {ms}ms in state CONNECT)")


def test_the_same_trouble_is_said_once_in_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever client met it, however long that took."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    let_through = log_throttle.LogThrottle().filter
    assert let_through(refused(1))
    assert not let_through(refused(1, ms=3))
    assert not let_through(refused(2))
    now = 29.9
    assert not let_through(refused(1))
    now = 30.0
    assert let_through(refused(3))


def test_other_troubles_are_said() -> None:
    """Those of another broker, and whatever is no failed connection, however often."""
    let_through = log_throttle.LogThrottle().filter
    assert let_through(refused(1))
    assert let_through(refused(1, "127.0.0.1:9093"))
    for _ in range(2):
        assert let_through(line("GETPID|h#producer-1|[thrd:main]: Failed to acquire transactional PID"))


def test_what_was_said_is_forgotten_in_time() -> None:
    """Brokers' names may be many, and memory is not for them."""
    rule = log_throttle.LogThrottle()
    for number in range(3 * log_throttle._MAX_KEPT):
        assert rule.filter(refused(1, f"broker-{number}:9092"))
    assert len(rule._logged) <= log_throttle._MAX_KEPT


def test_the_logger_of_all_clients_has_it() -> None:
    """Else it would be of no use."""
    assert any(isinstance(one, log_throttle.LogThrottle) for one in log_throttle.librdkafka.filters)
