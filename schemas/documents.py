"""Documents of projectors as JSON: dataclasses by msgspec, protobuf messages by protobuf's own mapping."""

import json
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec
import msgspec.inspect
from google.protobuf import json_format
from google.protobuf.message import Message
from msgspec.inspect import AnyType as Anything
from msgspec.inspect import DictType as Dict
from msgspec.inspect import StrType as Text

from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.nesting import nests

D = TypeVar("D")
DOCUMENTS = b"\0documents|"
"""Key in the changelog of a projector's fingerprint: of the type and origin of its documents."""


class DocumentError(ValueError):
    """A document cannot be written as JSON, or read from it."""


class DocumentCodec(Generic[D]):
    """Makes, writes and reads documents of one type. Equal documents have equal bytes.

    Raises TypeError for a type that cannot be written as JSON, or whose fields do not all have defaults.
    """

    def __init__(self, document: type[D]) -> None:
        self._document, self._message = document, issubclass(document, Message)
        self._nests = issubclass(document, Message) and nests(document)
        if not self._message:
            self._write = msgspec.json.Encoder(order="deterministic").encode
            self._read = msgspec.json.Decoder(document).decode
            _check_keys(msgspec.inspect.type_info(document), set())
            self.decode(self.encode(self.new()))

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with the fields of the document's type, and of all types that it uses."""
        if issubclass(self._document, Message):
            return fingerprint(self._document)
        schema = json.dumps(_plain(msgspec.json.schema(self._document)), sort_keys=True)
        return sha256(schema.encode()).hexdigest()[:16]

    def new(self) -> D:
        """The document before its first event."""
        return self._document()

    def encode(self, document: D) -> bytes:
        """A document as JSON. Raises DocumentError for what JSON cannot hold."""
        if self._message:
            found = json_format.MessageToDict(document)  # type: ignore[arg-type]
            written = json.dumps(found, separators=(",", ":"), sort_keys=True).encode()
            if self._nests:  # any number of levels is written, and a hundred are read
                self.decode(written)
            return written
        try:
            data: bytes = self._write(document)
        except (TypeError, ValueError, RecursionError) as error:
            raise DocumentError(f"{self._document.__name__} cannot be written as JSON: {error}") from error
        # msgspec writes fields of a wrong type as they are, and NaN as null: it would be found when it is too late
        try:
            if self._read(data) == document:
                return data
        except msgspec.MsgspecError as error:
            raise self._unfit(data, error) from error
        raise DocumentError(f"{document!r:.200} is read back from JSON as something else")

    def decode(self, data: bytes, *, unknown_fields: bool = False) -> D:
        """A document from JSON. Raises DocumentError where the type does not fit.

        Fields that a dataclass does not know are left out, and with `unknown_fields` those that a message does not.
        """
        try:
            if self._message:
                return json_format.Parse(data, self._document(), ignore_unknown_fields=unknown_fields)  # type: ignore[type-var]
            found: D = self._read(data)
        except (msgspec.MsgspecError, json_format.ParseError) as error:
            raise self._unfit(data, error) from error
        return found

    def _unfit(self, data: bytes, error: Exception) -> DocumentError:
        return DocumentError(f"{data[:99]!r}… is no {self._document.__name__}: {error}")


def _plain(schema: Any) -> Any:
    """A JSON schema without what people may change without changing the data; fields may have the same names."""
    if isinstance(schema, dict):
        texts = [name for name in ("title", "description") if isinstance(schema.get(name), str)]
        return {name: _plain(value) for name, value in schema.items() if name not in texts}
    return [_plain(one) for one in schema] if isinstance(schema, list) else schema


def _check_keys(found: Any, seen: set[type[Any]]) -> None:
    """TypeError for a dict, anywhere in a type, whose keys are no text; `seen` are the classes looked into."""
    if isinstance(found, Dict) and not isinstance(found.key_type, Text | Anything):
        raise TypeError("the keys of a dict are text in JSON: declare dict[str, …]")
    if cls := getattr(found, "cls", None):
        if cls in seen:
            return
        seen.add(cls)
    inside = [one.type for one in getattr(found, "fields", ())]
    inside += [one for name in ("item_type", "value_type") if (one := getattr(found, name, None))]
    for one in [*inside, *getattr(found, "item_types", ()), *getattr(found, "types", ())]:
        _check_keys(one, seen)
