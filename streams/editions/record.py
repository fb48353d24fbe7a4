"""An edition as the registry records it. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from headrace.schemas.headrace_v1_pb2 import CutSequence, EditionRecord
from headrace.topology.cut import Cut
from headrace.topology.names import MAIN, is_name

LIVE, DELETING, DELETED = "live", "deleting", "deleted"


@dataclass(frozen=True, slots=True)
class Edition:
    """A branch of the history of its parent."""

    name: str
    id: str
    """Another one each time that a name is used: what is stored under it belongs to this edition alone."""
    parent: str = MAIN
    """Name of the edition that it continues."""
    cut: Cut = field(default_factory=Cut)
    """Up to where it sees its parent."""
    created: int = 0
    """Milliseconds since 1970."""
    expires: int | None = None
    """Milliseconds since 1970 after which `headrace editions prune` deletes it; None: never."""
    note: str = ""
    projections: tuple[str, ...] = ()
    """Projectors that run in it."""
    state: str = LIVE
    """`live`; `deleting` once nobody may use it, while its topics are there; `deleted` when they are gone."""

    @property
    def live(self) -> bool:
        """Whether it may be used."""
        return self.state == LIVE

    def expired(self, now: int) -> bool:
        """Whether its time is over at `now`, in milliseconds since 1970."""
        return self.expires is not None and self.expires <= now


def to_bytes(edition: Edition) -> bytes:
    """The value of an edition's record; its key is the name."""
    cut = edition.cut
    sequences = [CutSequence(component=name, sequence=sequence) for name, sequence in cut.domains.items()]
    sequences += [CutSequence(component=name, root=root, sequence=n) for (name, root), n in cut.roots.items()]
    return EditionRecord(
        name=edition.name,
        id=edition.id,
        parent=edition.parent,
        follow=cut.moment is None,
        moment=cut.moment or 0,
        sequences=sequences,
        created=edition.created,
        expires=edition.expires or 0,
        note=edition.note,
        projections=edition.projections,
        deleting=edition.state == DELETING,
        deleted=edition.state == DELETED,
    ).SerializeToString()


def from_bytes(value: bytes) -> Edition:
    """The edition of a record. Raises google.protobuf.message.DecodeError, ValueError for a cut that cannot be."""
    record = EditionRecord.FromString(value)
    cut = Cut(
        None if record.follow else record.moment,
        {one.component: one.sequence for one in record.sequences if not one.root},
        {(one.component, one.root): one.sequence for one in record.sequences if one.root},
    )
    return Edition(
        record.name,
        record.id,
        record.parent,
        cut,
        record.created,
        record.expires or None,
        record.note,
        tuple(record.projections),
        DELETED if record.deleted else DELETING if record.deleting else LIVE,
    )


def parsed(values: Mapping[bytes, bytes]) -> dict[str, Edition]:
    """Editions by name, of records by key. One that is not valid is left out: it harms nobody but itself."""
    found: dict[str, Edition] = {}
    for key, value in values.items():
        try:
            edition = from_bytes(value)
        except (DecodeError, ValueError):
            continue
        if edition.name.encode() == key and is_name(edition.name) and edition.name != MAIN and edition.id:
            found[edition.name] = edition
    return found
