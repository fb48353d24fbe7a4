"""An edition's store over the store of its parent: what the edition wrote, and before that the parent's up to a cut."""

from collections.abc import Iterable

from headrace.schemas.changelog import FACTS, Accepted, fact_root, unpack_result
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.streams.steps.store import LATEST, Head, Store
from headrace.topology.cut import DomainCut


class Fork:
    """A Store of one partition of one edition. It writes nothing: what the edition writes goes into `own`.

    Events, snapshots and facts of a root are inherited up to its base, the last event that the edition sees of its
    parent; once the edition has written an event of the root, the base is fixed. Results of commands, queues, time-outs
    and documents are not inherited. `parent` may be a Fork.
    """

    def __init__(self, own: Store, parent: Store, cut: DomainCut) -> None:
        self._own, self._parent, self._cut = own, parent, cut
        self.result, self.document, self.entries, self.expired = own.result, own.document, own.entries, own.expired

    @property
    def recorded(self) -> int:
        moment, inherited = self._cut.moment, self._parent.recorded
        return max(self._own.recorded, inherited if moment is None else min(moment, inherited))

    def base(self, root: bytes) -> int:
        """Sequence of the root's last inherited event; -1 if none is."""
        first = self._own.first(root)
        return first - 1 if first >= 0 else self._seen(root)

    def _seen(self, root: bytes) -> int:
        """Sequence of the last event that the cut leaves of the parent's."""
        sequence, moment = self._cut.sequence_of(root.decode()), self._cut.moment
        if sequence is not None:
            return min(sequence, self._parent.last(root))
        return self._parent.last(root) if moment is None else self._parent.last_at(root, moment)

    def head(self, root: bytes) -> Head:
        own = self._own.head(root)
        if own.last >= 0:
            return own
        base = self._seen(root)
        return Head(-1, base, _parsed(self._parent.snapshot(root, base)) if base >= 0 else None)

    def last(self, root: bytes) -> int:
        last = self._own.last(root)
        return last if last >= 0 else self._seen(root)

    def first(self, root: bytes) -> int:
        return self._own.first(root)

    def last_at(self, root: bytes, moment: int) -> int:
        last = self._own.last_at(root, moment)
        return last if last >= 0 else min(self.base(root), self._parent.last_at(root, moment))

    def snapshot(self, root: bytes, at: int = LATEST) -> bytes | None:
        own = self._own.snapshot(root, at)
        return own if own is not None else self._parent.snapshot(root, min(at, self.base(root)))

    def history(self, root: bytes, first: int, last: int) -> Iterable[bytes]:
        base = self.base(root)
        if first <= base:
            yield from self._parent.history(root, first, min(last, base))
        if last > base:
            yield from self._own.history(root, max(first, base + 1), last)

    def entry(self, key: bytes) -> bytes | None:
        found = self._own.entry(key)
        if found is None and key.startswith(FACTS) and (inherited := self._parent.entry(key)) is not None:
            accepted = unpack_result(inherited)
            assert isinstance(accepted, Accepted)
            if accepted.first + accepted.number - 1 <= self.base(fact_root(key)):
                return inherited
        return found


def _parsed(snapshot: bytes | None) -> Snapshot | None:
    return None if snapshot is None else Snapshot.FromString(snapshot)
