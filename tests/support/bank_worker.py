"""A worker for the bank domain, as a process of its own; set up by HEADRACE_… variables like any other.

It can be told to die, to freeze or to hang at a certain point of its work: a file named `fault` in its state folder
holds `{point} {signal}`, is removed when the point is reached, and the process sends itself that signal; for `HANG`,
which is none, the call never returns. Woken from SIGSTOP, it lets a second pass, in which librdkafka's threads learn
from the group what has become of this member. Points:

    handle      a deposit is being decided
    flush       the batch is decided, its records may not be at the broker
    offsets     its records are at the broker, its input offsets are not
    commit      its offsets are too, the transaction is open
    store       the transaction is committed, the store does not have it

BANK_INPUTS=commands,… are the inputs of its release, where it does not know them all. BANK_VERSION=2 runs a later
version of the domain, whose state has one field more. With BANK_LOST_ANSWERS=0.1 a tenth of the answers to commits are
lost, so that the engine doubts them; histories are then restored slowly, to be overtaken.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

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
from tests.support.bank import accounts
from tests.support.bank.messages_pb2 import Account, Burst, Deposit, Deposited, Poison, Withdrawn

settings = Settings()
_FAULT = settings.state_dir / "fault"
_LOST = float(os.environ.get("BANK_LOST_ANSWERS", "0"))


def reach(point: str) -> None:
    """Die, freeze or hang here, if that is what the fault file says."""
    try:
        wanted, name = _FAULT.read_text().split()
    except (FileNotFoundError, ValueError):
        return
    if wanted == point:
        _FAULT.unlink()
        if name == "HANG":
            threading.Event().wait()
        os.kill(os.getpid(), signal.Signals[name])
        time.sleep(1)


class FaultyProducer(Producer):
    """The engine's producer, with the points at which a transaction can be hit."""

    def flush(self, *arguments: Any, **named: Any) -> int:
        reach("flush")
        return super().flush(*arguments, **named)

    def send_offsets_to_transaction(self, *arguments: Any, **named: Any) -> None:
        reach("offsets")
        super().send_offsets_to_transaction(*arguments, **named)

    def commit_transaction(self, *arguments: Any, **named: Any) -> None:
        reach("commit")
        super().commit_transaction(*arguments, **named)
        reach("store")
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
    """The bank with a point in its busiest handler, and a handler that harms the state before it fails."""

    @handles
    def deposit(self, state: Account, command: Deposit) -> Deposited:
        reach("handle")
        return super().deposit(state, command)

    @handles
    def burst(self, state: Account, command: Burst) -> Poison | None:
        if command.how == "mutate and raise":
            state.balance += 1
            raise ZeroDivisionError("as told, after a change")
        return super().burst(state, command)


class LaterAccounts(Accounts):
    """Fills the new field."""

    @applies
    def moved(self, state: Account, event: Deposited | Withdrawn) -> None:
        super().moved(state, event)
        if isinstance(event, Deposited):
            state.total += event.amount  # type: ignore[attr-defined]


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
    later_version = os.environ.get("BANK_VERSION") == "2"
    try:
        worker.run(settings, Topology(LaterAccounts if later_version else Accounts))
    except (topics.TopicsUnfit, PositionsUnfit) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
