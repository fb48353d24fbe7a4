"""`headrace bench`: measure the engine on this machine."""

from enum import StrEnum
from typing import Annotated

import typer

from headrace.cli.deployment import Json
from headrace.cli.errors import reported


class Name(StrEnum):
    """What can be measured."""

    COMMANDS = "commands"
    LATENCY = "latency"
    RESTORE = "restore"
    REHYDRATE = "rehydrate"
    WORKFLOW = "workflow"
    PROJECTIONS = "projections"
    READ_YOUR_WRITES = "read-your-writes"
    UPCASTING = "upcasting"
    WHAT_IF = "what-if"
    EDITIONS = "editions"
    SINKS = "sinks"
    PEERS = "peers"
    ALL = "all"


def bench(
    name: Annotated[Name, typer.Argument(help="What to measure.")],
    as_json: Json = False,
) -> None:
    """Measure the engine on this machine.

    Uses a Kafka of its own, unless HEADRACE_BOOTSTRAP names brokers.
    """
    with reported(as_json):
        from headrace.bench.main import run

        run(name.value, as_json)
