"""Exit codes, and the texts that users get for errors."""

import errno
import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from headrace.cli.escape import printable
from headrace.extras import MissingExtra

OK = 0
"""Done; the answer is yes."""
NO = 1
"""The answer is no: a command was rejected or failed, there is nothing to show, topics differ, hands do not match."""
USAGE = 2
"""The command line, a file or a topology is wrong; trying again changes nothing."""
ENVIRONMENT = 3
"""Kafka, its topics or the settings cannot be used."""
UNKNOWN = 4
"""No answer in time: what was asked for may have happened, or may yet."""
BUG = 70
"""Headrace, or a module of yours, has a bug; a traceback says where."""


class Failure(Exception):
    """An error with a text for the user; `code` is the exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def reported(as_json: bool, bootstrap: Callable[[], str] = str, redact: Callable[[str], str] = str) -> Iterator[None]:
    """Turns errors of its block into a text on stderr, with --json also an object on stdout, and an exit code.

    `bootstrap` names the brokers, if it can; `redact` takes secrets out of texts that others wrote.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # whoever read the output has enough of it
        failure = error if isinstance(error, Failure) else _known(error, bootstrap)
        if failure is None:
            typer.echo(printable(redact(traceback.format_exc()), lines=True), err=True)
            failure = Failure(BUG, f"unexpected {type(error).__name__}: {error}; please report it with the lines above")
        message = redact(str(failure))
        if as_json:
            typer.echo(json.dumps({"error": message, "exit_code": failure.code}))
        typer.echo(f"headrace: {printable(message, lines=True)}", err=True)
        raise typer.Exit(failure.code) from None


def _known(error: Exception, bootstrap: Callable[[], str]) -> Failure | None:
    # imported here because they take time, which `headrace --help` must not
    from confluent_kafka import KafkaException
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from headrace.streams.admin.topics import TopicsUnfit
    from headrace.streams.client import SendFailed
    from headrace.streams.editions.registry import EditionUnknown
    from headrace.streams.observability.tracing import VariableUnfit
    from headrace.streams.runtime.positions import PositionsUnfit
    from headrace.streams.settings import MissingBootstrap
    from headrace.streams.steps.store import StoreFailed
    from headrace.topology.topology import TopologyError

    if isinstance(error, TopologyError) or type(error) in (LookupError, EditionUnknown):
        return Failure(USAGE, str(error))
    if isinstance(
        error, (MissingBootstrap, MissingExtra, TopicsUnfit, PositionsUnfit, StoreFailed, VariableUnfit)
    ) or _of_embedded_kafka(error):
        return Failure(ENVIRONMENT, str(error))
    if isinstance(error, (TimeoutError, SendFailed)):
        return Failure(UNKNOWN, str(error))
    if isinstance(error, ValidationError):
        return Failure(ENVIRONMENT, settings_text(error.errors(include_input=False, include_url=False)))
    if isinstance(error, SettingsError):  # its text does not show the value, which may be a secret
        return Failure(ENVIRONMENT, f"settings: {error}; see the variables HEADRACE_…")
    if isinstance(error, KafkaException):
        return Failure(ENVIRONMENT, kafka_text(error, bootstrap()))
    return None


def _of_embedded_kafka(error: Exception) -> bool:
    try:
        from headrace.embedded import EmbeddedKafkaError
    except MissingExtra:
        return False
    return isinstance(error, EmbeddedKafkaError)


def settings_text(errors: list[Any]) -> str:
    """What does not fit in the settings, by variable, without the values."""
    lines = []
    for error in errors:
        name = "__".join(map(str, error["loc"])).upper().removeprefix("HEADRACE_")  # an alias has the prefix already
        lines.append(f"HEADRACE_{name}: {plain(error['msg'])}")
    return "; ".join(lines)


def plain(message: str) -> str:
    """What a validator says, without the name of the exception it raised."""
    return message.removeprefix("Value error, ")


def kafka_text(error: Exception, bootstrap: str) -> str:
    """What an error of the client library means for the user."""
    from confluent_kafka import KafkaError

    kafka = error.args[0] if error.args else None
    if not isinstance(kafka, KafkaError):
        return f"Kafka at {bootstrap}: {error}"
    text = kafka.str()
    if kafka.code() in (
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError.REQUEST_TIMED_OUT,
    ):
        return (
            f"no answer from Kafka at {bootstrap} ({text}); is it running there, and do the security settings "
            "(HEADRACE_KAFKA__…) fit? `headrace kafka start` starts one on this machine"
        )
    if kafka.code() in (KafkaError._INVALID_ARG, KafkaError._CONFLICT):
        return f"a setting of the Kafka client is wrong: {text}; see the variables HEADRACE_KAFKA__…"
    if "AUTHORIZATION" in kafka.name() or kafka.code() == KafkaError._AUTHENTICATION:
        return f"Kafka at {bootstrap} refuses this client: {text}; see its ACLs and the variables HEADRACE_KAFKA__…"
    return f"Kafka at {bootstrap}: {text} ({kafka.name()})"
