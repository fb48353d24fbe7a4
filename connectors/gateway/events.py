"""CloudEvents in HTTP requests: binary, structured and batch mode, read without I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from google.protobuf.message import Message

from headrace.connectors.gateway.problems import Problem, field
from headrace.schemas import codecs
from headrace.schemas.headers import CONTENT_TYPE, CORRELATION, ENGINE_ONLY, EXPECTED, FACT, ID, SOURCE, SUBJECT, TYPE
from headrace.schemas.ids import natural_number
from headrace.schemas.record import RecordError, check
from headrace.schemas.structured import from_json

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
MOST = 100
"""The most events in a batch."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One event of a request."""

    headers: Mapping[str, bytes]
    """As in a record on Kafka."""
    data: bytes | None

    @property
    def message_type(self) -> str:
        """Full protobuf name of its message."""
        return self.headers[TYPE].decode()

    @property
    def root(self) -> str:
        """The root that it is for."""
        if not (subject := self.text(SUBJECT)):
            raise field("subject", "is missing; it names the root")
        return subject

    @property
    def identity(self) -> str:
        """The id under which the engine knows it: an id is only unique for its source."""
        return identity(self.text(SOURCE), self.text(ID))

    @property
    def correlation_id(self) -> str:
        """What everything that follows from it is known by: by default its own id."""
        return self.text(CORRELATION) or self.text(ID)

    @property
    def external_id(self) -> str:
        """Of a fact: the id that its source knows it by, which is unique for that source."""
        return identity(self.text(SOURCE), self.text(FACT) or self.text(ID))

    @property
    def expected_sequence(self) -> int | None:
        """The sequence at which the root is expected to be."""
        if not (text := self.text(EXPECTED)):
            return None
        if text != "-1" and natural_number(text) is None:
            raise field("expectedsequence", "must be a whole number, -1 or more")
        return int(text)

    def text(self, name: str) -> str:
        """An attribute; empty if it is missing."""
        return (self.headers.get(name) or b"").decode(errors="replace")

    def message(self, message_type: type[Message]) -> Message:
        """Its data."""
        try:
            return codecs.decode(self.data, message_type, self.text(CONTENT_TYPE) or codecs.JSON)
        except codecs.DecodeError as error:
            raise field("data", str(error)) from None


def identity(source: str, name: str) -> str:
    """One id for a source and an id of its own, so that two senders' "1" are two."""
    return sha256(f"{source}\0{name}".encode()).hexdigest()[:32]


def read(headers: Mapping[str, str], body: bytes) -> tuple[list[Incoming | Problem], bool]:
    """The events of a request, each with what is wrong with it in its place; and whether they are a batch.

    Raises Problem for a request that is wrong as a whole.
    """
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == BATCH:
        return [_caught(one) for one in _items(body)], True
    if kind == STRUCTURED:
        return [_structured(body)], False
    if kind.startswith("application/cloudevents"):
        raise Problem(415, f"{kind} is not read; there are binary mode, {STRUCTURED} and {BATCH}")
    return [_binary(headers, kind, body)], False


def _items(body: bytes) -> list[Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise field("body", f"is no JSON: {str(error)[:200]}") from None
    if not isinstance(found, list) or not 0 < len(found) <= MOST:
        raise field("body", f"is no list of 1 to {MOST} events")
    return found


def _caught(item: Any) -> Incoming | Problem:
    try:
        return _structured(json.dumps(item).encode())
    except Problem as problem:
        return problem


def _structured(body: bytes) -> Incoming:
    try:
        headers, data = from_json(body)
    except RecordError as error:
        raise field("body", str(error)) from None
    return _checked(headers, data)


def _binary(headers: Mapping[str, str], kind: str, body: bytes) -> Incoming:
    if not any(name.lower().startswith("ce-") for name in headers):
        raise Problem(415, f"this is no CloudEvent: send headers ce-id, ce-source, ce-type, or {STRUCTURED}")
    attributes = {name: value for name, value in headers.items() if name[:3].lower() == "ce-" and name[3:].isalnum()}
    try:
        found = {f"ce_{name[3:].lower()}": unquote(value).encode() for name, value in attributes.items()}
    except UnicodeEncodeError:
        raise field("ce", "attributes are UTF-8 text, other characters than ASCII percent-encoded") from None
    if kind:
        found[CONTENT_TYPE] = kind.encode()
    return _checked(found, body)


def _checked(headers: Mapping[str, bytes], data: bytes | None) -> Incoming:
    """An event that has what every event needs, and nothing that only the engine says."""
    try:
        check(headers)
    except RecordError as error:
        raise field("ce", str(error).replace("header ce_", "attribute ").replace("ce_", "")) from None
    if forged := sorted((ENGINE_ONLY - {FACT}) & headers.keys()):
        raise field(forged[0][3:], "is set by the engine only; leave it out")
    if any(b"\0" in value for value in headers.values()):
        raise field("ce", "attributes hold no NUL")
    return Incoming(headers, data)
