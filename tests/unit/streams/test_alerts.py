"""Posts to a webhook: none is lost without a line, and none holds up the end of a worker."""

import socket
import threading
from collections.abc import Iterator

import pytest
import structlog
from pydantic import ValidationError

from headrace.streams.observability.alerts import Alerts
from headrace.streams.settings import Settings
from tests.support import deadlines

ESCALATION = {"root": "r", "reason": "x"}


@pytest.fixture
def silent_server() -> Iterator[tuple[str, threading.Event]]:
    """A server that takes a request and does not answer; its address, and the event that one came."""
    listening = socket.create_server(("127.0.0.1", 0))
    came = threading.Event()
    held: list[socket.socket] = []

    def serve() -> None:
        connection, _ = listening.accept()
        held.append(connection)
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 2")  # and no more
        came.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/", came
    for connection in held:
        connection.close()
    listening.close()


def test_a_server_that_does_not_answer_does_not_hold_up_the_end(silent_server: tuple[str, threading.Event]) -> None:
    address, came = silent_server
    alerts = Alerts(address)
    alerts(ESCALATION)
    assert came.wait(deadlines.seconds(10))
    closing = threading.Thread(target=alerts.close)
    closing.start()
    closing.join(deadlines.seconds(8))  # the post itself would wait for ten seconds
    assert not closing.is_alive()


def test_a_post_that_cannot_be_made_is_logged() -> None:
    with structlog.testing.capture_logs() as lines:
        alerts = Alerts("nowhere")
        alerts(ESCALATION)
        alerts.close()
    assert {line["event"] for line in lines} == {"escalation", "webhook not reached"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("webhook", "alerts.example.com/x", "must begin with http"),
        ("bootstrap", "me:secret@kafka:9092", "must be host:port"),
        ("web_token", "   ", "nothing but spaces"),
    ],
)
def test_settings_that_would_fail_later_or_show_a_secret(name: str, value: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as wrong:
        Settings(**{name: value})  # type: ignore[arg-type]
    assert "secret" not in str([error["msg"] for error in wrong.value.errors()])
