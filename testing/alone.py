"""One component, without its topology, in a test: its step, and what its methods yield."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.streams.in_memory.store import MemoryStore
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.errors import HandlerError
from headrace.streams.steps.handlers import several
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Staged
from headrace.testing.comparison import comparison
from headrace.topology.context import RootState, StateOf
from headrace.topology.inspection import ComponentSpec, inspect_component, type_name
from headrace.topology.inspection.aggregate import AggregateSpec
from headrace.topology.inspection.upcaster import chain_of, links_by_domain
from headrace.topology.names import MAIN, Names
from headrace.topology.saga import Send
from headrace.topology.topology import Topology, TopologyError
from headrace.topology.upcaster import Upcaster
from headrace.topology.upcaster_chain import UpcasterChain

NAMES = Names()
CONTEXT = StepContext(NAMES, MAIN, 0, partitions=1, reply_partitions=1, check_purity=True)
_SPECS: dict[type[Any], ComponentSpec] = {}  # a test suite asks for the same few again and again


def spec_of(component: type[Any]) -> ComponentSpec:
    """The spec of a component; TopologyError for mistakes that can be found without the other components."""
    if component not in _SPECS:
        mistakes: list[str] = []
        spec = inspect_component(component, mistakes)
        if mistakes or spec is None:
            raise TopologyError(mistakes)
        _SPECS[component] = spec
    return _SPECS[component]


def with_upcasters(spec: ComponentSpec, upcasters: Iterable[type[Upcaster]]) -> ComponentSpec:
    """The same component, reading its own events and those of others by upcasters; TopologyError for mistakes."""
    mistakes: list[str] = []
    chains: dict[str, UpcasterChain] = {}
    for domain, links in links_by_domain(upcasters, mistakes).items():
        if (chain := chain_of(domain, links, mistakes)) is not None:
            chains[domain] = chain
    if mistakes:
        raise TopologyError(mistakes)
    changes: dict[str, Any] = {"upcasters": chains.pop(spec.name, spec.upcasters), "source_upcasters": chains}
    if hasattr(spec, "sources"):
        changes["sources"] = {
            name: domain
            for domain, chain in chains.items()
            for schema, _ in chain.old.values()
            for name in chain.outcomes(schema)
        }
    return replace(spec, **changes)


class Alone:
    """A component whose inputs come from a test. Each input is handled twice, and both times must give the same.

    `items` has what its reactions and compensations yield, as its author wrote it.
    """

    def __init__(self, spec: ComponentSpec) -> None:
        self.items: list[object] = []
        self.states: dict[StateOf, RootState] = {}
        """States of other roots, which reactions may read."""
        self.store = MemoryStore()
        self.spec = self._recorded(spec)
        self._routes: dict[str, set[str]] = {}

    def run(self, feed: Callable[[Step], object], now: int) -> Step:
        """Call `feed` with the step, and store the result; raises what would otherwise become a dead letter.

        HandlerError if the outcome differs the second time.
        """
        self.items = []
        first = self._step()
        feed(first)
        before, items = first.finish(now), self.items
        self.items = []
        step = self._step()
        feed(step)
        staged = step.finish(now)
        if items != self.items:
            raise HandlerError(
                f"{self.spec.class_name} yields something else each time; take time, chance and ids from the context\n"
                + comparison(items, self.items, "first", "again")
            )
        if self._kept(before) != self._kept(staged):
            raise HandlerError(
                f"{self.spec.class_name} makes something else of the same events each time; let it depend on them alone"
            )
        self.store.put(staged)
        return step

    def _kept(self, staged: Staged) -> dict[bytes, object]:
        """States and documents that a batch leads to; maps in a state may be serialised in any order."""
        return {**{root: self.state(value) for root, value in staged.snapshots.items()}, **staged.documents}

    def state(self, snapshot: bytes | None) -> Any:
        """The state in a snapshot; a state with no field set if there is no snapshot."""
        return self.spec.state_type.FromString(Snapshot.FromString(snapshot or b"").state)

    def due(self, now: int) -> bool:
        """Whether there are time-outs that are due by now."""
        return any(True for _ in self._step().due(now))

    def state_type(self, domain: str) -> str:
        """Name of the type of the states that this test holds of a domain's roots."""
        around = _Around(self.spec, self.states, self._routes)
        return type_name(around.components[domain].state_type)

    def _step(self) -> Step:
        step = make_step(_Around(self.spec, self.states, self._routes), self.spec.name, self.store, CONTEXT)
        step.raises = step.enforce_state_size = True  # so that the input which makes a state too large fails
        return step

    # ---- what its methods yield

    def _recorded(self, spec: ComponentSpec) -> ComponentSpec:
        """The same component; what its reactions and compensations yield is added to `items`."""
        changes: dict[str, Any] = {}
        for table in ("reactions", "compensators"):
            methods: Mapping[str, Any] = getattr(spec, table, {})
            if methods:
                changes[table] = {
                    name: replace(method, call=self._told(method.call)) for name, method in methods.items()
                }
        for name, reaction in changes.get("reactions", {}).items():
            if reaction.reads is not None:
                changes["reactions"][name] = replace(reaction, reads=self._known(reaction.where, reaction.reads))
        return replace(spec, **changes)

    def _told(self, call: Callable[..., object]) -> Callable[..., object]:
        def told(*arguments: Any) -> object:
            result = call(*arguments)
            items = several(result)
            self.items.extend(items)
            for item in items:
                if isinstance(item, Send):
                    # here any command may be sent; `Topology` checks whether somebody handles it
                    self._routes.setdefault(item.domain, set()).add(type_name(type(item.message)))
            return items if isinstance(result, Iterator) else result

        return told

    def _known(self, where: str, reads: Callable[..., Any]) -> Callable[..., Any]:
        def known(*arguments: Any) -> list[StateOf]:
            wanted = list(reads(*arguments))
            for state in wanted:
                if state not in self.states:
                    raise LookupError(
                        f"{where} reads {state}, which this test does not hold; add .with_state({state}, …)"
                    )
            return wanted

        return known


class _Around(Topology):
    """What a step needs of the topology: routes for commands that it sends, and types of states that it reads."""

    def __init__(self, spec: ComponentSpec, states: Mapping[StateOf, RootState], routes: dict[str, set[str]]) -> None:
        self._routes = routes
        self.components = {}
        for read, found in states.items():
            if found.state is not None or read.domain not in self.components:
                kind = Empty if found.state is None else type(found.state)
                self.components[read.domain] = AggregateSpec(name=read.domain, class_name=read.domain, state=kind)
        self.components[spec.name] = spec

    @property
    def command_routes(self) -> dict[str, set[str]]:
        return self._routes


def rejection(
    spec: ComponentSpec, command: Message, reason: str, code: str, domain: str, root: str, cause: str
) -> WireRejection:
    """The notice that `command`, which the component sent, was rejected."""
    return WireRejection(
        component=f"aggregate:{domain}",
        root=root,
        command_id="command",
        command_type=type_name(type(command)),
        command=command.SerializeToString(),
        reason=reason,
        code=code,
        issuer=spec.name,
        cause=cause,
    )
