"""Programs that send commands by clients other than librdkafka, and what they are told to send.

A program reads one command a line, in fields with tabs between them: id, root, type, the value as JSON, and more
attributes as `name=value`. It sends each until it is at the broker, with the same id each time, and says so line by
line: `sent`, id and partition; or `failed`, id and error. It ends when no more comes and all was sent.
"""

import os
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.message import Message

from headrace.embedded import find_jars, find_java
from headrace.embedded.compiler import compiled
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb

_FOLDER = Path(__file__).parent
_ATTEMPT = 1.5
"""Seconds on a fast machine after which an attempt has failed; few, since the broker is away until one has."""


def java_program() -> list[str]:
    """The command line of the Java client's program."""
    jvm = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    libraries = find_jars()
    path = [compiled([_FOLDER / "Sender.java"], libraries), *libraries]
    return [str(find_java()), *jvm, "-cp", os.pathsep.join(map(str, path)), "Sender"]


def aiokafka_program() -> list[str]:
    """The command line of aiokafka's program."""
    return [sys.executable, "-X", "utf8", str(_FOLDER / "aiokafka_sender.py")]


class Sender:
    """A program at work."""

    def __init__(
        self, name: str, program: Sequence[str], bootstrap: str, topic: str, folder: Path, *options: str
    ) -> None:
        self.name = name
        self.placed: dict[str, list[int]] = defaultdict(list)
        """Partitions in which it was told that a command lies, by id; several if it sent the command several times."""
        self.errors: list[str] = []
        self._open = threading.Semaphore(200)
        arguments = [bootstrap, topic, str(int(1000 * deadlines.seconds(_ATTEMPT))), *options]
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
            )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def send(self, command: "Command") -> None:
        """Tell it to send; waits only while too much is not at the broker."""
        while not self._open.acquire(timeout=1):
            self.check()
        kind, text = command.message.DESCRIPTOR.full_name, json_format.MessageToJson(command.message, indent=None)
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join([command.identity, command.root, kind, text, *command.attributes]) + "\n")
        self._process.stdin.flush()

    def check(self) -> None:
        """Fails when it has ended by itself."""
        assert self._process.poll() is None, f"{self.name} ended:\n{self.tail()}"

    def finish(self, seconds: float = 60.0) -> None:
        """Wait until it has sent everything, and its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait(deadlines.seconds(seconds))
        self._listener.join()
        assert code == 0, f"{self.name} ended with {code}:\n{self.tail()}"

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._listener.join()

    def tail(self) -> str:
        """The end of what it wrote to its log."""
        return self._log.read_text(errors="replace")[-3000:]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, identity, what = line.rstrip("\n").split("\t")
            if word == "sent":
                self.placed[identity].append(int(what))
                self._open.release()
            else:
                self.errors.append(what)


@dataclass
class Command:
    """A command as it was given to a sender."""

    sender: Sender
    identity: str
    root: str
    message: Message
    attributes: tuple[str, ...]

    def attribute(self, name: str) -> str:
        """The value of one of its attributes; empty if it has none of that name."""
        return next((text.removeprefix(f"{name}=") for text in self.attributes if text.startswith(f"{name}=")), "")


class ForeignLoad:
    """Commands for a few accounts at a steady pace through each sender, some of them a second time.

    Unlike callers, nobody waits for an answer. `commands` holds all of them by id.
    """

    # lengths of all remainders by four, and letters of two bytes: murmur2 treats each in its own way
    roots = ("a", "bo", "eve", "mike", "Zoë", "Ångström", "žluťoučký-kůň", *(f"account-{n}" for n in range(13)))

    def __init__(self, senders: Sequence[Sender], replies: str, partitions: int, seed: int) -> None:
        self.senders = senders
        self.commands: dict[str, Command] = {}
        self._targets = [f"replyto={replies}/{number}" for number in range(partitions)]
        self._seed = seed
        self._stop = threading.Event()
        self._failed: list[BaseException] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Commands flow; in the end all of them are at the broker, and the senders have ended."""
        threads = [threading.Thread(target=self._work, args=(sender,)) for sender in self.senders]
        for thread in threads:
            thread.start()
        try:
            yield
        except BaseException:
            for sender in self.senders:
                sender.kill()  # what has failed may be what a thread waits for
            raise
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        assert not self._failed, self._failed
        for sender in self.senders:
            sender.finish()

    def progress(self, more: int) -> None:
        """Wait until each sender knows of so many more commands than now that they are at the broker."""
        self._await(lambda sender: len(sender.placed), more, "commands were sent")

    def failures(self, more: int) -> None:
        """Wait until so many more attempts than now have failed for each sender."""
        self._await(lambda sender: len(sender.errors), more, "attempts failed")

    def _await(self, count: Callable[[Sender], int], more: int, what: str, seconds: float = 60.0) -> None:
        goals = [count(sender) + more for sender in self.senders]
        deadline = time.monotonic() + deadlines.seconds(seconds)
        while any(count(sender) < goal for sender, goal in zip(self.senders, goals, strict=True)):
            found = {sender.name: count(sender) for sender in self.senders}
            assert time.monotonic() < deadline, f"within {seconds:g} s not {more} more {what}: {found}, not {goals}"
            assert not self._failed, self._failed
            for sender in self.senders:
                sender.check()
            time.sleep(0.02)

    def _work(self, sender: Sender) -> None:
        chance, own = random.Random(f"{self._seed} {sender.name}"), list[str]()
        try:
            while not self._stop.wait(0.01):
                if own and chance.random() < 0.05:
                    identity = chance.choice(own)  # the same command once more
                else:
                    identity = f"{sender.name}-{len(own)}"
                    own.append(identity)
                    self.commands[identity] = self._command(sender, identity, chance)
                sender.send(self.commands[identity])
        except BaseException as error:
            self._failed.append(error)

    def _command(self, sender: Sender, identity: str, chance: random.Random) -> Command:
        root, number, kind = chance.choice(self.roots), chance.randrange(1, 100), chance.random()
        attributes = [chance.choice(self._targets)] if chance.random() < 0.7 else []
        message: Message = pb.Deposit(amount=number)
        if kind < 0.1:
            message = pb.Open(owner=f"owner {number}")
            attributes.append("expectedsequence=-1")
        elif kind < 0.2:
            message = pb.Transfer(amounts=range(1, number % 7 + 1))
        elif kind < 0.5:
            message = pb.Withdraw(amount=number)
            attributes.append(f"correlationid=purchase {number}")
        return Command(sender, identity, root, message, tuple(attributes))
