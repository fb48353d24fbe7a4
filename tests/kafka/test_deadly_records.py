"""A record that ends its worker each time it is handled becomes a dead letter, and nothing else does."""

import asyncio
import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from headrace import Topology
from headrace.streams.admin.dead_letters import Filter, ListedDeadLetter, find, settle
from headrace.topology.reply import Reply
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Accounts
from tests.support.deployment import Deployment, Worker, until
from tests.support.log_ends import end_offsets
from tests.support.workflow_deployment import WorkflowDeployment, workflow_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]
T = TypeVar("T")
TOPOLOGY = Topology(Accounts)
NEIGHBOURS = ("same", "b", "c", "d", "e")


def dead_letters(bank: Deployment, *, settled: bool = False) -> list[ListedDeadLetter]:
    return find(bank.settings, TOPOLOGY, ["account"], Filter(settled=settled))


class Orchestrator:
    """Starts a worker again each time it ends, and kills it when it says that it is not well."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.codes, self.unwell = worker, list[int](), list[str]()
        worker.start()

    def look(self) -> None:
        if not self.worker.alive:
            self.codes.append(self.worker.wait())
            self.worker.start()
        elif answer := health(self.worker):
            self.unwell.append(answer)
            self.worker.kill()

    def until(self, condition: Callable[[], T], what: str, seconds: float = 120) -> T:
        """Keep the worker up until something is so."""

        def so() -> T:
            self.look()
            return condition()

        return until(so, what, seconds)


def health(worker: Worker) -> str:
    """What /healthz says when it is not 200; empty when it is, or nobody answers yet."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/healthz", timeout=2).close()
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        pass
    return ""


async def deadly(bank: Deployment, how: str, orchestrator: Callable[[], Orchestrator]) -> tuple[list[Reply], Reply]:
    """The answers to deposits in front of and behind a deadly command, and to that command itself."""
    async with bank.client() as client:
        before = [client.execute(pb.Deposit(amount=1), root=root, timeout=200) for root in NEIGHBOURS]
        calls = [asyncio.ensure_future(call) for call in before]
        await until_sent(bank, len(calls))
        burst = asyncio.ensure_future(client.execute(pb.Burst(how=how), root="same", timeout=200))
        await until_sent(bank, len(calls) + 1)
        after = [client.execute(pb.Deposit(amount=2), root=root, timeout=200) for root in NEIGHBOURS]
        calls += [asyncio.ensure_future(call) for call in after]
        await until_sent(bank, len(calls) + 1)
        await asyncio.to_thread(orchestrator().until, lambda: all(call.done() for call in [burst, *calls]), "all ended")
        return [call.result() for call in calls], burst.result()


async def until_sent(bank: Deployment, count: int) -> None:
    def sent() -> bool:
        return sum(end_offsets(bank.settings.bootstrap, [bank.topic("commands")]).values()) >= count

    await asyncio.to_thread(until, sent, f"{count} commands were on the log")


@pytest.mark.parametrize(("how", "code"), [("die", 9), ("segfault", -11), ("hang", -9), ("memory", 71)])
def test_the_third_time_it_is_a_dead_letter(how: str, code: int, bank: Deployment) -> None:
    made: list[Orchestrator] = []

    def orchestrator() -> Orchestrator:
        made.append(Orchestrator(bank.worker(HEADRACE_TRANSACTION_TIMEOUT=1)))
        return made[0]

    answers, burst = asyncio.run(deadly(bank, how, orchestrator))
    (its,) = made
    if how == "hang":
        assert [json.loads(answer) for answer in its.unwell] == [{"status": "stuck", "components": ["account"]}] * 3
    else:
        assert (its.codes, its.unwell) == ([code] * 3, [])
    assert burst.status == "failed"
    assert "the worker has ended 3 times while it handled this" in burst.reason
    assert [answer.status for answer in answers] == ["accepted"] * len(answers)
    assert Counter(answer.sequence for answer in answers) == {0: len(NEIGHBOURS), 1: len(NEIGHBOURS)}

    log = bank.log().verify()  # each command is answered once, and its events are there once
    assert {root: len(log.events[root]) for root in NEIGHBOURS} == dict.fromkeys(NEIGHBOURS, 2)
    letters = dead_letters(bank)
    assert {letter.body.error_class for letter in letters} == {"HandlerError"}

    its.worker.stop()
    its.worker.start(BANK_CALM=1).await_ready()
    assert list(settle(bank.settings, TOPOLOGY, letters, discard=False)) == letters
    until(lambda: not dead_letters(bank), "the repaired handler has taken it")
    assert {letter.settled for letter in dead_letters(bank, settled=True)} == {"replayed"}


def test_a_reaction_that_ends_its_process(bootstrap: str, tmp_path: Path) -> None:
    """Other components of the process lose nothing, and the root waits until its event is replayed."""
    with workflow_of(bootstrap, "topology", tmp_path) as workflow:
        workflow.deposit(dead=[1, 666, 3], alive=[1, 3])
        its = Orchestrator(workflow.worker())
        letters = its.until(lambda: reactions_dead(workflow, "keeper"), "the event was a dead letter")
        assert its.codes == [9] * 3
        assert [(letter.root, letter.body.error_class) for letter in letters] == [("dead", "HandlerError")]
        its.until(lambda: notes(workflow) == {"dead": ["0"], "alive": ["0", "1"]}, "the other root went on")

        its.worker.stop()
        its.worker.start(BANK_MENDED=1).await_ready()
        assert list(settle(workflow.settings, workflow.topology, letters, discard=False)) == letters
        until(lambda: notes(workflow) == {"dead": ["0", "1", "2"], "alive": ["0", "1"]}, "all of it was handled")
        assert not reactions_dead(workflow, "keeper")


def test_a_time_out_that_ends_its_process(bootstrap: str, tmp_path: Path) -> None:
    with workflow_of(bootstrap, "timed", tmp_path) as workflow:
        workflow.deposit(dead=[66], alive=[5])
        its = Orchestrator(workflow.worker())
        letters = its.until(lambda: reactions_dead(workflow, "warden"), "the time-out was a dead letter")
        assert its.codes == [9] * 3
        assert [letter.body.error_class for letter in letters] == ["HandlerError"]

        def waited() -> bool:
            events = [e.headers["ce_type"] for e in workflow.read("warden", "events")]
            return Counter(events) == {b"bank.v1.Opened": 2, b"bank.v1.Stashed": 2}

        its.until(waited, "the other one was delivered once, and answered")
        assert its.codes == [9] * 3


def reactions_dead(workflow: WorkflowDeployment, component: str) -> list[ListedDeadLetter]:
    return find(workflow.settings, workflow.topology, [component], Filter())


def notes(workflow: WorkflowDeployment) -> dict[str, list[str]]:
    """What the book has noted of each root, in order."""
    found: dict[str, list[str]] = {}
    for entry in workflow.read("book", "events"):
        root = entry.headers["ce_subject"].decode()
        found.setdefault(root, []).append(pb.Annotated.FromString(entry.value or b"").note)
    return found
