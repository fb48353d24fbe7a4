"""The configuration of one component on this worker, which all its partitions share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.streams.settings import Settings
from headrace.streams.steps.context import StepContext
from headrace.topology.topology import Topology


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """One component of a topology, with its settings and the topics as the cluster has them."""

    topology: Topology
    name: str
    """The domain of an aggregate, the name of a saga or process manager."""
    settings: Settings
    folder: Path
    """Holds one store per partition."""
    editions: Sequence[str]
    partitions: int
    reply_partitions: int
    counts: Mapping[str, int]
    """Partitions of each topic of the deployment."""
    max_bytes: int
    instance: str = ""
    """The worker's name, stored in its state folder; empty in tests that need none."""
    tombstones_kept: float = 24 * 3600.0
    """Seconds for which the topics that stores are restored from keep a deletion, at least."""
    edition_id: str = ""
    """Begins the keys of an edition that was branched; empty for the one that the worker was started for."""

    def branched(self, name: str, edition_id: str) -> "ComponentConfig":
        """The same component in an edition that was branched, whose topics have as many partitions."""
        names, edition = self.settings.names, self.settings.edition
        counts = dict(self.counts)
        for topic, count in self.counts.items():
            if (parts := names.split(topic)) is not None and parts[0] == edition:
                counts[names.topic(name, *parts[1:])] = count
        settings = self.settings.model_copy(update={"edition": name})
        return replace(self, settings=settings, editions=[name], counts=counts, edition_id=edition_id)

    def topic(self, edition: str, kind: str) -> str:
        """A topic of this component."""
        return self.settings.names.topic(edition, self.name, kind)

    @property
    def log_names(self) -> dict[str, str]:
        """What a log line says of where it is from."""
        names = {"domain": self.name}
        return {**names, "edition": self.settings.edition} if self.edition_id else names

    @property
    def identified(self) -> list[str]:
        """Topics whose ids are compared with those in positions and stores."""
        restored = [self.topic(edition, kind) for edition in self.editions for kind in self.restored_kinds]
        return list(dict.fromkeys([*self.inputs, *restored]))

    @property
    def restored_kinds(self) -> tuple[str, ...]:
        """Kinds of topics that the component's store is restored from."""
        return self.topology.component(self.name).restored

    @property
    def written(self) -> list[str]:
        """Topics that the component may write to: its own, the replies, and all inboxes."""
        own = {
            self.topic(edition, kind) for edition in self.editions for kind in self.topology.component(self.name).topics
        }
        replies = self.settings.names.replies
        return [name for name in self.counts if name in own or name == replies or name.endswith(".inbox")]

    @property
    def has_timers(self) -> bool:
        """Whether the component's steps have time-outs to fire."""
        return self.topology.component(self.name).has_timers

    @property
    def group(self) -> str:
        """The component's consumer group."""
        return f"{self.settings.prefix}headrace.{self.name}"

    @property
    def subscription(self) -> str:
        """The one topic whose partitions the group assigns to its members."""
        return self.topology.subscription(self.name, self.settings.names, self.settings.edition)

    def begin_of(self, topic: str) -> str:
        """Where to begin with an input that was never read: oldest, now or, if the class does not say, empty."""
        if self.edition_id:
            return "oldest"  # its topics were made for it, and hold nothing else
        spec = self.topology.component(self.name)
        own = topic in [self.topic(edition, kind) for edition in self.editions for kind in spec.topics]
        return "oldest" if own else spec.begin

    @property
    def inputs(self) -> list[str]:
        """Topics that the component reads."""
        return [topic for edition in self.editions for topic in self.inputs_of(edition)]

    def inputs_of(self, edition: str) -> list[str]:
        """Those of one edition."""
        return self.topology.inputs(self.name, self.settings.names, edition)

    def step_context(self, edition: str, partition: int, pause: Callable[[float], object]) -> StepContext:
        """The names, partition and limits for the step of one edition and partition."""
        return StepContext(
            names=self.settings.names,
            edition=edition,
            partition=partition,
            partitions=self.partitions,
            reply_partitions=self.reply_partitions,
            counts=self.counts,
            hop_limit=self.settings.hop_limit,
            pause=pause,
            max_bytes=self.max_bytes,
            check_purity=self.settings.check_purity,
            live_states=max(100, self.settings.live_states // self.partitions),
        )
