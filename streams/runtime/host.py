"""Faust runs the components: supervision, agents, the web server. Faust's own Kafka client is off.

A service per component polls batches and puts them on a channel; the component's agent handles them. One thread does
both, so that partitions are never revoked while a batch is handled.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar, cast

import faust
from confluent_kafka import Message
from faust.app.base import BootStrategy as Boot
from faust.types.web import Request, View
from mode import Service
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from headrace.streams.admin import dead_letters_http
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.component import Component
from headrace.streams.runtime.web_server import LimitedRunner
from headrace.streams.settings import Settings
from headrace.topology.topology import Topology

T = TypeVar("T")


class _Batch(NamedTuple):
    """A batch for the agent, which sets `done` when it has handled it."""

    messages: list[Message]
    done: asyncio.Future[None]


class ComponentService(Service):
    """Puts one component's batches on its channel until stopped."""

    def __init__(self, component: Component, app: "Host", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._component = component
        self._channel: Any = app.channel()
        self._thread = ThreadPoolExecutor(1, f"engine-{component.name}")
        self._idle = asyncio.Event()
        self._idle.set()
        app.agent(self._channel, name=f"headrace-{component.name}")(self._handle)

    async def _handle(self, batches: Any) -> None:
        async for batch in batches:
            try:
                await self._run(self._component.process, batch.messages)
                batch.done.set_result(None)
            except Exception as error:
                batch.done.set_exception(error)  # which ends the worker

    @Service.task
    async def _pump(self) -> None:
        self._idle.clear()
        try:
            while not self.should_stop:
                messages = await self._run(self._component.poll, 0.2)
                if messages:
                    batch = _Batch(messages, asyncio.get_running_loop().create_future())
                    await self._channel.put(batch)
                    await batch.done
        finally:
            self._idle.set()

    async def on_stop(self) -> None:
        self._component.interrupt()
        await self._idle.wait()  # the current batch is finished, not dropped
        await self._run(self._component.close)
        self._thread.shutdown(wait=False)

    async def _run(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _guarded, call, *arguments)


def _guarded(call: Callable[..., T], *arguments: Any) -> T:
    """Replaces errors that would stop the event loop, and leave a process that neither works nor ends."""
    try:
        return call(*arguments)
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        raise RuntimeError(f"{type(error).__name__} in the engine: {error}") from error


class Host(faust.App):
    """A Faust app without Faust's Kafka; starts the components' services with its agents."""

    class BootStrategy(Boot):
        enable_kafka = False

        def agents(self) -> Iterable[Any]:
            return [*super().agents(), *cast(Host, self.app).components]

    def __init__(self, settings: Settings, topology: Topology, components: list[Component], metrics: Metrics) -> None:
        super().__init__(
            f"{settings.prefix}headrace",
            broker="kafka://127.0.0.1:1",  # never connected to
            store="memory://",
            datadir=str(settings.state_dir / "faust"),
            web_bind=settings.web_host,
            web_port=settings.web_port,
            web_host=settings.web_host,
            topic_disable_leader=True,
        )
        self.components = [ComponentService(component, self) for component in components]
        self.flow_control.resume()  # else the channels stay silent: Faust waits for an assignment of its own
        _pages(self, components, metrics)
        dead_letters_http.pages(self, settings, topology)
        web: Any = self.web
        web._runner = LimitedRunner(web.web_app)


def _pages(app: Host, components: list[Component], metrics: Metrics) -> None:
    @app.page("/healthz")
    async def healthz(view: View, request: Request) -> Any:
        for status, found in (
            ("failed", [component.name for component in components if component.failure is not None]),
            ("stuck", [component.name for component in components if component.stuck]),
        ):
            if found:
                return view.json({"status": status, "components": found}, status=503)
        return view.json({"status": "ok"})

    @app.page("/readyz")
    async def readyz(view: View, request: Request) -> Any:
        state = {component.name: component.ready for component in components}
        editions = {component.name: component.editions for component in components if component.editions}
        answer = {"ready": all(state.values()), "components": state} | ({"editions": editions} if editions else {})
        return view.json(answer, status=200 if all(state.values()) else 503)

    @app.page("/metrics")
    async def exposition(view: View, request: Request) -> Any:
        for component in components:
            component.update_gauges()
        return view.bytes(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST.split(";")[0])
