"""What the steps need of a deployment of the shop, whatever it runs on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from headrace.schemas.record import Record
from headrace.streams.admin import dead_letters
from headrace.streams.admin import trace as tracks
from headrace.streams.admin.dead_letters import Filter, ListedDeadLetter
from headrace.streams.settings import Settings
from headrace.topology.reply import Event, Failure, OnError, Reply, Sync
from headrace.topology.reply_errors import CascadeFailed, ProjectionFailed
from tests.features import shop
from tests.features.faults import faults


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender of a command or fact is told."""

    status: str
    """accepted, rejected or failed."""
    reason: str
    already_processed: bool
    events: Sequence[tuple[str, bytes]]
    """Type names and bytes."""
    failures: Sequence[Failure] = ()
    """What a cascade that was waited for has failed in."""
    error: str = ""
    """The error that the caller got."""


def answer_of(execute: Callable[[], Reply]) -> Answer:
    """What a call of a client returns or raises."""
    error = ""
    try:
        reply = execute()
    except (CascadeFailed, ProjectionFailed) as failed:
        reply, error = failed.reply, str(failed)
    events = [(event.type, event.raw) for event in reply.events]
    return Answer(reply.status, reply.reason, reply.already_processed, events, reply.failures, error)


class World(ABC):
    """One deployment. Whatever changes something returns when all that follows from it has been handled."""

    settings: Settings

    # ---- what changes something

    @abstractmethod
    def send(
        self,
        domain: str,
        root: str,
        command: Message,
        *,
        command_id: str,
        correlation_id: str,
        traceparent: str,
        sync: Sync,
        on_error: OnError,
    ) -> Answer:
        """Send a command and wait for the answer; an empty id is any, an empty correlation that of the command."""

    @abstractmethod
    def record_fact(self, domain: str, root: str, fact: Message, *, external_id: str, correlation_id: str) -> Answer:
        """State a fact and wait for the answer."""

    @abstractmethod
    def deliver(self, record: Record) -> None:
        """Write a record to its topic once more, as it is."""

    @abstractmethod
    def has_written(self, domain: str, root: str, events: Sequence[tuple[str, bytes]]) -> None:
        """Events of a root, by type name and bytes, that are on its log since before the deployment began."""

    @abstractmethod
    def history(self, domain: str, root: str) -> Sequence[Event]:
        """A root's events, as a reader of today gets them."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Let time pass, and what becomes due by then come."""

    def break_down(self, component: str, root: str, stumbles: int = 0) -> None:
        """Let a component fail for a root from now on, or transiently so many times."""
        faults.make(component, root, stumbles)

    def repair(self, component: str, root: str) -> None:
        """Let it work again."""
        faults.mend(component, root)

    def settle(self, found: Sequence[ListedDeadLetter], *, discard: bool) -> None:
        """Send the inputs of dead letters again, or give them up."""
        assert len(list(dead_letters.settle(self.settings, shop.topology, found, discard=discard))) == len(found)

    @abstractmethod
    def refusal(self, topology: str) -> str:
        """Why a worker with another topology of the shop ends as soon as it is started beside the one that is there."""

    # ---- what there is

    @abstractmethod
    def records(self, component: str, kind: str) -> Sequence[Record]:
        """All records of a topic; those of one root in the order in which they were written."""

    @abstractmethod
    def figures(self) -> Mapping[tuple[str, str], int]:
        """How many inputs of a component came to an outcome, by the figures that an operator sees."""

    @abstractmethod
    def escalations(self) -> Sequence[dict[str, str]]:
        """What a person was told of."""

    def topic(self, component: str, kind: str) -> str:
        """Name of a topic."""
        return self.settings.names.topic(self.settings.edition, component, kind)

    def dead_letters(self, component: str, root: str) -> list[ListedDeadLetter]:
        """A component's dead letters about a root, settled ones too."""
        return dead_letters.find(self.settings, shop.topology, [component], Filter(root=root, settled=True))

    def trace(self, correlation_id: str) -> list[dict[str, Any]]:
        """The trees of a correlation id, as `headrace trace --json` prints them."""
        return [node.data() for node in tracks.trace(self.settings, shop.topology, correlation_id)]
