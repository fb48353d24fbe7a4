"""The test driver as a client, so that one test runs in memory and against a deployment.

async def lend(client: Client | DriverClient) -> None:
    assert (await client.execute(LendBook(reader="ahab"), root="moby-dick")).accepted

async with DriverClient(TopologyDriver(topology)) as client:  # or: async with Client(topology) as client
    await lend(client)
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from google.protobuf.message import Message

from headrace.streams.in_memory.history import History
from headrace.testing.driver import TopologyDriver
from headrace.topology.as_of import AsOf
from headrace.topology.reply import Event, OnError, Reply, SendSync, Sync
from headrace.topology.topology import Domain


class DriverClient:
    """Has the methods of `headrace.Client` and passes calls on to a driver; timeouts have no effect here."""

    def __init__(self, driver: TopologyDriver) -> None:
        self._driver = driver

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def execute(
        self,
        command: Message,
        *,
        root: str,
        expected_sequence: int | None = None,
        timeout: float = 60.0,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
        sync: Sync = "decision",
        on_error: OnError = "fail-fast",
        now: datetime | None = None,
    ) -> Reply:
        """Send a command and return its reply, after everything that follows from it has been handled.

        So documents have its events, whatever `sync` says.
        """
        return self._driver.execute(
            command,
            root,
            expected_sequence=expected_sequence,
            command_id=command_id,
            correlation_id=correlation_id,
            domain=domain,
            sync=sync,
            on_error=on_error,
            now=now,
        )

    async def send(
        self,
        command: Message,
        *,
        root: str,
        expected_sequence: int | None = None,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
        sync: SendSync = "async",
        now: datetime | None = None,
    ) -> str:
        """Send a command without waiting for its reply, and return its id. If rejected, it goes to the dead letters."""
        return self._driver.send(
            command,
            root,
            expected_sequence=expected_sequence,
            command_id=command_id,
            correlation_id=correlation_id,
            domain=domain,
            sync=sync,
            now=now,
        )

    async def record_fact(
        self,
        fact: Message,
        *,
        root: str,
        external_id: str,
        domain: Domain = None,
        timeout: float = 60.0,
        correlation_id: str | None = None,
        now: datetime | None = None,
    ) -> Reply:
        """State that something has happened outside; it is recorded once per `external_id`."""
        return self._driver.record_fact(
            fact, root, external_id=external_id, correlation_id=correlation_id, domain=domain, now=now
        )

    async def flush(self) -> None:
        """Does nothing: everything that was sent has been handled."""

    async def state(self, root: str, domain: Domain = None, *, as_of: AsOf | None = None, timeout: float = 60.0) -> Any:
        """The root's state, now or at a point in the past; None if it has no events."""
        return self._driver.state(root, domain, as_of=as_of)

    async def history(
        self, roots: Mapping[str, Iterable[str]], *, as_of: AsOf | None = None, timeout: float = 60.0
    ) -> History:
        """The events of roots, by component, for what-ifs."""
        return self._driver.history(roots, as_of=as_of)

    async def events(
        self,
        root: str,
        from_sequence: int = 0,
        domain: Domain = None,
        *,
        as_of: AsOf | None = None,
        timeout: float = 60.0,
        lift: bool = True,
    ) -> AsyncIterator[Event]:
        """The root's events in order, from a sequence on, up to a point; without `lift`, as the log has them."""
        for event in self._driver.events(root, from_sequence, domain, as_of=as_of, lift=lift):
            yield event
