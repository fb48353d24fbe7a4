"""Deployments of the bank on a real broker: topics of their own, workers as processes, and callers."""

import asyncio
import json
import os
import random
import signal
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from google.protobuf.message import Message
from pydantic import SecretStr

from headrace.embedded.broker import free_ports
from headrace.streams.admin import topics
from headrace.streams.client import Client, OutcomeUnknown, Reply
from headrace.streams.settings import Settings
from tests.support import deadlines, process_server
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import topology
from tests.support.independent_reader import LogReader
from tests.support.lag import committed
from tests.support.log_ends import end_offsets
from tests.support.log_timeline import log_lines

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """The first true result of `condition`; fails, naming what did not happen, after so many seconds."""
    deadline = time.monotonic() + deadlines.seconds(seconds)
    while not (result := condition()):
        assert time.monotonic() < deadline, f"within {seconds:g} s it did not happen that {what}"
        time.sleep(0.02)
    return result


class Worker:
    """One worker process with a state folder of its own; it can be started again after its end."""

    runner = Path(__file__).with_name("bank") / "worker.py"
    """The program that it runs."""

    def __init__(self, folder: Path, settings: Settings, **variables: Any) -> None:
        self.folder = folder
        self.log = folder / "worker.log"
        (self.port,) = free_ports(1)
        self.process: BaseProcess | None = None
        self._settings = settings
        self._variables = {
            "HEADRACE_BOOTSTRAP": settings.bootstrap,
            "HEADRACE_PREFIX": settings.prefix,
            "HEADRACE_STATE_DIR": str(folder),
            "HEADRACE_WEB_PORT": str(self.port),
            **{name: str(value) for name, value in variables.items()},
        }

    def start(self, **variables: Any) -> Self:
        """Start the process; `variables` are for this start only."""
        assert not self.alive, "it runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "BANK_", "OTEL_"))}
        environment = inherited | self._variables | {name: str(value) for name, value in variables.items()}
        self.log.touch()
        self._log_start = self.log.stat().st_size
        self.process = process_server.start(self.runner, environment, self.log)
        return self

    @property
    def alive(self) -> bool:
        """Whether the process runs, or is paused."""
        return self.process is not None and self.process.is_alive()

    def readiness(self) -> dict[str, Any] | None:
        """What /readyz says, with the HTTP status in `status`; None when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return {**json.load(answer), "status": answer.status}
        except urllib.error.HTTPError as error:
            return {**json.load(error), "status": error.code}
        except OSError:
            return None

    @property
    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        answer = self.readiness()
        return answer is not None and answer["status"] == 200

    def await_ready(self, seconds: float = 30.0) -> Self:
        """Wait until it is ready; fails at once when it ends instead."""

        def ready() -> bool:
            assert self.alive, f"the worker ended before it was ready:\n{self.tail()}"
            return self.ready

        until(ready, f"the worker was ready; its log ends:\n{self.tail()}", seconds)
        return self

    def page(self, path: str) -> tuple[int, str]:
        """HTTP status and body of a page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()

    def metrics(self) -> dict[str, float]:
        """The samples of /metrics by name and labels, as they are written there."""
        lines = self.page("/metrics")[1].splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if not x.startswith("#"))}

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        assert self.process is not None
        assert self.process.pid is not None
        if self.process.is_alive():
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self.send(signal.SIGKILL)
        self.wait()

    def end(self) -> None:
        """End it if it runs, and print the end of its log, which pytest shows when the test has failed."""
        if self.alive:
            self.send(signal.SIGCONT)
            self.send(signal.SIGABRT)  # what each thread does goes to the log
            self.wait()
        print(f"--- {self.folder.name}, its log ends:\n{self.tail(8000)}")  # noqa: T201

    def wait(self, seconds: float = 30.0) -> int:
        """The exit code; fails when it does not end in time."""
        assert self.process is not None
        self.process.join(deadlines.seconds(seconds))
        assert self.process.exitcode is not None, f"the worker did not end within {seconds:g} s:\n{self.tail()}"
        return self.process.exitcode

    def stop(self) -> float:
        """SIGTERM; the seconds until it had ended, in order."""
        started = time.monotonic()
        self.send(signal.SIGTERM)
        code = self.wait()
        assert code == 0, f"exit code {code} after SIGTERM:\n{self.tail()}"
        return time.monotonic() - started

    # ---- faults, and what the worker says

    def plan_fault(self, point: str, fault: signal.Signals | Literal["HANG"]) -> None:
        """Let it die, freeze or hang when it next reaches a point (see bank/worker.py)."""
        draft = self.folder / "fault.draft"
        draft.write_text(f"{point} {fault if isinstance(fault, str) else fault.name}")
        draft.rename(self.folder / "fault")

    def fault_reached(self) -> bool:
        """Whether the planned fault has come about, and the process is dead or frozen."""
        if (self.folder / "fault").exists():
            return False
        assert self.process is not None
        if not self.process.is_alive():
            return True
        try:
            status = Path(f"/proc/{self.process.pid}/stat").read_text()
        except FileNotFoundError:  # it has died since
            return True
        return status.rpartition(")")[2].split()[0] == "T"

    def await_fault(self) -> None:
        """Wait until the process has died of the planned fault."""
        code = self.wait(40)
        assert code == -signal.SIGKILL, f"it ended with {code}, not of the fault:\n{self.tail()}"
        assert not (self.folder / "fault").exists(), f"it was killed before it came to the fault:\n{self.tail()}"

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log lines with this event since the last start."""
        text = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        return [line for line in log_lines(text) if line.get("event") == event]

    def restored_records(self) -> int:
        """Changelog records read since the last start."""
        return sum(int(line["records"]) for line in self.said("changelog restored"))

    def tail(self, characters: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else "(no log)"


@dataclass
class Deployment:
    """The bank under a prefix of its own."""

    settings: Settings
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    def worker(self, name: str = "w", **variables: Any) -> Worker:
        """A worker, not started yet; `variables` are environment variables."""
        worker = Worker(self.folder / name, self.settings, **variables)
        self.workers.append(worker)
        return worker

    def client(self) -> Client:
        """A client of this deployment."""
        return Client(topology, self.settings)

    def topic(self, kind: str) -> str:
        """A topic of the accounts."""
        return self.settings.names.topic(self.settings.edition, "account", kind)

    def log(self) -> LogReader:
        """All that was committed by now, and decided before; waits for transactions that are open."""
        return LogReader.read(self.settings.bootstrap, self.settings.prefix)

    def committed(self) -> dict[int, int]:
        """The group's committed offset in each partition of the commands; -1001 where there is none."""
        found = committed(self.settings, "account", [self.topic("commands")])
        return {partition: offset for (_, partition), offset in found.items()}

    def await_handled(self) -> None:
        """Wait until every command is handled; callers have their answers before, where a command was sent twice."""
        ends = end_offsets(self.settings.bootstrap, [self.topic("commands")])
        last = {partition: end for (_, partition), end in ends.items() if end > 0}
        until(lambda: last.items() <= self.committed().items(), f"commands were handled up to {last}")


@contextmanager
def deployed(bootstrap: str, folder: Path, **settings: Any) -> Iterator[Deployment]:
    """A deployment with its topics; in the end its workers are killed, and its topics deleted."""
    defaults: dict[str, Any] = {"partitions": 4, "reply_partitions": 2, "prefix": f"t{uuid.uuid4().hex[:10]}."}
    deployment = Deployment(Settings(bootstrap=bootstrap, **(defaults | settings)), folder)
    admin = topics.admin(deployment.settings)
    specs = topics.wanted(deployment.settings, topology)
    topics.create(deployment.settings, specs)
    try:
        yield deployment
    finally:
        for worker in deployment.workers:
            worker.end()
        for future in admin.delete_topics([spec.name for spec in specs], request_timeout=20).values():
            future.exception(20)


def secrets(values: dict[str, str]) -> dict[str, Any]:
    """As Settings holds what goes to librdkafka."""
    return {name: SecretStr(value) for name, value in values.items()}


@dataclass
class Sent:
    """One command of a caller's, and the answers it got; more than one if it was sent again."""

    root: str
    command: Message
    replies: list[Reply] = field(default_factory=list)


class Load:
    """Callers in a closed loop: each sends a command, waits for its answer, and sends again what got none.

    The same seed gives the same commands. `sent` holds all of them by id, `resent` counts those without an answer.
    """

    def __init__(self, client: Client, seed: int, *, callers: int = 16, roots: int = 40, patience: float = 3.0) -> None:
        self.sent: dict[str, Sent] = {}
        self.resent = 0
        self._client, self._patience = client, patience
        self._random = random.Random(seed)
        self._roots = [f"account-{seed}-{number}" for number in range(roots)]
        self._sequences: dict[str, int] = {}
        self._stopping = asyncio.Event()
        self._callers = [asyncio.create_task(self._call()) for _ in range(callers)]

    @property
    def answered(self) -> int:
        """Commands that got at least one answer."""
        return sum(1 for sent in self.sent.values() if sent.replies)

    async def progress(self, more: int, seconds: float = 60.0) -> None:
        """Wait until so many more commands than now were answered."""
        goal = self.answered + more
        deadline = time.monotonic() + deadlines.seconds(seconds)
        while self.answered < goal:
            assert time.monotonic() < deadline, f"{self.answered} of {goal} commands answered after {seconds:g} s"
            for caller in self._callers:
                if caller.done():
                    caller.result()
            await asyncio.sleep(0.02)

    async def finish(self) -> None:
        """Stop; every command sent has its answer then."""
        self._stopping.set()
        await asyncio.gather(*self._callers)

    async def _call(self) -> None:
        while not self._stopping.is_set():
            if self.sent and self._random.random() < 0.05:
                await self._ask(self._random.choice(list(self.sent)), None)  # the same command once more
            else:
                root, command = self._random.choice(self._roots), self.command()
                identity = uuid.UUID(int=self._random.getrandbits(128)).hex
                self.sent[identity] = Sent(root, command)
                enforce_state_size = isinstance(command, pb.Withdraw) and self._random.random() < 0.7
                await self._ask(identity, self._sequences.get(root) if enforce_state_size else None)

    async def _ask(self, identity: str, expected: int | None) -> None:
        sent = self.sent[identity]
        while True:
            try:
                reply = await self._client.execute(
                    sent.command,
                    root=sent.root,
                    command_id=identity,
                    expected_sequence=expected,
                    timeout=self._patience,
                )
            except OutcomeUnknown:
                self.resent += 1
                continue
            sent.replies.append(reply)
            self._sequences[sent.root] = max(reply.sequence, self._sequences.get(sent.root, -1))
            return

    def command(self) -> Message:
        """One of the bank's commands, or one that fails."""
        number, chance = self._random.randrange(1, 100), self._random.random()
        if chance < 0.4:
            return pb.Deposit(amount=number)
        if chance < 0.6:
            return pb.Withdraw(amount=number)
        if chance < 0.7:
            return pb.Transfer(amounts=range(1, number % 7 + 1))
        if chance < 0.8:
            return pb.Annotate(note=f"note {number}")
        if chance < 0.9:
            return pb.Stash(pocket=f"pocket {number % 5}", amount=number)
        if chance < 0.95:
            return pb.Open(owner=f"owner {number}")
        return pb.Touch() if chance < 0.98 else pb.Burst(how="raise")


def check_clients(load: Load, log: LogReader) -> None:
    """What callers were told is on the log, and is the same each time they were told it."""
    for command_id, sent in load.sent.items():
        assert sent.replies, f"{command_id} never got an answer"
        first = sent.replies[0]
        there = [(e.sequence, e.raw) for _, e in log.caused.get(command_id, [])]
        for reply in sent.replies:
            if reply.accepted:
                assert [(e.sequence, e.raw) for e in reply.events] == there, f"{command_id}: {reply}, not {there}"
            same = (reply.status, reply.sequence, reply.reason, reply.code)
            assert same == (first.status, first.sequence, first.reason, first.code), f"{command_id}: {sent.replies}"
