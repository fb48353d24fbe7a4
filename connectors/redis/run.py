"""The process around the writers: a thread each, a web server for health and metrics, and an end in order."""

import asyncio
import signal
import threading
import time
from collections.abc import Sequence

import structlog
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from headrace.connectors.redis.declaration import Redis
from headrace.connectors.redis.metrics import Metrics
from headrace.connectors.redis.writer import Writer
from headrace.streams.runtime.web_server import LimitedRunner
from headrace.streams.settings import Settings

log = structlog.get_logger()
_PATIENCE = 3.0  # seconds; a thread that waits for brokers that are away is left behind, which harms nothing


class _Thread(threading.Thread):
    """Runs a writer, and keeps what ended it against its will."""

    def __init__(self, writer: Writer, stop: threading.Event) -> None:
        super().__init__(name=f"redis-{writer.name}", daemon=True)
        self._writer, self._stop_all = writer, stop
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._writer.run()
        except Exception as error:
            self.failure = error
            self._stop_all.set()


def run(settings: Settings, declared: Sequence[Redis]) -> None:
    """Write until SIGTERM or SIGINT.

    Raises AddressUnfit, OSError if the web port cannot be used, or what a writer could not go on from.
    """
    asyncio.run(_run(settings, declared))


async def _run(settings: Settings, declared: Sequence[Redis]) -> None:
    stop, metrics = threading.Event(), Metrics(one.component for one in declared)
    writers = [Writer(settings, one, metrics, stop) for one in declared]
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = LimitedRunner(_pages(writers, metrics))
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.web_host, settings.web_port)
        await site.start()
        log.info("Redis is written", domains=[writer.name for writer in writers], web=runner.addresses)
        threads = [_Thread(writer, stop) for writer in writers]
        for thread in threads:
            thread.start()
        while not stop.is_set():
            await asyncio.sleep(0.1)
        deadline = time.monotonic() + _PATIENCE
        while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
    finally:
        await runner.cleanup()
    for thread in threads:
        if thread.failure is not None:
            raise thread.failure
    log.info("ended")


def _pages(writers: Sequence[Writer], metrics: Metrics) -> web.Application:
    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(request: web.Request) -> web.Response:
        state = {writer.name: writer.ready for writer in writers}
        ready = all(state.values())
        return web.json_response({"ready": ready, "components": state}, status=200 if ready else 503)

    async def exposition(request: web.Request) -> web.Response:
        for writer in writers:
            metrics.ready.labels(writer.name).set(writer.ready)
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    return application
