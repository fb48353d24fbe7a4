"""What a read of a document asks Redis, and what the answers mean; the same for sync and asyncio. No I/O.

A read asks for everything in one round trip, at the place where the document was the last time. The answer also says
whether that is still the place: then it is done, else it asks again there.
"""

import functools
from typing import Any, NamedTuple, TypeVar

from headrace.connectors.fields import document_type
from headrace.connectors.redis.keys import Keys
from headrace.schemas.documents import DocumentCodec, DocumentError
from headrace.topology.partitioner import partition_of
from headrace.topology.projector import Projector, version_name

D = TypeVar("D")


class NotLoaded(LookupError):
    """Redis does not have all documents of the partition yet, so that one that is missing says nothing."""


class DocumentUnreadable(ValueError):
    """The value in Redis is not a document of this projector; the text says which document, and why."""


class Place(NamedTuple):
    """Where the documents of a projector are."""

    version: int
    partitions: int
    """0: not known yet."""


class Question(NamedTuple):
    """The keys that one read asks for."""

    serving: str
    first: str
    """Position of the first partition, which says how many there are."""
    own: str
    """Position of the document's partition."""
    document: bytes


def question(keys: Keys, projector: type[Projector[Any]], document_id: str, place: Place) -> Question:
    """What to ask for a document that may be at `place`."""
    component, key = version_name(projector.name, place.version), document_id.encode()
    number = partition_of(key, place.partitions or 1)
    first, own = keys.position(component, 0), keys.position(component, number)
    return Question(keys.serving(projector.name), first, own, keys.document(component, number, key))


def place_in(projector: type[Projector[Any]], asked: Place, serving: bytes | None, partitions: bytes | None) -> Place:
    """Where the documents are, as far as the answer to a question for `asked` says it.

    Raises NotLoaded when there are none.
    """
    version = projector.version if serving is None else int(serving)
    if version != asked.version:
        return Place(version, 0)
    if partitions is None:
        name = version_name(projector.name, version)
        raise NotLoaded(
            f"nothing of {name} is in this Redis; does `headrace sinks redis` run, with this prefix and edition?"
        )
    return Place(version, int(partitions))


def document(
    projector: type[Projector[D]], document_id: str, place: Place, value: bytes | None, loaded: bytes | None
) -> D | None:
    """The document in an answer; None if there is none. Raises NotLoaded, DocumentUnreadable."""
    name = version_name(projector.name, place.version)
    if value is None:
        if loaded != b"1":
            raise NotLoaded(f"{name}/{document_id} is not in Redis, which is still being filled; try again")
        return None
    try:
        found: D = _codec(projector).decode(value, unknown_fields=True)  # type: ignore[arg-type]
    except (DocumentError, UnicodeDecodeError) as error:
        raise DocumentUnreadable(
            f"{name}/{document_id} in Redis is no {projector.__name__} document: {error}"
        ) from None
    return found


@functools.cache
def _codec(projector: type[Projector[Any]]) -> DocumentCodec[Any]:
    return DocumentCodec(document_type(projector))  # type: ignore[arg-type]
