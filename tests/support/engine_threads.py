"""The components of a worker in threads of the test's process, so that a test can change what they are given."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.streams.admin import topics
from headrace.streams.editions.record import Edition
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime import worker
from headrace.streams.runtime.component import Component
from headrace.streams.settings import Settings
from headrace.topology.topology import Topology
from tests.support.deployment import until


class EngineThreads:
    """Runs some components until the end of the context, each in a thread; `editions` are those of the registry."""

    def __init__(self, settings: Settings, topology: Topology, names: list[str], folder: Path) -> None:
        self.editions: dict[str, Edition] = {}
        settings = settings.model_copy(update={"state_dir": folder})
        found = topics.fit(settings, topology, names)
        self._slot = worker.Slot(folder)
        self.metrics = Metrics()
        self.failure: BaseException | None = None
        self.components = {
            name: Component(
                worker._config(settings, topology, name, found, self._slot),
                self.metrics,
                Tracing(""),
                lambda _: None,
                lambda: self.editions,
            )
            for name in names
        }
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in self.components.values()]

    def _run(self, component: Component) -> None:
        try:
            while not self._stop.is_set():
                if messages := component.poll(0.1):
                    component.process(messages)
        except BaseException as error:
            self.failure = error
            raise
        finally:
            component.interrupt()
            component.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        until(lambda: all(one.ready for one in self.components.values()), "the components were ready")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._slot.close()
        assert self.failure is None, self.failure
