"""Quix Streams as a process of its own, in an environment of its own, which is made when it is not there yet."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.bench import environment
from headrace.bench.processes import program
from headrace.examples.poker import poker_pb2
from headrace.schemas import headrace_v1_pb2
from headrace.streams.settings import Settings

_PROGRAM = Path(__file__).with_name("quix_players.py")
_PINS = Path(__file__).with_name("quix.txt")


def interpreter() -> Path:
    """The Python of that environment."""
    return environment.interpreter("quix", _PINS, "Quix Streams")


@contextmanager
def players(settings: Settings) -> Iterator[int]:
    """The process id of a Quix Streams application, for the player component of a deployment."""
    messages = [str(poker_pb2.__file__), str(headrace_v1_pb2.__file__)]
    place = [settings.bootstrap, settings.prefix, str(settings.state_dir / "quix")]
    command = [str(interpreter()), str(_PROGRAM), *place, *messages]
    # nothing to wait for: it begins with the oldest command, whenever it is there
    with program(command, settings.state_dir / "quix.log", "Quix Streams", lambda: True) as pid:
        yield pid
