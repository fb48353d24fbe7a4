"""A worker for the workflow domain, as a process of its own; set up by HEADRACE_… variables like any other.

It can be told to die on its way: a file named `fault` in its state folder holds points and a signal, `{point} …
{signal}`. Each point is crossed off when it is reached; at the last one the process sends itself the signal. Points:

    {component}>{kind}             a record for a topic of that kind is written
    {component}>{kind}:{type}      one of that type is
    {component}:flush              the batch is decided, its records may not be at the broker
    {component}:offsets            its records are at the broker, its input offsets are not
    {component}:commit             its offsets are too, the transaction is open
    {component}:store              the transaction is committed, the store does not have it

WORKFLOW_TOPOLOGY names the topology in `reactions`, WORKFLOW_COMPONENTS (with commas) what of it runs here, by
default all;
WORKFLOW_MENDED=1 mends the saga that fails at thirteen; WORKFLOW_BEGIN says where it begins, by default "oldest".
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import structlog
from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from headrace import Topology
from headrace.streams.runtime import transaction, worker
from headrace.streams.runtime.positions import PositionsUnfit
from headrace.streams.settings import Settings
from tests.support.bank import reactions

settings = Settings()
_FAULT = settings.state_dir / "fault"


def reach(point: str) -> None:
    """Cross the point off, if it is the next one of the fault file; die at the last."""
    try:
        first, *rest = _FAULT.read_text().split()
    except (FileNotFoundError, ValueError):
        return
    if first != point:
        return
    if len(rest) > 1:
        draft = _FAULT.with_name("fault.rest")
        draft.write_text(" ".join(rest))
        draft.rename(_FAULT)
        return
    _FAULT.unlink()
    os.kill(os.getpid(), signal.Signals[rest[0]])


class FaultyProducer(Producer):
    """The engine's producer, with the points at which a transaction can be hit."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._word = config["transactional.id"].partition("headrace.")[2].partition(".")[0]

    def produce(self, topic: str, *arguments: Any, **named: Any) -> None:
        point = f"{self._word}>{topic.rpartition('.')[2]}"
        reach(point)
        for name, value in (arguments[6] if len(arguments) > 6 else None) or ():
            if name == "ce_type":
                reach(f"{point}:{value}")
        super().produce(topic, *arguments, **named)

    def flush(self, *arguments: Any, **named: Any) -> int:
        reach(f"{self._word}:flush")
        return super().flush(*arguments, **named)

    def send_offsets_to_transaction(self, *arguments: Any, **named: Any) -> None:
        reach(f"{self._word}:offsets")
        super().send_offsets_to_transaction(*arguments, **named)

    def commit_transaction(self, *arguments: Any, **named: Any) -> None:
        reach(f"{self._word}:commit")
        super().commit_transaction(*arguments, **named)
        reach(f"{self._word}:store")


def main() -> int:
    """Run until told to stop; 3 when positions do not fit, as the command line does it."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    engine: Any = transaction
    assert engine.Producer is Producer, "the engine takes its producer from elsewhere now"
    engine.Producer = FaultyProducer
    reactions.Keeper.broken = os.environ.get("WORKFLOW_MENDED") != "1"
    components = [word for word in os.environ.get("WORKFLOW_COMPONENTS", "").split(",") if word]
    topology: Topology = getattr(reactions, os.environ.get("WORKFLOW_TOPOLOGY", "topology"))
    if keeper := topology.components.get("keeper"):
        keeper.begin = os.environ.get("WORKFLOW_BEGIN", "oldest")
    try:
        worker.run(settings, topology, components)
    except PositionsUnfit as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
