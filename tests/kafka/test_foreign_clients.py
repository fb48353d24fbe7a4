"""Commands from clients that are not ours, while workers and the broker die: decided once, all the same.

Java's own client and aiokafka send by nothing but docs/record-format.md. An independent reader judges.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.message import Message

from headrace.embedded import EmbeddedKafka
from headrace.embedded.compiler import compiler
from headrace.schemas.headrace_v1_pb2 import Reply
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import topology
from tests.support.deployment import Deployment, until
from tests.support.foreign.senders import Command, ForeignLoad, Sender, aiokafka_program, java_program
from tests.support.independent_reader import Entry, LogReader, murmur
from tests.support.lag import lag

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]
ASTRAY = "astray"
"""The sender that chooses partitions as librdkafka does by default: what it sends must be forwarded."""


@pytest.fixture(scope="module")
def bootstrap(own_kafka: EmbeddedKafka) -> str:
    """The broker that may be killed."""
    return own_kafka.bootstrap


@contextmanager
def senders(bank: Deployment, folder: Path) -> Iterator[list[Sender]]:
    """One by each client; skips the test where there is no Java compiler and none can be fetched."""
    try:
        compiler()
    except (OSError, RuntimeError) as error:
        pytest.skip(f"no Java compiler: {error}")
    topic, started = bank.topic("commands"), list[Sender]()
    try:
        for name, program, *options in (
            ("java", java_program()),
            ("aiokafka", aiokafka_program()),
            (ASTRAY, aiokafka_program(), "crc32"),
        ):
            started.append(Sender(name, program, bank.settings.bootstrap, topic, folder, *options))
        yield started
    finally:
        for sender in started:
            sender.kill()


def test_foreign_clients(own_kafka: EmbeddedKafka, bank: Deployment, tmp_path: Path) -> None:
    """Workers are killed in turn; the broker is frozen once and killed twice, until each client has told of errors."""
    workers = [bank.worker("one").start(), bank.worker("two").start()]

    def freeze() -> None:
        own_kafka.pause()
        load.failures(1)
        own_kafka.resume()  # and may do now what it was asked before: clients do not know of it

    def kill() -> None:
        own_kafka.kill()
        load.failures(1)
        workers[0].kill()
        own_kafka.restart()
        workers[0].start()

    with senders(bank, tmp_path) as clients:
        load = ForeignLoad(clients, bank.settings.names.replies, bank.settings.reply_partitions, 11)
        with load.at_work():
            load.progress(200)
            for fault in (freeze, kill, kill):
                for worker in workers:
                    worker.kill()
                    worker.start()
                    handled_more(bank, 100)
                fault()
                load.progress(100)
            handled_more(bank, 100)
    until(lambda: lag(bank.settings, topology, "account") == 0, "all was handled, what was forwarded too", 60)
    check(load, bank.log().verify())


def handled_more(bank: Deployment, more: int) -> None:
    """Wait until the workers have handled so many more commands than now."""

    def handled() -> int:
        return sum(max(0, offset) for offset in bank.committed().values())

    goal = handled() + more
    until(lambda: handled() >= goal, f"{more} more commands were handled", 60)


def check(load: ForeignLoad, log: LogReader) -> None:
    """What the log holds, against what the senders were told to send and have told."""
    sent, replies = by_id(log.topics["commands"]), by_id(log.topics["replies"])
    assert sent.keys() == load.commands.keys()
    dead = Counter(h.value.decode() for letter in log.dead_letters for h in letter.headers if h.key == "ce_id")
    balances: Counter[str] = Counter()
    unknown = 0
    for identity, command in load.commands.items():
        root = command.root.encode()
        right = murmur(root, log.partitions)
        chosen = zlib.crc32(root) % log.partitions if command.sender.name == ASTRAY else right
        told, lies = command.sender.placed[identity], Counter(entry.partition for entry in sent[identity])
        assert set(told) == {chosen}, f"{command.root}: {command.sender.name} chose {told}, not {chosen}"
        assert lies.keys() == {chosen, right}, f"{identity} lies in {lies}, not in {chosen} and {right}"
        assert lies[chosen] == lies[right] >= len(told), f"{identity} lies in {lies}; {command.sender.name} told {told}"
        unknown += lies[chosen] - len(told)
        accepted = log.answers[command.root, identity][:1] == b"A"
        assert accepted or isinstance(command.message, pb.Withdraw | pb.Open), f"{identity} was refused"
        balances[command.root] += change(command.message) if accepted else 0
        told_nobody = not accepted and not command.attribute("replyto")
        assert dead[identity] == told_nobody, f"{identity} has {dead[identity]} dead letters"
        check_replies(command, accepted, replies[identity], lies[right])
    assert {root: states[-1]["balance"] for root, states in log.states.items()} == balances
    assert unknown, "senders knew of every record; the faults were no test"


def check_replies(command: Command, accepted: bool, found: list[Entry], times: int) -> None:
    """One answer, and the same again for each time that the command was sent again; none where none was asked for."""
    target = command.attribute("replyto")
    if not target:
        assert not found
        return
    replies = [Reply.FromString(entry.value or b"") for entry in found]
    assert len(replies) == times, f"{len(replies)} answers to a command that lies in the topic {times} times: {replies}"
    assert [reply.already_processed for reply in replies] == [False] + [True] * (times - 1)
    status = Reply.ACCEPTED if accepted else Reply.REJECTED
    correlation = command.attribute("correlationid") or command.identity
    for entry, reply in zip(found, replies, strict=True):
        assert target.endswith(f"/{entry.partition}")
        assert (reply.status, reply.root, reply.correlation_id) == (status, command.root, correlation)


def change(command: Message) -> int:
    """What an accepted command adds to the balance."""
    match command:
        case pb.Deposit():
            return command.amount
        case pb.Withdraw():
            return -command.amount
        case pb.Transfer():
            return sum(command.amounts)
    return 0


def by_id(entries: list[Entry]) -> dict[str, list[Entry]]:
    """Records in the order of their partitions, by id."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.headers["ce_id"].decode()].append(entry)
    return found
