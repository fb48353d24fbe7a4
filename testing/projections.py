"""After these events, these documents: tests of one projector, without Kafka.

    given(PlayerCards, PlayerRegistered(name="Ann"), root="ann").then_document("ann", PlayerCard(name="Ann"))

The step is that of production.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, Self, TypeVar

from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.documents import DocumentCodec
from headrace.schemas.headers import CORRELATION, SEQUENCE
from headrace.schemas.ids import EventRef
from headrace.schemas.record import CloudEvent, Record, rfc3339, since_epoch
from headrace.schemas.stored_event import event_key
from headrace.streams.in_memory.requests import raw
from headrace.streams.steps.errors import HandlerError
from headrace.streams.steps.handlers import Projections
from headrace.streams.steps.step import Step
from headrace.testing.alone import NAMES, Alone
from headrace.testing.comparison import comparison
from headrace.testing.history import PastEvent, lifted, written
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.names import MAIN, source

D = TypeVar("D")
_DOMAIN = "source"


class _Happened(NamedTuple):
    root: str
    event: PastEvent
    sequence: int
    now: datetime


class ProjectionScenario(Generic[D]):
    """Events of some roots, one after another, and the documents that they lead to."""

    def __init__(self, spec: ProjectorSpec, events: Sequence[PastEvent], root: str, now: datetime) -> None:
        self._spec, self._root, self._now = spec, root, now
        self._codec = DocumentCodec(spec.document)
        self._projections = Projections(spec, MAIN)
        self._happened: list[_Happened] = []
        self._sequences: Counter[str] = Counter()
        self._alone = Alone(spec)
        for event in events:
            self.when(event)

    def when(self, event: PastEvent, *, root: str | None = None, now: datetime | None = None) -> Self:
        """An event of `root` happens; `root` and `now` are also those of later ones.

        Raises what would otherwise become a dead letter, and LookupError for an event that the projector does not read.
        """
        self._root, self._now = root or self._root, now or self._now
        schema, _, _ = written(event, self._spec, _DOMAIN)
        if schema.type not in self._spec.projections and not lifted(schema, self._spec):
            known = ", ".join(self._spec.projections)
            raise LookupError(f"{self._spec.class_name} projects no {schema}; it projects: {known}")
        happened = _Happened(self._root, event, self._sequences[self._root], self._now)
        self._project(self._alone, happened)
        self._sequences[self._root] += 1
        self._happened.append(happened)
        return self

    @property
    def documents(self) -> dict[str, D]:
        """All documents, by id."""
        return self._documents(self._alone)

    def then_document(self, document_id: str, document: D | None) -> Self:
        """Check that this document is as given; None if there must be none."""
        __tracebackhide__ = True
        return self._check({document_id: document}, {document_id: self.documents.get(document_id)})

    def then_documents(self, documents: Mapping[str, D]) -> Self:
        """Check that there are exactly these documents."""
        __tracebackhide__ = True
        return self._check(documents, self.documents)

    def in_any_order(self, times: int = 20) -> Self:
        """Check that the documents do not depend on how the events of different roots come one after another.

        Those of one root keep their order. Kafka orders nothing else, and a rebuild sees another order than the first
        run.
        """
        __tracebackhide__ = True
        for seed in range(times):
            alone = Alone(self._spec)
            order = _shuffled(self._happened, random.Random(seed))
            for happened in order:
                self._project(alone, happened)
            if (other := self._documents(alone)) != self.documents:
                came = ", ".join(f"{type(one.event).__name__} of {one.root}" for one in order)
                text = f"other documents when the events come in this order: {came}"
                raise AssertionError(f"{text}\n{_compared(self.documents, other, 'as given', 'then')}")
        return self

    def _check(self, expected: Mapping[str, D | None], got: Mapping[str, D | None]) -> Self:
        __tracebackhide__ = True
        if dict(expected) != dict(got):
            raise AssertionError(f"other documents than expected\n{_compared(expected, got)}")
        return self

    def _documents(self, alone: Alone) -> dict[str, D]:
        return {name.decode(): self._codec.decode(data) for name, data in sorted(alone.store.documents.items())}

    def _project(self, alone: Alone, happened: _Happened) -> None:
        """Handle an event in each of its documents, as the feed and the projector do."""
        root, event, sequence, now = happened
        schema, message, domain = written(event, self._spec, _DOMAIN)
        about = CloudEvent(
            id=EventRef("", root, sequence).id,
            source=source(MAIN, domain),
            type=schema.type,
            data=message.SerializeToString(),
            subject=root,
            time=rfc3339(since_epoch(now)),
            content_type=PROTOBUF,
            extensions={SEQUENCE[3:]: str(sequence), CORRELATION[3:]: "correlation-1", **schema.extension},
        )
        topic = NAMES.topic(MAIN, *((self._spec.name, "inbox") if self._spec.fed else (domain, "events")))
        key, time = event_key(root, sequence).encode(), since_epoch(now)
        record = Record(topic, 0, len(self._happened), time, key, about.data, raw(about.headers()))
        if not self._projections.reads(record.headers):  # an old event that becomes none of those it projects
            return
        documents = self._projections.keys(record, root.encode())
        if documents != self._projections.keys(record, root.encode()):
            known = self._spec.projections.get(schema.type)
            where = known.where if known else f"{self._spec.class_name} for {schema}"
            raise HandlerError(f"key= of {where} names other documents each time; let it depend on the event alone")
        for document_id in documents:
            one = record._replace(key=document_id) if self._spec.fed else record

            def attempt(step: Step, one: Record = one) -> None:
                step.attempt(one)

            alone.run(attempt, time)


def _shuffled(happened: Sequence[_Happened], chance: random.Random) -> list[_Happened]:
    """The events in another order, in which those of one root stay as they are."""
    roots = [one.root for one in happened]
    chance.shuffle(roots)
    left = {root: iter([one for one in happened if one.root == root]) for root in roots}
    return [next(left[root]) for root in roots]


def _compared(want: Mapping[str, Any], got: Mapping[str, Any], one: str = "expected", other: str = "got") -> str:
    names = sorted(want.keys() | got.keys())
    differing = [name for name in names if want.get(name) != got.get(name)]
    left, right = ([(name, side.get(name)) for name in differing] for side in (want, got))
    return comparison(left, right, one, other)
