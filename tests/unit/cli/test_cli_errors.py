"""What goes wrong becomes a text, an exit code, and with --json an object; secrets stay out of all of them."""

import errno
import json

import pytest
import typer
from confluent_kafka import KafkaError, KafkaException

from headrace.cli.errors import Failure, reported
from headrace.embedded import JavaMissing
from headrace.streams.admin.topics import TopicsUnfit
from headrace.streams.client import OutcomeUnknown, SendFailed
from headrace.streams.settings import MissingBootstrap
from headrace.topology.topology import TopologyError


def kafka(code: int, text: str = "why") -> KafkaException:
    return KafkaException(KafkaError(code, text))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Failure(1, "no"), 1, "no"),
        (TopologyError(["this", "that"]), 2, "  - this\n  - that"),
        (Failure(2, "a.phhs, hand 3: odd"), 2, "a.phhs, hand 3: odd"),
        (LookupError("unknown domain"), 2, "unknown domain"),
        (MissingBootstrap("no brokers"), 3, "no brokers"),
        (TopicsUnfit(["main.x.events is missing"]), 3, "headrace topics create"),
        (JavaMissing("no Java"), 3, "no Java"),
        (kafka(KafkaError._TRANSPORT), 3, "no answer from Kafka at there:1 (why); is it running"),
        (kafka(KafkaError._TIMED_OUT), 3, "no answer from Kafka"),
        (kafka(KafkaError._INVALID_ARG), 3, "a setting of the Kafka client is wrong: why"),
        (kafka(KafkaError.TOPIC_AUTHORIZATION_FAILED), 3, "refuses this client: why"),
        (kafka(KafkaError.POLICY_VIOLATION), 3, "Kafka at there:1: why (POLICY_VIOLATION)"),
        (OutcomeUnknown("id-1", "anna", 5), 4, "send it again with the same"),
        (SendFailed("2 commands"), 4, "2 commands"),
        (TimeoutError("nothing more came"), 4, "nothing more came"),
    ],
)
def test_exit_codes(error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, reported(True, lambda: "there:1"):
        raise error
    assert caught.value.exit_code == code
    out, err = capsys.readouterr()
    assert said in err
    assert err.startswith("headrace: ")
    assert json.loads(out)["exit_code"] == code


@pytest.mark.parametrize("error", [KeyError("internal"), ZeroDivisionError("oops")])
def test_a_bug_shows_its_traceback_and_is_no_answer(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, reported(False):
        raise error
    assert caught.value.exit_code == 70
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "please report it" in err


def test_secrets_are_taken_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), reported(True, str, lambda text: text.replace("hunter2", "***")):
        raise RuntimeError("password hunter2 is wrong")
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert "***" in err


def test_a_reader_that_goes_away_is_left_to_the_command_line() -> None:
    with pytest.raises(BrokenPipeError), reported(False):
        raise BrokenPipeError(errno.EPIPE, "gone")
    with pytest.raises(typer.Exit) as caught, reported(False):
        raise typer.Exit(1)
    assert caught.value.exit_code == 1
