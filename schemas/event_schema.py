"""What an event's bytes mean: a message type and, where the meaning of its name has changed, a version of it."""

from collections.abc import Mapping
from typing import NamedTuple

from headrace.schemas.headers import DATA_SCHEMA, TYPE

_SCHEME = b"headrace:"


class EventSchema(NamedTuple):
    """A message type by its full name, and the version of what it means, from 1."""

    type: str
    version: int = 1

    @property
    def key(self) -> bytes:
        """The type alone for version 1; otherwise the value of the header `ce_dataschema`."""
        return self.type.encode() if self.version == 1 else _SCHEME + f"{self.type}/{self.version}".encode()

    @property
    def extension(self) -> dict[str, str]:
        """The attribute of a CloudEvent that says so, for another version than the first."""
        return {} if self.version == 1 else {DATA_SCHEMA[3:]: self.key.decode()}

    def __str__(self) -> str:
        return self.type if self.version == 1 else f"{self.type} of version {self.version}"


def parse_key(key: bytes) -> EventSchema:
    """The reverse of `EventSchema.key`; ValueError for a version that is none."""
    if not key.startswith(_SCHEME):
        return EventSchema(key.decode())
    name, _, version = key[len(_SCHEME) :].rpartition(b"/")
    if not name or not version.isdigit() or len(version) > 9 or int(version) < 1:
        raise ValueError(f"{key[:99]!r} names no version of an event's type; that is headrace:TYPE/NUMBER")
    return EventSchema(name.decode(), int(version))


def schema_key(headers: Mapping[str, bytes]) -> bytes:
    """The key of the schema that an event's headers name. A data schema of another form counts for nothing."""
    found = headers.get(DATA_SCHEMA)
    return found if found is not None and found.startswith(_SCHEME) else headers[TYPE]
