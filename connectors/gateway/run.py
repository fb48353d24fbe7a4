"""Runs a gateway until SIGTERM or Ctrl-C."""

import asyncio
import signal
from contextlib import suppress

import structlog
from aiohttp import web
from confluent_kafka import KafkaException

from headrace.connectors.gateway.access import Access
from headrace.connectors.gateway.server import Gateway
from headrace.streams.client import Client
from headrace.streams.clock import backoff
from headrace.streams.runtime.web_server import LimitedRunner
from headrace.streams.settings import Settings
from headrace.topology.topology import Topology

log = structlog.get_logger()
TIMEOUT = 30.0
"""Seconds after which a caller is told that the outcome is not known."""


def run(settings: Settings, topology: Topology, access: Access) -> None:
    """Serve on `web_host` and `web_port`. OSError if the port cannot be used."""
    asyncio.run(_serve(settings, topology, access))


async def _serve(settings: Settings, topology: Topology, access: Access) -> None:
    gateway = Gateway(topology, access, TIMEOUT)
    runner = LimitedRunner(gateway.app())
    await runner.setup()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        site = web.TCPSite(runner, settings.web_host, settings.web_port)
        await site.start()
        log.info("gateway starts", web=f"{settings.web_host}:{settings.web_port}", tokens=not access.open)
        opening = asyncio.create_task(_open(gateway, settings, topology))
        await ended.wait()
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening
    finally:
        await runner.cleanup()
        if gateway.client is not None:
            await gateway.client.__aexit__(None, None, None)


async def _open(gateway: Gateway, settings: Settings, topology: Topology) -> None:
    """Connect, however long the brokers are away."""
    attempt = 0
    while gateway.client is None:
        client = Client(topology, settings)
        try:
            await client.__aenter__()
            gateway.client = client
        except (KafkaException, LookupError) as error:
            if attempt % 6 == 0:
                log.warning("waiting for the brokers", bootstrap=settings.bootstrap, error=str(error))
            await asyncio.sleep(backoff(attempt))
            attempt += 1
