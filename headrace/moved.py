"""Names of modules and classes that have moved: an import of an old one says where it went."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = {
    "headrace.schemas.avro": "headrace.schemas.codecs.avro",
    "headrace.topology.process": "headrace.topology.process_manager",
    "headrace.topology.graph": "headrace.topology.topology",
    "headrace.topology.picture": "headrace.topology.describe",
    "headrace.topology.request": "headrace.testing.request",
    "headrace.topology.checks": "headrace.streams.steps.checks",
    "headrace.topology.step": "headrace.streams.steps.step",
    "headrace.topology.aggregate_step": "headrace.streams.steps.aggregate",
    "headrace.topology.process_step": "headrace.streams.steps.process_manager",
    "headrace.topology.saga_step": "headrace.streams.steps.saga",
    "headrace.topology.answers": "headrace.streams.steps.replies",
    "headrace.topology.compensation": "headrace.streams.steps.compensation",
    "headrace.topology.sending": "headrace.streams.steps.sender",
    "headrace.topology.parking": "headrace.streams.steps.ordered_queue",
    "headrace.topology.place": "headrace.streams.steps.context",
    "headrace.topology.roots": "headrace.streams.steps.state_cache",
    "headrace.topology.store": "headrace.streams.steps.store",
    "headrace.topology.history": "headrace.schemas.stored_event",
    "headrace.topology.driver": "headrace.testing",
    "headrace.topology.harness": "headrace.testing",
    "headrace.streams.component": "headrace.streams.runtime",
    "headrace.streams.assignment": "headrace.streams.runtime.assignment",
    "headrace.streams.shard": "headrace.streams.runtime.partition",
    "headrace.streams.transaction": "headrace.streams.runtime.transaction",
    "headrace.streams.worker": "headrace.streams.runtime.worker",
    "headrace.streams.host": "headrace.streams.runtime.host",
    "headrace.streams.store": "headrace.streams.state.rocksdb",
    "headrace.streams.restore": "headrace.streams.state.restore",
    "headrace.streams.reader": "headrace.streams.state.topic_reader",
    "headrace.streams.reply": "headrace.streams.client",
    "headrace.streams.letters": "headrace.streams.admin.dead_letters",
    "headrace.streams.letters_web": "headrace.streams.admin.dead_letters_http",
    "headrace.streams.tracks": "headrace.streams.admin.trace",
    "headrace.streams.topics": "headrace.streams.admin.topics",
    "headrace.streams.access": "headrace.streams.admin.http_auth",
    "headrace.streams.aside": "headrace.streams.admin.worker_thread",
    "headrace.streams.alarm": "headrace.streams.observability.alerts",
    "headrace.streams.metrics": "headrace.streams.observability.metrics",
    "headrace.streams.tracing": "headrace.streams.observability.tracing",
    "headrace.streams.seldom": "headrace.streams.observability.log_throttle",
}
NAMES = {
    "After": "headrace.Schedule",
    "Known": "headrace.RootState",
    "Need": "headrace.StateOf",
    "Refusal": "headrace.Rejection",
    "TopologyDriver": "headrace.testing.TopologyDriver",
    "after": "headrace.Schedule",
    "cancel": "headrace.Cancel",
    "given": "headrace.testing.given",
    "state_of": "headrace.StateOf",
    "to": "headrace.Send",
}
"""Names that were imported from `headrace.topology`."""


class MovedModules:
    """A finder that finds no module; it is asked last, and says where a module that has moved is now."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """ModuleNotFoundError for a module that has moved."""
        if name in MODULES:
            raise ModuleNotFoundError(f"{name} has moved; it is {MODULES[name]} now", name=name)
        return None


def register() -> None:
    """Install the finder, so that importing a module that has moved says where it is now."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
