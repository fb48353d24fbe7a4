"""States, events and documents of a topology in memory."""

from typing import Any, TypeVar

from headrace.schemas.documents import DocumentCodec
from headrace.schemas.stored_event import to_events
from headrace.streams.in_memory.runtime import MemoryRuntime
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.handlers import States
from headrace.streams.steps.state_cache import StateCache
from headrace.streams.steps.store import Store
from headrace.topology.as_of import AsOf, point_of
from headrace.topology.inspection import ComponentSpec
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.projector import Projector, version_name
from headrace.topology.reply import Event

D = TypeVar("D")
Folded = str | type[Any] | None
"""How a caller names a component that has a state: by its name or its class, or not at all if only one is possible."""


class Reads:
    """Answers what a client may ask."""

    def __init__(self, runtime: MemoryRuntime) -> None:
        self._runtime = runtime

    def state(self, root: str, domain: Folded, *, as_of: AsOf | None = None) -> Any:
        """A copy of a root's state, at a point if one is given; None if it has no events. LookupError for an unknown
        component."""
        spec, key = self._spec(domain), root.encode()
        store = self._runtime.store(spec.name, root)
        cache = StateCache(States(spec), store, live_states=1)
        found, last = cache.use(key, Batch(store)), self._last(store, key, as_of)
        return None if last < 0 else cache.state_at(key, found, last)

    def events(
        self, root: str, from_sequence: int, domain: Folded, *, as_of: AsOf | None = None, lift: bool = True
    ) -> list[Event]:
        """A root's events in order, from a sequence on, up to a point if one is given; without `lift`, as the log has
        them."""
        spec, key = self._spec(domain), root.encode()
        store = self._runtime.store(spec.name, root)
        stored = store.history(key, from_sequence, self._last(store, key, as_of))
        return [one for event in to_events(stored, from_sequence) for one in Event.read(event, spec, root, lift=lift)]

    def documents(self, projector: type[Projector[D]]) -> dict[str, D]:
        """All documents of a projector's version, by id."""
        name = version_name(projector.name, projector.version)
        spec = self._runtime.topology.component(name)
        assert isinstance(spec, ProjectorSpec)
        codec = DocumentCodec(spec.document)
        return {
            document_id.decode(): codec.decode(data)
            for store in self._runtime.stores_of(name)
            for document_id, data in store.documents.items()
        }

    def _spec(self, domain: Folded) -> ComponentSpec:
        topology = self._runtime.topology
        if domain is None:
            return topology.component(topology.only_aggregate())
        return topology.folded(domain if isinstance(domain, str) else getattr(domain, "domain", "") or domain.name)

    def _last(self, store: Store, root: bytes, as_of: AsOf | None) -> int:
        """Sequence of a root's last event at a point."""
        sequence, moment = point_of(as_of)
        if sequence is not None:
            return min(sequence, store.last(root))
        # while the clock stands, each batch is recorded 1 ms after the one before, so that the present is ahead of it
        past = moment is not None and moment < self._runtime.clock.milliseconds
        return store.last_at(root, moment or 0) if past else store.last(root)
