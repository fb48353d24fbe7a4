"""The gateway as a process, on real Kafka: whatever becomes of it, each command is decided once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from headrace.embedded.broker import free_ports
from headrace.streams.settings import Settings
from tests.support.deployment import Deployment, until
from tests.support.http_json import ask

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).resolve().parents[2]
KILLS, SENDERS = 20, 12


class GatewayProcess:
    """`headrace gateway`, on a port of its own."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "gateway.log"
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "OTEL_"))} | {
            "HEADRACE_BOOTSTRAP": settings.bootstrap,
            "HEADRACE_PREFIX": settings.prefix,
            "HEADRACE_TOPOLOGY": "tests.support.bank.accounts:topology",
            "HEADRACE_WEB_PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
        }
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "headrace.cli.main", "gateway"], env=self._environment, stderr=file
            )

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return ask("GET", f"{self.url}/readyz")[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def gateway(bank: Deployment, tmp_path: Path) -> Iterator[GatewayProcess]:
    bank.worker().start().await_ready()
    process = GatewayProcess(bank.settings, tmp_path)
    try:
        until(process.ready, "the gateway was ready", 60)
        yield process
    finally:
        process.kill()


def deposit(number: int, root: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": f"/sender/{root}",
        "type": "bank.v1.Deposit",
        "subject": root,
        "data": {"amount": 1},
    }


def test_a_gateway_that_is_killed_loses_nothing_and_doubles_nothing(bank: Deployment, gateway: GatewayProcess) -> None:
    answered: dict[str, list[int]] = {f"r{number}": [] for number in range(SENDERS)}
    pending: dict[str, bool] = dict.fromkeys(answered, False)
    """Whether an event was sent and not answered."""
    over = asyncio.Event()

    async def sender(http: aiohttp.ClientSession, root: str) -> None:
        """Sends one event after the other, each until it is taken."""
        while not over.is_set() or pending[root]:
            number = len(answered[root])
            pending[root] = True
            try:
                async with http.post(
                    f"{gateway.url}/commands",
                    json=deposit(number, root),
                    headers={"Content-Type": "application/cloudevents+json"},
                ) as answer:
                    if answer.status == 200:
                        answered[root].append((await answer.json())["sequence"])
                        pending[root] = False
                    else:
                        assert answer.status == 503, await answer.text()
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.05)

    async def scenario() -> None:
        async with aiohttp.ClientSession() as http:
            senders = [asyncio.create_task(sender(http, root)) for root in answered]
            for _ in range(KILLS):
                before = sum(map(len, answered.values()))
                await asyncio.to_thread(
                    until, lambda before=before: sum(map(len, answered.values())) >= before + 50, "it works", 60
                )
                await asyncio.to_thread(gateway.kill)
                await asyncio.to_thread(gateway.start)
            over.set()
            await asyncio.gather(*senders)

    asyncio.run(scenario())
    log = bank.log().verify()
    for root, sequences in answered.items():
        assert sequences == list(range(len(sequences))), root  # each once, in the order in which it was sent
        assert len(log.events[root]) == len(sequences)


def test_sigterm_ends_it_in_order(gateway: GatewayProcess) -> None:
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(20) == 0, gateway.log.read_text()[-3000:]


def test_it_waits_for_the_brokers(tmp_path: Path) -> None:
    process = GatewayProcess(Settings(bootstrap="127.0.0.1:1"), tmp_path)
    try:
        until(lambda: ask("GET", f"{process.url}/healthz")[0] == 200 if _listens(process) else False, "it listens", 60)
        assert ask("GET", f"{process.url}/readyz")[0] == 503
        status, problem = ask("GET", f"{process.url}/roots/account/a")
        assert (status, "not been reached yet" in problem["detail"]) == (503, True)
    finally:
        process.kill()


def _listens(process: GatewayProcess) -> bool:
    try:
        return bool(ask("GET", f"{process.url}/healthz"))
    except OSError:
        return False
