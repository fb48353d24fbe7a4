"""A worker for the bank, as a process of its own; set up by HEADRACE_… variables like any other.

It can be told to die, to freeze or to hang at a certain point of its work: a file named `fault` in its state folder
holds points and a signal, `{point} … {signal}`. Each point is crossed off when it is reached; at the last one the
process sends itself the signal; for `HANG`, which is none, the call never returns. Woken from SIGSTOP, it lets a second
pass, in which librdkafka's threads learn from the group what has become of this member. Points:

    account:handle                 a deposit to an account is being decided
    {component}>{kind}             a record for a topic of that kind is written
    {component}>{kind}:{type}      one of that type is
    {component}:flush              the batch is decided, its records may not be at the broker
    {component}:offsets            its records are at the broker, its input offsets are not
    {component}:commit             its offsets are too, the transaction is open
    {component}:store              the transaction is committed, the store does not have it

BANK_TOPOLOGY names a topology of `reactions`; without it, it is that of accounts. BANK_COMPONENTS (with commas) is what
of it runs here, by default all; BANK_MENDED=1 mends the saga that fails at thirteen; BANK_BEGIN says where it begins,
by default "oldest".

BANK_CALM=1 runs accounts that no burst can harm.

BANK_INPUTS=commands,… are the inputs of an aggregate of its release, where it does not know them all. BANK_VERSION=2
runs a later version of the accounts, whose state has one field more. With BANK_LOST_ANSWERS=0.1 a tenth of the answers
to commits are lost, so that the engine doubts them; histories are then restored slowly, to be overtaken.
"""

import faulthandler
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

if os.environ.get("BANK_VERSION") == "2":
    from tests.support import bank
    from tests.support.bank import schema_v2

    sys.modules["tests.support.bank.messages_pb2"] = bank.messages_pb2 = schema_v2.messages()

from headrace import Topology, applies, handles
from headrace.streams.admin import topics
from headrace.streams.runtime import restoration, transaction, worker
from headrace.streams.runtime.positions import PositionsUnfit
from headrace.streams.settings import Settings
from headrace.streams.state.restore import Restorer, Take, Task, take_history
from headrace.streams.state.topic_reader import Ends
from headrace.topology.inspection.aggregate import AggregateSpec
from tests.support.bank import accounts, reactions
from tests.support.bank.messages_pb2 import Account, Burst, Deposit, Deposited, Withdrawn

settings = Settings()
_FAULT = settings.state_dir / "fault"
_LOST = float(os.environ.get("BANK_LOST_ANSWERS", "0"))


def reach(point: str) -> None:
    """Cross the point off, if it is the next one of the fault file; die, freeze or hang at the last."""
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
    if rest[0] == "HANG":
        threading.Event().wait()
    os.kill(os.getpid(), signal.Signals[rest[0]])
    time.sleep(1)


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
        if random.random() < _LOST:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the answer is lost, as told"))


class SlowRestorer(Restorer):
    """The engine's, but that the history takes its time."""

    def restore(self, tasks: Sequence[Task], ends: Ends, take: Take) -> int:
        count = super().restore(tasks, ends, take)
        if take is take_history:
            time.sleep(0.7)
        return count


class Accounts(accounts.Accounts):
    """Accounts with a point in their busiest handler."""

    @handles
    def deposit(self, state: Account, command: Deposit) -> Deposited:
        reach("account:handle")
        return super().deposit(state, command)


class CalmAccounts(Accounts):
    """Accounts after a repair."""

    @handles
    def burst(self, state: Account, command: Burst) -> None:
        return None


class LaterAccounts(Accounts):
    """Fills the new field."""

    @applies
    def moved(self, state: Account, event: Deposited | Withdrawn) -> None:
        super().moved(state, event)
        if isinstance(event, Deposited):
            state.total += event.amount  # type: ignore[attr-defined]


def chosen() -> Topology:
    """What runs here, as the environment has it."""
    if "BANK_TOPOLOGY" not in os.environ:
        if os.environ.get("BANK_CALM") == "1":
            return Topology(CalmAccounts)
        return Topology(LaterAccounts if os.environ.get("BANK_VERSION") == "2" else Accounts)
    reactions.Keeper.broken = os.environ.get("BANK_MENDED") != "1"
    topology: Topology = getattr(reactions, os.environ["BANK_TOPOLOGY"])
    if keeper := topology.components.get("keeper"):
        keeper.begin = os.environ.get("BANK_BEGIN", "oldest")
    return topology


def main() -> int:
    """Run until told to stop; 3 when topics or positions do not fit, as the command line does it."""
    faulthandler.enable()  # SIGABRT shows why it hangs
    logging.basicConfig(level=logging.WARNING)
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
    if _LOST:
        engine = restoration
        engine.Restorer = SlowRestorer
    if known := os.environ.get("BANK_INPUTS"):
        spec: Any = AggregateSpec
        spec.inputs = property(lambda spec: [(spec.name, kind) for kind in known.split(",")])
    components = [word for word in os.environ.get("BANK_COMPONENTS", "").split(",") if word]
    try:
        worker.run(settings, chosen(), components)
    except (topics.TopicsUnfit, PositionsUnfit) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
